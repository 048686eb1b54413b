use super::*;

const NOW_MS: u64 = 1_700_000_000_000;

fn header(name: &str, value: &str) -> Credential {
    Credential::Header { name: name.into(), value: Zeroizing::new(value.into()) }
}

fn jwt(params: &str) -> Auth {
    Auth::Scheme { name: "jwt-hs256".into(), params: params.into() }
}

#[test]
fn each_plan_puts_the_key_where_it_says() {
    let query = Credential::Query { name: "key".into(), value: Zeroizing::new("k-1".into()) };
    for (auth, expected) in [
        (Auth::None, Credential::None),
        (Auth::Bearer, header("authorization", "Bearer k-1")),
        (Auth::Header("X-Api-Key".into()), header("x-api-key", "k-1")),
        (Auth::Query("key".into()), query),
    ] {
        assert_eq!(apply(&auth, Some("k-1"), NOW_MS), Ok(expected));
    }
}

#[test]
fn a_provider_without_keys_is_sent_no_credential() {
    for auth in [Auth::None, Auth::Bearer, Auth::Header("x".into()), Auth::Query("x".into()), jwt("{}")] {
        assert_eq!(apply(&auth, None, NOW_MS), Ok(Credential::None));
    }
}

#[test]
fn zhipus_token_is_signed_as_its_sdk_signs_it() {
    let expected = "Bearer eyJhbGciOiJIUzI1NiIsInNpZ25fdHlwZSI6IlNJR04ifQ.eyJhcGlfa2V5IjoiYWJjMTIzIiwiZXhwIjoxNzAwMDAwMjEwMDAwLCJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDB9.gmfkVJ7-pS_egGh05fVC-qyMeXzj1igmDM1gK6KnuUY";
    for params in ["", "{}", r#"{"life_ms":210000,"header":{"sign_type":"SIGN"}}"#] {
        assert_eq!(apply(&jwt(params), Some("abc123.sekret"), NOW_MS), Ok(header("authorization", expected)));
    }
}

#[test]
fn a_key_without_two_halves_is_named_by_its_form_only() {
    for key in ["abc123", ".sekret", "abc123."] {
        let refused = apply(&jwt("{}"), Some(key), NOW_MS).unwrap_err();
        assert!(matches!(refused, SignError::KeyForm { .. }));
        assert!(!refused.to_string().contains(key));
    }
}

#[test]
fn parameters_that_the_scheme_does_not_take_are_refused() {
    for params in [
        "3",
        "{",
        r#"{"header":{"alg":"none"}}"#,
        r#"{"lifetime":1}"#,
        r#"{"life_ms":0}"#,
        r#"{"life_ms":86400001}"#,
        r#"{"life_ms":-1}"#,
    ] {
        assert!(matches!(apply(&jwt(params), Some("a.b"), NOW_MS), Err(SignError::Params { .. })), "{params}");
    }
}

#[test]
fn an_unknown_scheme_is_refused_by_name() {
    let auth = Auth::Scheme { name: "rot13".into(), params: "{}".into() };
    assert_eq!(apply(&auth, Some("k"), NOW_MS), Err(SignError::UnknownScheme("rot13".into())));
}

#[test]
fn every_scheme_that_a_plan_may_name_signs() {
    for scheme in crate::plugin::SCHEMES {
        let auth = Auth::Scheme { name: (*scheme).into(), params: "{}".into() };
        assert!(apply(&auth, Some("a.b"), NOW_MS).is_ok(), "{scheme}");
    }
}

#[test]
fn a_key_that_would_break_its_header_is_refused() {
    for key in ["a\r\nx-evil: 1", "a\0b", "schl\u{fc}ssel"] {
        assert_eq!(apply(&Auth::Bearer, Some(key), NOW_MS), Err(SignError::KeyText));
    }
}

#[test]
fn a_query_credential_extends_the_path() {
    let credential = Credential::Query { name: "k".into(), value: Zeroizing::new("a b&c=d/é".into()) };
    assert_eq!(*credential.extend_path("/v1/x"), "/v1/x?k=a%20b%26c%3Dd%2F%C3%A9");
    assert_eq!(*credential.extend_path("/v1/x?alt=sse"), "/v1/x?alt=sse&k=a%20b%26c%3Dd%2F%C3%A9");
    assert_eq!(*header("a", "b").extend_path("/v1/x"), "/v1/x");
}

#[test]
fn a_credential_shows_its_name_alone() {
    let shown = format!("{:?}", [header("x-api-key", "hunter2"), Credential::None]);
    assert_eq!(shown, "[Header(x-api-key), None]");
}
