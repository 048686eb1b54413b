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
    for name in ["key", "KEY", "api_key", "apikey", "access_token", "sig", "X-Amz-Signature", "code"] {
        assert!(is_parameter(name.as_bytes()), "{name}");
    }
    for name in ["alt", "api-version", "next", "beta", "", "country_code"] {
        assert!(!is_parameter(name.as_bytes()), "{name}");
    }
}

#[test]
fn names_written_together_and_numbered_names_carry_credentials_too() {
    for name in ["accesstoken", "AuthToken", "clientsecret", "userpassword", "pwd", "passwd", "db-pwd"] {
        assert!(is_parameter(name.as_bytes()) && is_header(&name.to_ascii_lowercase()), "{name}");
    }
    for name in ["key1", "api-key-2", "token_01", "sig2", "x-api-key3", "apikey10"] {
        assert!(is_parameter(name.as_bytes()) && is_header(name), "{name}");
    }
    for name in ["keywords2", "key-id-1", "sha256", "2", "x-tokens"] {
        assert!(!is_parameter(name.as_bytes()) && !is_header(name), "{name}");
    }
}
