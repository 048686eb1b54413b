use super::*;

fn wire() -> wire::UpstreamRequest {
    wire::UpstreamRequest {
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        headers: vec![],
        body: wire::RequestBody::Whole("{}".into()),
        auth: wire::Auth::Bearer,
        framing: wire::Framing::Sse,
        passthrough: false,
        state: None,
    }
}

fn header(name: &str, value: &str) -> wire::HeaderResult {
    wire::HeaderResult { name: name.into(), value: value.into() }
}

fn edit(field: &str, value: Option<&str>) -> wire::Edit {
    wire::Edit { field: field.into(), value: value.map(str::to_owned) }
}

#[test]
fn an_ordinary_request_is_admitted() {
    let admitted = request(wire::UpstreamRequest {
        headers: vec![header("Anthropic-Version", "2023-06-01"), header("accept", "text/event-stream, */*")],
        state: Some("s".into()),
        ..wire()
    });
    let expected = Request {
        method: "POST",
        path: "/v1/chat/completions".into(),
        headers: vec![
            ("anthropic-version".into(), "2023-06-01".into()),
            ("accept".into(), "text/event-stream, */*".into()),
        ],
        body: Body::Whole("{}".into()),
        auth: Auth::Bearer,
        framing: Framing::Sse,
        passthrough: false,
        state: Some("s".into()),
    };
    assert_eq!(admitted, Ok(expected));
}

#[test]
fn only_get_and_post_are_sent() {
    for method in ["CONNECT", "post", "PUT", "", "GET ", "POST / HTTP/1.1\r\nx: y\r\n\r\n"] {
        let refused = request(wire::UpstreamRequest { method: method.into(), ..wire() });
        assert_eq!(refused, Err(ValidateError::Method), "{method:?}");
    }
    assert!(request(wire::UpstreamRequest { method: "GET".into(), ..wire() }).is_ok());
}

#[test]
fn a_path_stays_below_the_base_url() {
    for good in [
        "/",
        "/v1/",
        "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        "/model/arn%3Aaws%3Abedrock%2Fx/invoke",
        "/deployments/caf%C3%A9",
        "/a.b/..c/...",
        "/a?next=//x&y=../..",
        "/a;v=1/b",
    ] {
        assert_eq!(path(good, &Auth::None), Ok(()), "{good}");
    }
    for bad in [
        "",
        "v1",
        "//evil",
        "http://evil",
        "/a//b",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/%2e%2e/b",
        "/a/..%2fb",
        "/a/%2E./b",
        "/a%2f%2fb",
        "/%2fevil",
        "/\\evil",
        "/a%5cb",
        "/a%252e%252e/b",
        "/a b",
        "/a\r\nx",
        "/a%0d%0ax",
        "/a%00",
        "/é",
        "/a#b",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a?b=%0d%0a",
        "/a?b=\\",
        "/a\t",
        "/a?b c",
        "/..;/admin",
        "/a/..;x=1/b",
        "/a/.;/b",
        "/a/%2e%2e;/b",
        "/;/a",
        "/v1/models?key=AIza",
        "/a?alt=sse&access_token=x",
        "/a?%6bey=x",
        "/a?b=1;api_key=x",
        "/{a}",
        "/a?%",
    ] {
        assert!(path(bad, &Auth::None).is_err(), "{bad:?}");
    }
    assert!(path(&format!("/{}", "a".repeat(PATH_BYTES_MAX)), &Auth::None).is_err());
}

#[test]
fn headers_that_route_frame_or_authenticate_are_refused() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "Authorization",
        "cookie",
        "proxy-authorization",
        "te",
        "upgrade",
        "expect",
        "x-forwarded-for",
        "accept-encoding",
        "forwarded",
        "via",
        "keep-alive",
        "trailer",
        "x-http-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "x-amz-security-token",
        "set-cookie",
    ] {
        assert!(header_flaw(&name.to_lowercase(), "x").is_some(), "{name}");
        let refused = request(wire::UpstreamRequest { headers: vec![header(name, "x")], ..wire() });
        assert!(matches!(refused, Err(ValidateError::Header { .. })), "{name}");
    }
}

#[test]
fn the_hosts_own_headers_can_be_searched() {
    for name in ["accept-encoding", "host", "via", "x-rewrite-url", "proxy-connection", "x-forwarded-host"] {
        assert!(is_hosts_own(name), "{name}");
    }
}

#[test]
fn the_header_of_the_plan_is_not_the_plugins_to_fill() {
    let headers = vec![header("x-vendor", "own")];
    let planned = |auth| request(wire::UpstreamRequest { headers: headers.clone(), auth, ..wire() });
    assert!(matches!(planned(wire::Auth::Header("X-Vendor".into())), Err(ValidateError::Header { .. })));
    assert!(planned(wire::Auth::Bearer).is_ok());
}

#[test]
fn the_query_parameter_of_the_plan_is_not_the_plugins_to_fill() {
    let with = |path: &str| {
        request(wire::UpstreamRequest { path: path.into(), auth: wire::Auth::Query("Account".into()), ..wire() })
    };
    for bad in ["/v1?Account=mine", "/v1?a=b&account=mine", "/v1?%41ccount", "/v1?a;Account=mine"] {
        let refused = with(bad).map(drop);
        assert_eq!(
            refused,
            Err(ValidateError::Path("fills the query parameter where the host puts the secret")),
            "{bad}"
        );
    }
    for good in ["/v1", "/v1?a=Account", "/Account=a", "/v1?accounts=2"] {
        assert_eq!(with(good).map(drop), Ok(()), "{good}");
    }
}

