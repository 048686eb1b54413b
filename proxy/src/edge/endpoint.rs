//! Which part of the gateway a request is for: method and path alone.

use percent_encoding::percent_decode_str;

use crate::call::Operation;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Call(Operation),
    Models,
    /// One model, by its decoded id.
    Model(String),
    /// The process lives.
    Health,
    /// The process takes calls.
    Ready,
    /// A browser asks what it may send.
    Preflight,
    Unknown,
    WrongMethod,
}

/// Finds the endpoint. Tolerates what clients make of a base URL: doubled and trailing slashes, `/v1` missing or doubled,
/// any query.
pub(super) fn endpoint(method: &http::Method, target: &str) -> Endpoint {
    if method == http::Method::OPTIONS {
        return Endpoint::Preflight;
    }
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    while parts.next_if_eq(&"v1").is_some() {}
    let parts: Vec<&str> = parts.collect();
    let (wanted, endpoint) = match parts.as_slice() {
        ["chat", "completions"] => (http::Method::POST, Endpoint::Call(Operation::Chat)),
        ["embeddings"] => (http::Method::POST, Endpoint::Call(Operation::Embeddings)),
        ["models"] => (http::Method::GET, Endpoint::Models),
        ["models", id @ ..] => match percent_decode_str(&id.join("/")).decode_utf8() {
            Ok(id) => (http::Method::GET, Endpoint::Model(id.into_owned())),
            Err(_) => return Endpoint::Unknown,
        },
        ["healthz"] => (http::Method::GET, Endpoint::Health),
        ["readyz"] => (http::Method::GET, Endpoint::Ready),
        _ => return Endpoint::Unknown,
    };
    let is_taken = *method == wanted || (*method == http::Method::HEAD && wanted == http::Method::GET);
    if is_taken { endpoint } else { Endpoint::WrongMethod }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn the_openai_face_is_found_with_and_without_its_version() {
        for path in
            ["/v1/chat/completions", "/chat/completions", "//v1//chat/completions/", "/v1/v1/chat/completions?x=1"]
        {
            assert_eq!(endpoint(&Method::POST, path), Endpoint::Call(Operation::Chat), "{path}");
        }
        assert_eq!(endpoint(&Method::POST, "/v1/embeddings"), Endpoint::Call(Operation::Embeddings));
        assert_eq!(endpoint(&Method::GET, "/models"), Endpoint::Models);
    }

    #[test]
    fn a_model_id_may_hold_slashes_raw_or_encoded() {
        for path in ["/v1/models/openrouter/x/y:z", "/v1/models/openrouter%2Fx%2fy%3Az"] {
            assert_eq!(endpoint(&Method::GET, path), Endpoint::Model("openrouter/x/y:z".into()), "{path}");
        }
        assert_eq!(endpoint(&Method::GET, "/v1/models/50%"), Endpoint::Model("50%".into()));
        assert_eq!(endpoint(&Method::GET, "/v1/models/%ff"), Endpoint::Unknown);
    }

    #[test]
    fn other_paths_and_methods_are_told_apart() {
        assert_eq!(endpoint(&Method::GET, "/v1/chat/completions"), Endpoint::WrongMethod);
        assert_eq!(endpoint(&Method::POST, "/v1/Chat/completions"), Endpoint::Unknown);
        assert_eq!(endpoint(&Method::GET, "/"), Endpoint::Unknown);
        assert_eq!(endpoint(&Method::OPTIONS, "/v1/anything"), Endpoint::Preflight);
        assert_eq!(endpoint(&Method::GET, "/healthz"), Endpoint::Health);
        assert_eq!(endpoint(&Method::HEAD, "/readyz"), Endpoint::Ready);
        assert_eq!(endpoint(&Method::HEAD, "/v1/models"), Endpoint::Models);
        assert_eq!(endpoint(&Method::HEAD, "/v1/embeddings"), Endpoint::WrongMethod);
    }
}
