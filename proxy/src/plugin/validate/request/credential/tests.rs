use super::*;

#[test]
fn headers_that_carry_credentials_are_known_by_their_names() {
    for name in [
        "authorization",
        "x-authorization",
        "x-api-key",
        "api-key",
        "apikey",
        "x-apikey",
        "x_api_key",
        "key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
        "x-functions-key",
        "x-amz-security-token",
        "x-auth-token",
        "cookie",
        "set-cookie",
        "x-session",
        "x-secret",
        "x-signature",
    ] {
        assert!(is_header(name), "{name}");
    }
    for name in [
        "accept",
        "anthropic-version",
        "anthropic-beta",
        "openai-organization",
        "openai-project",
        "x-goog-user-project",
        "content-type",
        "user-agent",
        "idempotency-key",
        "x-stainless-lang",
        "http-referer",
        "x-title",
        "x-author",
        "x-keywords",
    ] {
        assert!(!is_header(name), "{name}");
    }
}

#[test]
fn query_parameters_that_carry_credentials_are_known_by_their_names() {
    for parameter in ["key=a", "KEY=a", "key", "api_key=", "apikey=a", "access_token=a", "sig=a", "X-Amz-Signature=a"] {
        assert!(is_parameter(parameter.as_bytes()), "{parameter}");
    }
    for parameter in ["alt=sse", "api-version=2024-10-21", "next=key", "beta=true", "", "a=b=key"] {
        assert!(!is_parameter(parameter.as_bytes()), "{parameter}");
    }
}
