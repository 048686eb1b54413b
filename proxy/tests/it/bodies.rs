//! Bodies and heads that do not come as they should, and what becomes of their connection.

use crate::support::*;

#[test]
fn a_body_that_cannot_be_read_ends_its_connection() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let next = get("/v1/models").bytes();
    for broken in ["5\r\n{\"a\":\r\nzz\r\n", "-5\r\nhello\r\n", "fffffffffffffffff\r\n", "5\nhello\n0\n\n", "g\r\n"] {
        let mut client = gateway.client();
        client.write(format!("{}transfer-encoding: chunked\r\n\r\n{broken}", chat("gpt").head("HTTP/1.1")).as_bytes());
        let answer = client.answer();
        assert_eq!(answer.is_refused(400, "body_incomplete").header("connection"), Some("close"), "{broken:?}");
        // Whether it is taken or not: it is not answered.
        let _ = client.try_write(&next);
        assert!(client.try_answer().is_err(), "{broken:?}: what follows was taken for a request");
    }
    gateway.still_serves();
}

#[test]
fn a_refusal_does_not_wait_for_the_body_and_the_connection_goes_on_after_it() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let body = "x".repeat(100_000);
    let refused = [
        (chat("gpt").with_key("sk-tg-nobody-knows-this"), 401, "invalid_api_key"),
        (chat("gpt").path("/v1/nowhere"), 404, "path_not_found"),
    ];
    let mut client = gateway.client();
    for (call, status, code) in refused {
        client.write(format!("{}content-length: {}\r\n\r\n", call.head("HTTP/1.1"), body.len()).as_bytes());
        // Only now does the body come.
        client.answer().is_refused(status, code);
        client.write(body.as_bytes());
        client.call(&chat("gpt")).is_good();
    }
}

#[test]
fn a_body_that_stops_coming_is_answered_and_ends_its_connection() {
    let provider = openai();
    let gateway = gateway(&provider).server("read_timeout_s = 1").run();
    let mut client = gateway.client();
    client.write(format!("{}content-length: 100\r\n\r\n{{", chat("gpt").head("HTTP/1.1")).as_bytes());
    let answer = client.answer();
    assert_eq!(answer.is_refused(408, "request_timeout").header("connection"), Some("close"));
    client.is_closed();
}

#[test]
fn a_head_request_is_answered_like_a_get_without_its_body() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    for path in ["/healthz", "/readyz", "/v1/models", "/v1/models/gpt"] {
        let whole = gateway.client().call(&get(path));
        let mut client = gateway.client();
        client.send(&get(path).method("HEAD"));
        let head = client.head();
        assert_eq!((head.status, head.header("content-length")), (200, whole.header("content-length")), "{path}");
        // Were a body there, it would be taken for the next head.
        client.send(&get(path).method("HEAD"));
        assert_eq!(client.head().status, 200, "{path}");
        let answer = H2Client::to(gateway.address).call(&get(path).method("HEAD"));
        assert_eq!((answer.status(), answer.body.len()), (200, 0), "{path}");
    }
}

#[test]
fn a_head_that_is_too_long_is_named_so_in_both_versions() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let long = "x".repeat(75_000);
    gateway.call(&get(&format!("/v1/models/{long}"))).is_refused(431, "head_too_large");
    gateway.call(&get("/v1/models").header("x-long", &long)).is_refused(431, "head_too_large");
    let mut client = H2Client::to(gateway.address);
    client.call(&get("/v1/models").header("x-long", &long)).is_refused(431, "head_too_large");
    client.call(&chat("gpt")).is_good();
}
