//! The request that an adapter wants sent. The host keeps authority, length, framing and credentials to itself.

mod credential;

use super::{
    super::{bindings::adapter::tollgate::plugin::types as wire, printable::printable},
    fault::{EditError, ValidateError},
    json::{self, DEPTH_MAX},
};
use crate::{call::Edit, framing::Framing};

const PATH_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 << 10;
const EDITS_MAX: usize = 256;
const EDIT_NAME_BYTES_MAX: usize = 256;
const STATE_BYTES_MAX: usize = 64 << 10;
const AUTH_NAME_BYTES_MAX: usize = 64;
/// Of a guest's name for something, where it is shown.
const SHOWN_BYTES_MAX: usize = 64;
const AUTH_PARAMS_BYTES_MAX: usize = 8 << 10;

/// What an adapter wants sent, found harmless: the path cannot name a host or climb, no header can split, smuggle or
/// carry a credential, and the body is strict JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query below the provider's base URL; begins with `/`.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub auth: Auth,
    /// How a successful answer is separated.
    pub framing: Framing,
    /// A successful answer is canonical as it comes.
    pub passthrough: bool,
    /// Comes back to the adapter with the answer.
    pub state: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The client's request with these fields set or removed.
    Edits(Vec<Edit>),
    /// A JSON object of the adapter's own.
    Whole(String),
}

/// How the host is to authenticate the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    None,
    /// `authorization: Bearer <secret>`
    Bearer,
    /// The secret as the value of this header; in lower case.
    Header(String),
    /// The secret as the value of this query parameter.
    Query(String),
    /// One of [`SCHEMES`].
    Scheme {
        name: String,
        params: String,
    },
}

/// The schemes that an authentication plan may name.
pub const SCHEMES: &[&str] = &["jwt-hs256"];

/// Admits a guest's request.
pub(in super::super) fn request(wire: wire::UpstreamRequest) -> Result<Request, ValidateError> {
    let method = match wire.method.as_str() {
        "POST" => "POST",
        "GET" => "GET",
        _ => return Err(ValidateError::Method),
    };
    let auth = auth(wire.auth)?;
    path(&wire.path, &auth).map_err(ValidateError::Path)?;
    if wire.state.as_ref().is_some_and(|state| state.len() > STATE_BYTES_MAX) {
        return Err(ValidateError::State);
    }
    Ok(Request {
        method,
        path: wire.path,
        headers: headers(wire.headers, &auth)?,
        body: body(wire.body)?,
        auth,
        framing: match wire.framing {
            wire::Framing::Whole => Framing::Whole,
            wire::Framing::Sse => Framing::Sse,
            wire::Framing::Ndjson => Framing::Ndjson,
            wire::Framing::JsonArray => Framing::JsonArray,
            wire::Framing::AwsEventstream => Framing::AwsEventStream,
        },
        passthrough: wire.passthrough,
        state: wire.state,
    })
}

fn path(path: &str, auth: &Auth) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("does not begin with `/`");
    }
    if path.len() > PATH_BYTES_MAX {
        return Err("is too long");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds a space, a control or a non-ASCII character");
    }
    if path.contains(['\\', '#', '"', '<', '>', '^', '`', '{', '|', '}']) {
        return Err("holds a character that a URL may not");
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = decoded(query)?;
    for parameter in query.split(|byte| b"&;".contains(byte)) {
        let name = parameter.split(|&byte| byte == b'=').next().unwrap_or_default();
        if credential::is_parameter(name) {
            return Err("carries a credential of its own in its query");
        }
        if matches!(auth, Auth::Query(place) if name.eq_ignore_ascii_case(place.as_bytes())) {
            return Err("fills the query parameter where the host puts the secret");
        }
    }
    // A proxy or a provider that decodes before it looks must find what was looked at here.
    let path = decoded(path)?;
    if path.iter().any(|&byte| byte == b'\\' || byte == b'%') {
        return Err("hides a character behind an escape");
    }
    let mut segments = path[1..].split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        // Some servers drop what follows a `;` before they resolve the segment.
        match segment.split(|&byte| byte == b';').next().unwrap_or_default() {
            b"" if segment.is_empty() && segments.peek().is_none() => {}
            b"" => return Err("holds an empty segment"),
            b"." | b".." => return Err("has a segment `.` or `..`"),
            _ => {}
        }
    }
    Ok(())
}

/// `text` without percent escapes.
fn decoded(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err("holds an invalid percent escape");
                };
                u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte")
            }
            byte => byte,
        };
        if byte.is_ascii_control() {
            return Err("hides a control character behind an escape");
        }
        plain.push(byte);
    }
    Ok(plain)
}

