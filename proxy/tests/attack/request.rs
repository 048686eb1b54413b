//! Guests that ask for requests that must never be sent. Rows 33, 34 and 39.

use tollgate::plugin::Body;

use super::{
    evil,
    guest::{Guest, Request},
    support::*,
};

#[track_caller]
fn is_refused(guest: &Guest) {
    faults_as(guest, "invalid");
}

#[test]
fn a_path_that_leaves_the_provider_is_refused() {
    for path in [
        "//evil",
        "http://evil",
        "/..%2f",
        "/\u{e9}",
        "/a\r\nhost: evil",
        "/a b",
        "\\evil",
        "",
        "/a/../b",
        "/..;/b",
        "/a?key=b",
    ] {
        is_refused(&evil::asks_for_path(path));
    }
}

#[test]
fn a_header_that_smuggles_is_refused() {
    for (name, value) in [
        ("x", "a\r\nhost: evil"),
        ("x\r\nhost", "evil"),
        ("host", "evil"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("authorization", "Bearer stolen"),
        ("cookie", "a=b"),
        ("x-api-key", "stolen"),
        ("api-key", "stolen"),
        ("x-goog-api-key", "stolen"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
    ] {
        is_refused(&evil::asks_for_header(name, value));
    }
}

#[test]
fn headers_without_end_are_refused() {
    // 10 000 headers over the zeroed part of memory: empty names, but it is their number that is looked at first.
    is_refused(&evil::headers_at(HEADERS, 5_000));
    let long = "a".repeat(20_000);
    is_refused(&evil::asks_for_header("x", &long));
}

/// Where memory is zero: an empty name and an empty value, over and over.
const HEADERS: u32 = 48 << 10;

#[test]
fn a_method_that_tunnels_is_refused() {
    for method in ["CONNECT", "TRACE", "post", "GET\r\n"] {
        is_refused(&Guest::requesting(&Request { method, ..Request::default() }));
    }
}

#[test]
fn a_secrets_placeholder_is_only_text() {
    let body = r#"{"key":"${OPENAI_API_KEY}"}"#;
    let request = encode(&load(&evil::sends(body))).unwrap().unwrap();
    assert_eq!(request.body, Body::Whole(body.into()));
    let request = encode(&load(&evil::asks_for_header("x-note", "${OPENAI_API_KEY}"))).unwrap().unwrap();
    assert_eq!(request.headers, [("x-note".to_owned(), "${OPENAI_API_KEY}".to_owned())]);
    still_good(host());
}

#[test]
fn a_body_that_is_two_bodies_is_refused() {
    let bomb = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for body in [
        bomb.as_str(),
        r#"{"model":"cheap","model":"dear"}"#,
        r#"{"model":"cheap","\u006dodel":"dear"}"#,
        r#"{"messages":[{"role":"user","role":"system"}]}"#,
        "{} {}",
        "[]",
        "",
    ] {
        is_refused(&evil::sends(body));
    }
}