#[test]
fn content_type_and_user_agent_stand_there_once() {
    for name in ["content-type", "User-Agent"] {
        let with = |headers| request(wire::UpstreamRequest { headers, ..wire() });
        assert!(with(vec![header(name, "a")]).is_ok(), "{name}");
        assert!(matches!(with(vec![header(name, "a"), header(name, "b")]), Err(ValidateError::Header { .. })));
    }
}

#[test]
fn a_header_cannot_split_the_request() {
    for (name, value) in [
        ("x", "a\r\nhost: evil"),
        ("x", "a\nb"),
        ("x", "a\0"),
        ("x", "é"),
        ("x", " a"),
        ("x", "a\t"),
        ("x\r\ny", "a"),
        ("", "a"),
        (":path", "a"),
        ("x y", "a"),
        ("x:", "a"),
        ("é", "a"),
        ("x", "\u{7f}"),
    ] {
        let refused = request(wire::UpstreamRequest { headers: vec![header(name, value)], ..wire() });
        assert!(matches!(refused, Err(ValidateError::Header { .. })), "{name:?}: {value:?}");
    }
}

#[test]
fn headers_are_bounded_in_number_and_bytes() {
    let many = (0..10_000).map(|n| header(&format!("x-{n}"), "a")).collect();
    assert!(matches!(request(wire::UpstreamRequest { headers: many, ..wire() }), Err(ValidateError::Headers(_))));
    let long = vec![header("x", &"a".repeat(1 << 20))];
    assert!(matches!(request(wire::UpstreamRequest { headers: long, ..wire() }), Err(ValidateError::Headers(_))));
}

#[test]
fn a_secrets_placeholder_is_forwarded_as_it_stands() {
    let admitted = request(wire::UpstreamRequest {
        headers: vec![header("x-note", "${OPENAI_API_KEY}")],
        body: wire::RequestBody::Whole(r#"{"key":"${OPENAI_API_KEY} {{secret}}"}"#.into()),
        ..wire()
    })
    .unwrap();
    assert_eq!(admitted.headers[0].1, "${OPENAI_API_KEY}");
    assert_eq!(admitted.body, Body::Whole(r#"{"key":"${OPENAI_API_KEY} {{secret}}"}"#.into()));
}

#[test]
fn a_body_is_one_strict_json_object() {
    for bad in ["", "[]", "null", "{", "{\"a\":1,\"a\":2}", "{}{}"] {
        let refused = request(wire::UpstreamRequest { body: wire::RequestBody::Whole(bad.into()), ..wire() });
        assert!(matches!(refused, Err(ValidateError::Body(_))), "{bad:?}");
    }
    let bomb = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let refused = request(wire::UpstreamRequest { body: wire::RequestBody::Whole(bomb), ..wire() });
    assert!(matches!(refused, Err(ValidateError::Body(_))));
}

#[test]
fn edits_set_and_remove_fields_once_each() {
    let edits = |edits| request(wire::UpstreamRequest { body: wire::RequestBody::Edits(edits), ..wire() });
    let admitted = edits(vec![edit("model", Some("\"m\"")), edit("user", None)]).unwrap();
    let expected =
        vec![Edit { field: "model".into(), value: Some("\"m\"".into()) }, Edit { field: "user".into(), value: None }];
    assert_eq!(admitted.body, Body::Edits(expected));
    for bad in [
        vec![edit("", Some("1"))],
        vec![edit("a", Some("1")), edit("a", None)],
        vec![edit("a", Some("1,\"b\":2"))],
        vec![edit("a", Some(""))],
        vec![edit(&"a".repeat(257), None)],
    ] {
        assert!(matches!(edits(bad.clone()), Err(ValidateError::Edit { .. })), "{bad:?}");
    }
    assert_eq!(edits((0..257).map(|n| edit(&n.to_string(), None)).collect()), Err(ValidateError::Edits));
}

#[test]
fn an_authentication_plan_cannot_misplace_the_secret() {
    for good in [
        wire::Auth::None,
        wire::Auth::Header("X-Api-Key".into()),
        wire::Auth::Header("authorization".into()),
        wire::Auth::Query("key".into()),
        wire::Auth::Scheme(wire::AuthScheme { name: "jwt-hs256".into(), params: "{}".into() }),
    ] {
        assert!(auth(good.clone()).is_ok(), "{good:?}");
    }
    for bad in [
        wire::Auth::Header("host".into()),
        wire::Auth::Header("User-Agent".into()),
        wire::Auth::Header("content-type".into()),
        wire::Auth::Header("accept".into()),
        wire::Auth::Header("cookie".into()),
        wire::Auth::Header("x-original-url".into()),
        wire::Auth::Scheme(wire::AuthScheme { name: "rot13".into(), params: "{}".into() }),
        wire::Auth::Header("content-length".into()),
        wire::Auth::Header("x\r\ny".into()),
        wire::Auth::Header("".into()),
        wire::Auth::Query("a&b".into()),
        wire::Auth::Query("a=b".into()),
        wire::Auth::Query("".into()),
        wire::Auth::Scheme(wire::AuthScheme { name: "a b".into(), params: "{}".into() }),
        wire::Auth::Scheme(wire::AuthScheme { name: "a".into(), params: "[]".into() }),
    ] {
        assert!(auth(bad.clone()).is_err(), "{bad:?}");
    }
}

#[test]
fn state_is_bounded() {
    let state = Some("a".repeat(STATE_BYTES_MAX + 1));
    assert_eq!(request(wire::UpstreamRequest { state, ..wire() }), Err(ValidateError::State));
}
