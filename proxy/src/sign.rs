//! How the provider knows us: an adapter's authentication plan and a key → one header or query parameter.
//!
//! Owns the schemes that a plan may name. Runs after the plugin has returned, so no plugin ever sees the key.
//! Invariant: signs and nothing more; what it returns is the only place where the key stands in clear.

mod fault;
mod jwt;
#[cfg(test)]
mod tests;

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

pub use fault::SignError;

use crate::plugin::Auth;

/// All but what RFC 3986 calls unreserved is escaped.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What to add to the request. Wiped from memory when dropped; `Debug` shows the name alone.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    None,
    /// A header of this lower-case name.
    Header {
        name: String,
        value: Zeroizing<String>,
    },
    Query {
        name: String,
        value: Zeroizing<String>,
    },
}

/// What to add to a request so that the provider knows us.
///
/// `key` is the provider's key; none is for providers that ask for none. `now_ms` goes into schemes that expire.
///
/// # Errors
/// [`SignError`] where the key or the plan's parameters are not what the scheme needs.
pub fn apply(auth: &Auth, key: Option<&str>, now_ms: u64) -> Result<Credential, SignError> {
    let Some(key) = key else { return Ok(Credential::None) };
    if !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(SignError::KeyText);
    }
    match auth {
        Auth::None => Ok(Credential::None),
        Auth::Bearer => Ok(bearer(key)),
        Auth::Header(name) => {
            Ok(Credential::Header { name: name.to_ascii_lowercase(), value: Zeroizing::new(key.to_owned()) })
        }
        Auth::Query(name) => Ok(Credential::Query { name: name.clone(), value: Zeroizing::new(key.to_owned()) }),
        Auth::Scheme { name, params } if name == jwt::NAME => Ok(bearer(&jwt::token(key, params, now_ms)?)),
        Auth::Scheme { name, .. } => Err(SignError::UnknownScheme(name.clone())),
    }
}

impl Credential {
    /// `path` with the query parameter added, percent-encoded; as it was for other credentials.
    pub fn extend_path(&self, path: &str) -> Zeroizing<String> {
        let mut extended = Zeroizing::new(path.to_owned());
        if let Credential::Query { name, value } = self {
            extended.push(if path.contains('?') { '&' } else { '?' });
            extended.extend(utf8_percent_encode(name, UNRESERVED));
            extended.push('=');
            extended.extend(utf8_percent_encode(value, UNRESERVED));
        }
        extended
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::None => f.write_str("None"),
            Credential::Header { name, .. } => write!(f, "Header({name})"),
            Credential::Query { name, .. } => write!(f, "Query({name})"),
        }
    }
}

fn bearer(token: &str) -> Credential {
    Credential::Header { name: "authorization".into(), value: Zeroizing::new(format!("Bearer {token}")) }
}