fn headers(wire: Vec<wire::HeaderResult>, auth: &Auth) -> Result<Vec<(String, String)>, ValidateError> {
    if wire.len() > HEADERS_MAX {
        return Err(ValidateError::Headers("too many headers"));
    }
    let bytes: usize = wire.iter().map(|header| header.name.len() + header.value.len()).sum();
    if bytes > HEADER_BYTES_MAX {
        return Err(ValidateError::Headers("headers are too long"));
    }
    let admit = |header: wire::HeaderResult| {
        let wire::HeaderResult { mut name, value } = header;
        name.make_ascii_lowercase();
        let secrets_place = matches!(auth, Auth::Header(place) if *place == name);
        match header_flaw(&name, &value).or(secrets_place.then_some("is where the host puts the secret")) {
            Some(reason) => Err(ValidateError::Header { name: shown(&name), reason }),
            None => Ok((name, value)),
        }
    };
    let admitted: Vec<(String, String)> = wire.into_iter().map(admit).collect::<Result<_, _>>()?;
    for once in ["content-type", "user-agent"] {
        if admitted.iter().filter(|(name, _)| name == once).count() > 1 {
            return Err(ValidateError::Header { name: once.to_owned(), reason: "stands there twice" });
        }
    }
    Ok(admitted)
}

fn header_flaw(name: &str, value: &str) -> Option<&'static str> {
    if !is_token(name) {
        return Some("is not a valid header name");
    }
    if is_hosts_own(name) {
        return Some("is the host's to set");
    }
    if credential::is_header(name) {
        return Some("carries a credential, which is the host's to set");
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t') {
        return Some("holds a control or a non-ASCII character");
    }
    if value.trim_ascii() != value {
        return Some("begins or ends with a space");
    }
    None
}

/// Headers that route, frame or encode: whoever sets them decides what the host decides.
fn is_hosts_own(name: &str) -> bool {
    const OWN: [&str; 33] = [
        "accept-encoding",
        "cf-connecting-ip",
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "origin",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "true-client-ip",
        "upgrade",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-host",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-method",
        "x-original-uri",
        "x-original-url",
        "x-originating-ip",
        "x-real-ip",
        "x-rewrite-url",
    ];
    OWN.binary_search(&name).is_ok()
        || name.starts_with("proxy-")
        || name.starts_with("sec-")
        || name.starts_with("x-forwarded-")
}

/// Headers that say what the request is. They are logged and shown where no secret may be.
fn describes_the_request(name: &str) -> bool {
    matches!(name, "content-type" | "user-agent" | "idempotency-key") || name.starts_with("accept")
}

fn body(wire: wire::RequestBody) -> Result<Body, ValidateError> {
    let edits = match wire {
        wire::RequestBody::Whole(text) => {
            json::object(&text, DEPTH_MAX).map_err(ValidateError::Body)?;
            return Ok(Body::Whole(text));
        }
        wire::RequestBody::Edits(edits) => edits,
    };
    if edits.len() > EDITS_MAX {
        return Err(ValidateError::Edits);
    }
    let mut admitted: Vec<Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        if let Some(reason) = edit_flaw(&edit, &admitted) {
            return Err(ValidateError::Edit { field: shown(&edit.field), reason });
        }
        admitted.push(Edit { field: edit.field, value: edit.value });
    }
    Ok(Body::Edits(admitted))
}

fn edit_flaw(edit: &wire::Edit, earlier: &[Edit]) -> Option<EditError> {
    if edit.field.is_empty() || edit.field.len() > EDIT_NAME_BYTES_MAX {
        return Some(EditError::Name);
    }
    if earlier.iter().any(|other| other.field == edit.field) {
        return Some(EditError::Twice);
    }
    // The value lands one level down, inside the request.
    let value = edit.value.as_ref()?;
    json::value(value, DEPTH_MAX - 1).err().map(EditError::Value)
}

fn auth(wire: wire::Auth) -> Result<Auth, ValidateError> {
    let named = |name: &str| {
        let fits = is_token(name) && name.len() <= AUTH_NAME_BYTES_MAX;
        fits.then_some(()).ok_or(ValidateError::Auth("has a name that is empty, too long, or not a token of HTTP"))
    };
    Ok(match wire {
        wire::Auth::None => Auth::None,
        wire::Auth::Bearer => Auth::Bearer,
        wire::Auth::Header(mut name) => {
            name.make_ascii_lowercase();
            named(&name)?;
            if is_hosts_own(&name) || describes_the_request(&name) || matches!(name.as_str(), "cookie" | "set-cookie") {
                return Err(ValidateError::Auth("puts the secret into a header that is not for secrets"));
            }
            Auth::Header(name)
        }
        wire::Auth::Query(name) => {
            named(&name)?;
            if name.contains(['&', '#', '%', '+']) {
                return Err(ValidateError::Auth("names a query parameter with a character that separates or escapes"));
            }
            Auth::Query(name)
        }
        wire::Auth::Scheme(scheme) => {
            if !SCHEMES.contains(&scheme.name.as_str()) {
                return Err(ValidateError::Scheme(shown(&scheme.name)));
            }
            if scheme.params.len() > AUTH_PARAMS_BYTES_MAX || json::object(&scheme.params, DEPTH_MAX).is_err() {
                return Err(ValidateError::Auth("has parameters that are not a JSON object"));
            }
            Auth::Scheme { name: scheme.name, params: scheme.params }
        }
    })
}

/// A guest's name for something, safe to show.
fn shown(name: &str) -> String {
    printable(name, SHOWN_BYTES_MAX)
}

/// Whether `text` is a token of RFC 9110: the alphabet of header names.
fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}

#[cfg(test)]
mod tests;
