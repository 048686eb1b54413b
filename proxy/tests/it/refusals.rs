//! Bad input: each gets a clear error with a stable code, exactly one row, and leaves nothing held.

use crate::support::*;

/// A key with room for one call at a time and hardly more tokens than one call holds: whatever a refused call leaves
/// held keeps the next one out.
const TIGHT: &str = "concurrent = 1, tokens_total = 5000";

/// One bad body, and what is to be said of it.
struct Case {
    body: &'static [u8],
    code: &'static str,
    param: Option<&'static str>,
}

const fn case(body: &'static str, code: &'static str, param: Option<&'static str>) -> Case {
    Case { body: body.as_bytes(), code, param }
}

const BODIES: &[Case] = &[
    case("", "invalid_json", None),
    case("{", "invalid_json", None),
    case(r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}]"#, "invalid_json", None),
    case(r#"{"model":"gpt",}"#, "invalid_json", None),
    case(r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}]} x"#, "invalid_json", None),
    case(r#"{'model':'gpt'}"#, "invalid_json", None),
    case("{\"model\":\"g\npt\"}", "invalid_json", None),
    case("[]", "invalid_json", None),
    case("null", "invalid_json", None),
    case(r#"{"messages":[{"role":"user","content":"hi"}]}"#, "missing_required_parameter", Some("model")),
    case(r#"{"model":"gpt"}"#, "missing_required_parameter", Some("messages")),
    case(r#"{"model":5,"messages":[{"role":"user","content":"hi"}]}"#, "invalid_type", Some("model")),
    case(r#"{"model":"gpt","messages":"hi"}"#, "invalid_type", Some("messages")),
    case(r#"{"model":"gpt","messages":[]}"#, "invalid_value", Some("messages")),
    case(r#"{"model":"gpt","messages":["hi"]}"#, "invalid_type", Some("messages[0]")),
    case(r#"{"model":"gpt","messages":[{"role":7}]}"#, "invalid_type", Some("messages[0].role")),
    case(r#"{"model":"gpt","messages":[{"role":"user"}],"stream":"yes"}"#, "invalid_type", Some("stream")),
    case(r#"{"model":"gpt","messages":[{"role":"user"}],"max_tokens":"9"}"#, "invalid_type", Some("max_tokens")),
    case(r#"{"model":"gpt","messages":[{"role":"user"}],"max_tokens":-9}"#, "invalid_value", Some("max_tokens")),
    case(r#"{"model":"gpt","messages":[{"role":"user"}],"n":0}"#, "invalid_value", Some("n")),
    case(r#"{"model":"gpt","model":"gpt","messages":[{"role":"user"}]}"#, "duplicate_field", Some("model")),
    Case {
        body: b"{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
        code: "invalid_json",
        param: None,
    },
];

#[test]
fn a_bad_body_is_told_what_is_wrong_with_it() {
    let provider = openai();
    let gateway = gateway(&provider).limits(TIGHT).run();
    let mut client = gateway.client();
    let mut refused = Vec::new();
    for case in BODIES {
        let shown = String::from_utf8_lossy(case.body);
        let answer = client.call(&chat("gpt").body(case.body));
        assert_eq!(answer.json()["error"]["param"].as_str(), case.param, "{shown}: {answer}");
        answer.is_refused(400, case.code);
        refused.push((answer.request_id(), case.code));
        // The same connection and the same key go on.
        client.call(&chat("gpt").with("max_tokens", 4000)).is_good();
    }
    assert_eq!(provider.calls(), BODIES.len() as u64);
    let stopped = gateway.stop();
    let rows: Vec<_> = stopped.failed_rows().into_iter().map(|row| (row.request_id, row.error_class)).collect();
    let expected: Vec<_> = refused.into_iter().map(|(id, code)| (id, code.to_owned())).collect();
    assert_eq!(rows, expected);
    assert_eq!(stopped.rows().len(), 2 * BODIES.len());
}

#[test]
fn a_depth_bomb_is_refused_wherever_it_lies() {
    let provider = openai();
    let gateway = gateway(&provider).limits(TIGHT).run();
    let mut client = gateway.client();
    let bomb = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for body in [
        r#"{"a":"#.repeat(1_000_000),
        format!(r#"{{"model":"gpt","messages":[{{"role":"user","content":{bomb}}}]}}"#),
        format!(r#"{{"model":"gpt","messages":[{{"role":"user"}}],"x":{}}}"#, r#"{"a":"#.repeat(1000)),
    ] {
        client.call(&chat("gpt").body(body)).is_refused(400, "json_too_deep");
        client.call(&chat("gpt").with("max_tokens", 4000)).is_good();
    }
    assert_eq!(gateway.stop().failed_rows().len(), 3);
}

#[test]
fn ten_thousand_headers_are_refused_in_words() {
    let provider = openai();
    let gateway = gateway(&provider).limits(TIGHT).run();
    for count in [201, 250, 300, 10_000] {
        let mut call = chat("gpt");
        call.headers.extend((0..count).map(|it| (format!("x-header-{it}"), "value".to_owned())));
        gateway.call(&call).is_refused(431, "head_too_large");
    }
    let mut long = chat("gpt").header("x-long", &"x".repeat(100_000));
    gateway.call(&long).is_refused(431, "head_too_large");
    long = chat("gpt").header("x-long", &"x".repeat(3_000_000));
    gateway.call(&long).is_refused(431, "head_too_large");
    gateway.still_serves();
    let stopped = gateway.stop();
    assert_eq!((stopped.failed_rows().len(), stopped.refusals()), (0, counts([("head_too_large", 6)])));
}

#[test]
fn what_is_not_http_is_closed_and_harms_nobody() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    for noise in
        ["\x16\x03\x01\x02\x00\x01\x00", "GET\r\n\r\n", "\0\0\0\0\r\n\r\n", "POST /v1/chat/completions HTTP/9\r\n\r\n"]
    {
        let mut client = gateway.client();
        client.write(noise.as_bytes());
        client.half_close();
        // An answer or none: but the connection ends.
        while client.try_answer().is_ok() {}
    }
    gateway.still_serves();
}

#[test]
fn a_body_of_33_mib_is_refused_and_the_connection_serves_on() {
    let provider = openai();
    let gateway = gateway(&provider).limits(TIGHT).run();
    let mut client = gateway.client();
    let body = format!(r#"{{"model":"gpt","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(33 << 20));
    client.call(&chat("gpt").body(body.clone())).is_refused(413, "request_too_large");
    client.call(&chat("gpt").with("max_tokens", 4000)).is_good();

    // In chunks, nothing announces the length.
    client.write(chat("gpt").head("HTTP/1.1").as_bytes());
    client.write(b"transfer-encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(1 << 20) {
        client.write(format!("{:x}\r\n", piece.len()).as_bytes());
        client.write(piece);
        client.write(b"\r\n");
    }
    client.write(b"0\r\n\r\n");
    client.answer().is_refused(413, "request_too_large");
    client.call(&chat("gpt").with("max_tokens", 4000)).is_good();
    assert_eq!(provider.calls(), 2);
    assert_eq!(gateway.stop().failed_rows().len(), 2);
}

#[test]
fn a_key_that_is_not_good_is_refused_before_its_body_is_read() {
    let provider = openai();
    let gateway = gateway(&provider).key("expired", r#"expires = "2020-01-01T00:00:00Z""#).key("revoked", "").run();
    gateway.call(&chat("gpt").by("revoked")).is_good();
    gateway.command(&["key", "revoke", "revoked"]);

    let mut client = gateway.client();
    let cases = [
        (chat("gpt").without("authorization"), "key_missing"),
        (chat("gpt").header("authorization", "Bearer "), "key_missing"),
        (chat("gpt").header("authorization", "Basic abc"), "invalid_api_key"),
        (chat("gpt").with_key("sk-tg-nobody-knows-this"), "invalid_api_key"),
        (chat("gpt").with_key(&"x".repeat(2000)), "invalid_api_key"),
        (chat("gpt").by("expired"), "key_expired"),
        (chat("gpt").by("revoked"), "key_revoked"),
        // Even the body is no matter then.
        (chat("gpt").with_key("sk-tg-nobody-knows-this").body("{"), "invalid_api_key"),
    ];
    for (call, code) in &cases {
        client.call(call).is_refused(401, code).should_retry(None);
        client.call(&chat("gpt")).is_good();
    }
    // Strangers are counted, and leave no rows.
    let stopped = gateway.stop();
    let counted = counts([("invalid_api_key", 4), ("key_expired", 1), ("key_missing", 2), ("key_revoked", 1)]);
    assert_eq!((stopped.failed_rows().len(), stopped.refusals()), (0, counted));
}

#[test]
fn a_key_made_beside_the_gateway_serves_the_next_call_and_revoked_not_the_one_after() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let key = gateway.command(&["key", "create", "--name", "app", "--models", "gpt"]);
    let key = key.trim();
    assert!(key.starts_with("sk-tg-"), "{key}");
    let mut client = gateway.client();
    client.call(&chat("gpt").with_key(key)).is_good();
    gateway.command(&["key", "revoke", "app"]);
    client.call(&chat("gpt").with_key(key)).is_refused(401, "key_revoked");
    // It stays so, whatever is started again.
    let gateway = gateway.stop().restart();
    gateway.call(&chat("gpt").with_key(key)).is_refused(401, "key_revoked");
}

#[test]
fn a_revoked_key_of_the_configuration_stays_revoked_when_it_leaves_and_comes_back() {
    let provider = openai();
    let setup = || gateway(&provider).key("other", "");
    let gateway = setup().run();
    gateway.call(&chat("gpt").by("other")).is_good();
    gateway.command(&["key", "revoke", "other"]);
    let gateway = gateway.stop().restart_as(&self::gateway(&provider));
    gateway.call(&chat("gpt").by("other")).is_refused(401, "key_revoked");
    let gateway = gateway.stop().restart_as(&setup());
    gateway.call(&chat("gpt").by("other")).is_refused(401, "key_revoked");
    gateway.still_serves();
}

#[test]
fn a_model_that_is_unknown_or_not_the_keys_is_refused() {
    let provider = openai();
    let gateway = gateway(&provider).serves("secret").key("narrow", r#"models = ["gpt"]"#).run();
    let mut client = gateway.client();
    client.call(&chat("nothing")).is_refused(404, "model_not_found").for_its("model");
    client.call(&chat("GPT")).is_refused(404, "model_not_found");
    client.call(&chat("secret").by("narrow")).is_refused(403, "model_not_allowed").for_its("model");
    client.call(&chat("nothing").by("narrow")).is_refused(404, "model_not_found");
    client.call(&chat("gpt").by("narrow")).is_good();
    assert_eq!(provider.calls(), 1);
    assert_eq!(gateway.stop().failed_rows().len(), 4);
}

#[test]
fn a_path_or_method_that_is_not_there_is_refused() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = gateway.client();
    client.call(&post("/v1/nowhere")).is_refused(404, "path_not_found");
    client.call(&chat("gpt").path("/v2/chat/completions")).is_refused(404, "path_not_found");
    client.call(&get("/v1/chat/completions")).is_refused(405, "method_not_allowed");
    client.call(&chat("gpt").method("PUT")).is_refused(405, "method_not_allowed");
    client.call(&chat("gpt")).is_good();
    let stopped = gateway.stop();
    let counted = counts([("method_not_allowed", 2), ("path_not_found", 2)]);
    assert_eq!((stopped.failed_rows().len(), stopped.refusals()), (0, counted));
}

#[test]
fn a_body_that_never_ends_is_refused_in_time() {
    let provider = openai();
    let gateway = gateway(&provider).limits(TIGHT).server("read_timeout_s = 1").run();
    let mut client = gateway.client();
    let call = chat("gpt").bytes();
    client.write(&call[..call.len() - 5]);
    client.answer().is_refused(408, "request_timeout");
    client.is_closed();

    let mut client = gateway.client();
    client.write(&call[..call.len() - 5]);
    client.half_close();
    client.answer().is_refused(400, "body_incomplete");
    gateway.still_serves();
    let classes: Vec<String> = gateway.stop().failed_rows().into_iter().map(|row| row.error_class).collect();
    assert_eq!(classes, ["request_timeout", "body_incomplete"]);
}

#[test]
fn a_bad_configuration_changes_nothing_and_says_every_fault() {
    let provider = openai();
    let setup = gateway(&provider).with("[nonsense]\na = 1").model("broken", &[("nobody", "x")], "surprise = 1");
    let house = setup.house();
    let said = fails(&house, &["check"], 2);
    for fault in ["nonsense", "nobody", "surprise"] {
        assert!(said.contains(fault), "{said}");
    }
    assert_eq!(fails(&house, &["serve"], 2), said);
    assert!(!house.data_dir().join("store").exists());
}

/// Requests of nobody. By hand, 200 000 of them grow the disk as little.
const JUNK: usize = 8_000;
const JUNK_DISK_BYTES_MAX: u64 = 1_000_000;

#[test]
fn a_flood_of_junk_leaves_a_count_and_next_to_nothing_on_the_disk() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let ask = |number: usize| {
        let key = format!("sk-tg-nobody-{number}");
        gateway.call(&chat("gpt").with_key(&key)).is_refused(401, "invalid_api_key");
    };
    ask(0);
    let before = allocated_bytes(&gateway.house().data_dir());
    std::thread::scope(|scope| {
        for client in 0..4 {
            let ask = &ask;
            scope.spawn(move || (0..JUNK / 4).for_each(|turn| ask(1 + client + 4 * turn)));
        }
    });
    let grown = allocated_bytes(&gateway.house().data_dir()).saturating_sub(before);
    assert!(grown < JUNK_DISK_BYTES_MAX, "{JUNK} requests of nobody took {grown} bytes");
    let stopped = gateway.stop();
    assert!(stopped.rows().is_empty());
    assert_eq!(stopped.refusals(), counts([("invalid_api_key", 1 + JUNK as u64)]));
}

/// What a folder takes on the disk. Files that go away meanwhile take nothing.
fn allocated_bytes(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(file) if file.is_dir() => allocated_bytes(&entry.path()),
        Ok(file) => file.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

#[test]
fn no_log_level_shows_a_providers_key() {
    let provider = openai();
    let gateway = gateway(&provider).with("[log]\nlevel = \"trace\"").run();
    gateway.call(&chat("gpt")).is_good();
    let log = gateway.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the level is in force");
    for secret in ["sk-good-key", &key_of("main"), &gateway.admin_token()] {
        assert!(!log.contains(secret), "the log holds `{secret}`");
    }
}
