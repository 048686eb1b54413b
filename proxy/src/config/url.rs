//! Where a provider is reached.

use std::{fmt, str::FromStr};

/// Scheme, host, port and path of a provider; nothing else fits into a base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https` or `http`.
    pub tls: bool,
    /// A name, or an address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// Empty, or begins with `/` and does not end with one.
    pub path: String,
}

/// Why a text is no base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    #[error("must begin with `https://` or `http://`")]
    Scheme,
    #[error("has no host")]
    Host,
    #[error("must not hold a user or password: write the key under `keys`")]
    Userinfo,
    #[error("must end with its path: no `?` or `#`")]
    Query,
    #[error("has a path with `.` or `..` in it, or a `%` without two hexadecimal digits")]
    Path,
    #[error("is not a URL")]
    Other,
}

impl BaseUrl {
    /// What the `host` header says: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

/// Stands where a provider's own could not be read.
impl Default for BaseUrl {
    fn default() -> Self {
        BaseUrl { tls: true, host: "localhost".into(), port: 443, path: String::new() }
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<BaseUrl, BaseUrlError> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(BaseUrlError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(BaseUrlError::Query);
        }
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(BaseUrlError::Userinfo);
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err(BaseUrlError::Host);
        }
        let uri: http::Uri = text.parse().map_err(|_| BaseUrlError::Other)?;
        let authority = uri.authority().ok_or(BaseUrlError::Host)?;
        let usual = if tls { 443 } else { 80 };
        let port = match authority.as_str().strip_prefix(authority.host()).ok_or(BaseUrlError::Other)? {
            "" => usual,
            port => port[1..].parse().ok().filter(|port| *port > 0).ok_or(BaseUrlError::Other)?,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let path = uri.path().trim_end_matches('/').to_owned();
        if !is_plain(&path) {
            return Err(BaseUrlError::Path);
        }
        Ok(BaseUrl { tls, host, port, path })
    }
}

/// Whether every server reads the path as the same one.
fn is_plain(path: &str) -> bool {
    let is_escape = |after: &str| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    path.split('/').all(|part| !matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."))
        && path.split('%').skip(1).all(is_escape)
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}
