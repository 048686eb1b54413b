//! A provider's base URL, taken apart once.

/// Where a provider is: scheme, host, port and the path below which its API lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub tls: bool,
    /// Never empty.
    pub host: String,
    pub port: u16,
    /// Empty, or begins with `/` and does not end with one.
    pub prefix: String,
    /// The `host` header: the port only where it is not the scheme's own.
    pub authority: String,
}

/// Why a base URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    #[error("must begin with `http://` or `https://`")]
    Scheme,
    #[error("names no host")]
    Host,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("must not carry a user, a query or a fragment")]
    Extra,
}

impl Base {
    /// Takes `url` apart.
    ///
    /// # Errors
    /// [`BaseUrlError`] where it is not an absolute http or https URL of a host and a path.
    pub fn parse(url: &str) -> Result<Base, BaseUrlError> {
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(BaseUrlError::Scheme),
        };
        let printable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'?' | b'#' | b'\\');
        if !rest.bytes().all(printable) {
            return Err(BaseUrlError::Extra);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_port(authority)?;
        let own_port = if tls { 443 } else { 80 };
        let port = port.unwrap_or(own_port);
        let name = host.trim_start_matches('[').trim_end_matches(']');
        if name.is_empty() {
            return Err(BaseUrlError::Host);
        }
        let authority = if port == own_port { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Base { tls, host: name.to_owned(), port, prefix: path.trim_end_matches('/').to_owned(), authority })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), BaseUrlError> {
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let Some(at) = colon else { return Ok((authority, None)) };
    match authority[at + 1..].parse::<u16>() {
        Ok(port) if port > 0 => Ok((&authority[..at], Some(port))),
        _ => Err(BaseUrlError::Port),
    }
}
