//! Plugins that attack, in a running gateway: the client gets an error in OpenAI's shape, the call its row, and the
//! next call is served.

#[path = "../guests/evil.rs"]
pub(crate) mod evil;
#[path = "../guests/guest.rs"]
pub(crate) mod guest;

use guest::{Guest, Request};

use crate::support::*;

/// Room for one call at a time. A cap on tokens would refuse guests that say nothing of how much may be answered.
const ONE: &str = "concurrent = 1";
/// Room for one call at a time, and for the tokens of hardly more than one.
const TIGHT: &str = "concurrent = 1, tokens_total = 9000";

/// A setup with a provider and a model called `name`, served by this guest.
pub(crate) fn with_guest(setup: Setup, name: &str, base_url: &str, guest: &Guest) -> Setup {
    let keys = "keys = [\"sk-provider-0123456789\"]";
    setup.plugin(name, guest.component()).provider(name, name, base_url, keys).model(name, &[(name, "m")], "")
}

/// Where a fake's paths begin: guests name theirs from there.
pub(crate) fn root(provider: &Provider) -> String {
    format!("http://{}", provider.address())
}

/// A gateway with a good provider, and with a model for each of these guests, named as they are.
fn gateway_with(good: &Provider, base_url: &str, limits: &str, guests: &[(String, Guest)]) -> Gateway {
    let setup = gateway(good).limits(limits);
    guests.iter().fold(setup, |setup, (name, guest)| with_guest(setup, name, base_url, guest)).run()
}

fn named(guests: Vec<(&str, Guest)>) -> Vec<(String, Guest)> {
    guests.into_iter().map(|(name, guest)| (name.to_owned(), guest)).collect()
}

#[test]
fn an_adapter_that_misbehaves_before_anything_is_sent_costs_one_call() {
    let (good, provider) = (openai(), openai());
    let mut guests = named(vec![
        ("loops", evil::loops_in_encode()),
        ("loops-in-realloc", evil::loops_in_realloc()),
        ("loops-in-post-return", evil::loops_in_post_return()),
        ("fills-for-ever", evil::fills_forever()),
        ("recurses", evil::recurses()),
        ("aborts", evil::aborts_when_refused()),
        ("traps", evil::traps("unreachable")),
        ("out-of-bounds", evil::body_at(1 << 20, 1 << 30)),
        ("noise", evil::body_of_noise()),
        ("endless-body", evil::body_of(40 << 20)),
        ("aliases", evil::headers_that_alias()),
        ("bad-discriminant", evil::discriminant(44, 99)),
        ("injects-a-line", evil::asks_for_header("x-a", "b\r\nhost: evil.test")),
        ("names-a-host", evil::asks_for_header("host", "evil.test")),
        ("frames-its-body", evil::asks_for_header("content-length", "5")),
        ("brings-a-key", evil::asks_for_header("authorization", "Bearer stolen")),
    ]);
    for (index, path) in
        ["//evil.test/", "http://evil.test/", "/a/../b", "/%2e%2e/b", "/ü", "no-slash", "/a b"].iter().enumerate()
    {
        guests.push((format!("path-{index}"), evil::asks_for_path(path)));
    }
    for (index, method) in ["CONNECT", "get", "G T"].into_iter().enumerate() {
        guests.push((format!("method-{index}"), Guest::requesting(&Request { method, ..Request::default() })));
    }
    let gateway = gateway_with(&good, &root(&provider), TIGHT, &guests);
    let mut client = gateway.client();
    let mut refused = Vec::new();
    for (name, _) in &guests {
        for call in [chat(name), chat(name).streamed()] {
            let answer = client.call(&call);
            let late = name.starts_with("loops") || name == "fills-for-ever";
            let (status, code) = if late { (504, "plugin_deadline_exceeded") } else { (502, "plugin_failed") };
            answer.is_refused(status, code).should_retry(Some(false));
            assert!(!answer.text().contains("wasm"), "{answer}");
            refused.push((answer.request_id(), code, name));
            client.call(&chat("gpt").with("max_tokens", 4000)).is_good();
        }
        assert!(gateway.metric("tollgate_plugin_traps_total", &[("plugin", name)]) >= 2.0, "{name}");
    }
    gateway.becomes_idle();
    assert_eq!(provider.calls(), 0, "something was sent");
    let stopped = gateway.stop();
    for (id, code, name) in refused {
        let row = stopped.row_of(&id);
        assert_eq!((row.error_class.as_str(), row.provider.as_str(), row.tokens.total()), (code, name.as_str(), 0));
    }
}

#[test]
fn an_adapter_that_misbehaves_in_a_stream_ends_it_in_words() {
    let (good, provider) = (openai(), ByHand::listen());
    let guests = named(vec![
        ("traps", evil::traps_after(3)),
        ("traps-at-once", evil::traps_after(0)),
        ("drips", evil::drips(u32::MAX)),
    ]);
    let gateway = gateway_with(&good, &format!("http://{}", provider.address()), ONE, &guests);

    // Row 30: a trap in mid-stream.
    let (mut client, mut taken) = provider.streams(&gateway, &chat("traps").streamed());
    for turn in 0..3 {
        taken.events(&["raw words of the provider"]);
        if turn == 0 {
            let role = client.head();
            assert_eq!(role.status, 200);
        }
        while !client.event().expect("the stream goes on").contains(r#""content":"hi""#) {}
    }
    taken.events(&["raw words of the provider"]);
    let broken = client.event().expect("an error event");
    assert!(broken.contains(r#""code":"plugin_failed""#), "{broken}");
    assert_eq!(client.event(), None);
    taken.is_left();
    gateway.still_serves();

    // Nothing has gone out yet: an answer, and no stream.
    for (name, status, code) in [("traps-at-once", 502, "plugin_failed"), ("drips", 504, "plugin_deadline_exceeded")] {
        let (mut client, mut taken) = provider.streams(&gateway, &chat(name).streamed());
        taken.events(&["words"]);
        client.answer().is_refused(status, code);
        gateway.still_serves();
    }
    let rows = gateway.stop().failed_rows();
    let classes: Vec<_> = rows.iter().map(|row| (row.status, row.error_class.as_str())).collect();
    assert_eq!(classes, [(200, "plugin_failed"), (502, "plugin_failed"), (504, "plugin_deadline_exceeded")]);
    assert_eq!((rows[0].usage_source.as_str(), rows[0].streamed), ("estimated", true));
    assert!(rows[0].tokens.output > 0);
}

#[test]
fn an_adapter_that_floods_or_hoards_is_stopped() {
    let (good, provider) = (openai(), ByHand::listen());
    let guests = named(vec![("floods", evil::floods(100_000)), ("hoards", evil::hoards_handles())]);
    let gateway = gateway_with(&good, &format!("http://{}", provider.address()), ONE, &guests);
    for (name, _) in &guests {
        let (mut client, mut taken) = provider.streams(&gateway, &chat(name).streamed());
        taken.events(&["words"]);
        client.answer().is_refused(502, "plugin_failed");
        taken.is_left();
        gateway.still_serves();
    }
    assert_eq!(gateway.stop().failed_rows().len(), 2);
}

#[test]
fn a_good_adapter_of_the_operators_serves_whole_and_streamed() {
    let (good, provider) = (openai(), ByHand::listen());
    let gateway =
        gateway_with(&good, &format!("http://{}/base", provider.address()), ONE, &named(vec![("own", Guest::good())]));
    let mut client = gateway.begin(&chat("own"));
    let mut taken = provider.accept();
    let request = taken.request();
    assert!(request.starts_with("POST /base/v1/chat/completions HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"model\":\"m\"}"), "{request}");
    taken.answer_well();
    let answer = client.answer();
    // The answer is the adapter's, under the gateway's own id.
    let id = answer.json()["id"].as_str().map(str::to_owned).expect("an answer has an id");
    assert!(id.starts_with("chatcmpl-"), "{answer}");

    client.send(&chat("own").streamed());
    taken.request();
    taken.begin_stream();
    // The adapter says one word for each push, however many frames are in it.
    taken.events(&["one"]);
    assert_eq!(client.head().status, 200);
    while !client.event().expect("the stream goes on").contains("hi") {}
    taken.events(&["two"]);
    while !client.event().expect("the stream goes on").contains("hi") {}
    taken.write("0\r\n\r\n");
    let rest: Vec<String> = std::iter::from_fn(|| client.event()).collect();
    assert!(!rest.iter().any(|event| event.contains("hi")), "{rest:?}");

    client.send(&chat("own"));
    taken.request();
    taken.answer("429 Too Many Requests", "", "{}");
    client.answer().is_refused(429, "rate_limit_exceeded");
    gateway.still_serves();
}

/// A canonical chunk in a frame of an AWS event stream.
fn aws_frame(payload: &str) -> Vec<u8> {
    let header = |name: &str, value: &str| {
        let length = u16::try_from(value.len()).expect("values are short").to_be_bytes();
        let name_length = u8::try_from(name.len()).expect("names are short");
        [&[name_length], name.as_bytes(), &[7], &length[..], value.as_bytes()].concat()
    };
    let headers = [header(":message-type", "event"), header(":event-type", "chunk")].concat();
    let total = u32::try_from(16 + headers.len() + payload.len()).expect("frames are short");
    let mut frame =
        [total.to_be_bytes(), u32::try_from(headers.len()).expect("headers are short").to_be_bytes()].concat();
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

#[test]
fn frames_that_an_adapter_forwards_reach_the_client_as_events_whatever_their_framing() {
    let forwards = |framing: u8| {
        let mut guest = Guest::requesting(&Request { framing, ..Request::default() });
        let (push, finish) = (guest.image.events(&[guest::Image::forward_event]), guest.image.events(&[]));
        (guest.push, guest.finish) = (format!("i32.const {push}"), format!("i32.const {finish}"));
        guest
    };
    let guests =
        named(vec![("sse", forwards(1)), ("lines", forwards(2)), ("array", forwards(3)), ("aws", forwards(4))]);
    let framed = |name: &str, index: usize, payload: &str| match name {
        "sse" => format!("event: chunk\r\ndata: {payload}\r\n\r\n").into_bytes(),
        "lines" => format!("{payload}\r\n").into_bytes(),
        "array" => format!("{}{payload}", if index == 0 { "[" } else { "," }).into_bytes(),
        _ => aws_frame(payload),
    };
    let finished = chunk("three").replace(r#""finish_reason":null"#, r#""finish_reason":"stop""#);
    let usage = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    let (good, provider) = (openai(), ByHand::listen());
    let gateway = gateway_with(&good, &format!("http://{}", provider.address()), ONE, &guests);
    for (name, _) in &guests {
        for shows_usage in [false, true] {
            let call = if shows_usage { chat(name).streamed_with_usage() } else { chat(name).streamed() };
            let mut client = gateway.begin(&call);
            let mut taken = provider.accept();
            taken.request();
            taken.write("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\nconnection: close\r\n\r\n");
            // One at a time: the guest forwards the first frame of each push.
            for (index, payload) in [&chunk("one"), &chunk("two"), &finished].into_iter().enumerate() {
                taken.write(framed(name, index, payload));
                if index == 0 {
                    assert_eq!(client.head().status, 200, "{name}");
                }
                let event = client.event().expect("a chunk");
                assert_eq!(event.trim(), payload.as_str(), "{name}");
            }
            taken.write(framed(name, 3, usage));
            if name == "array" {
                taken.write("]");
            }
            drop(taken);
            let shown: Vec<String> = std::iter::from_fn(|| client.event()).collect();
            let expected: &[&str] = if shows_usage { &[usage, "[DONE]"] } else { &["[DONE]"] };
            assert_eq!(shown, expected, "{name}");
            gateway.becomes_idle();
        }
    }
    for row in gateway.stop().rows() {
        assert_eq!((row.status, row.error_class.as_str()), (200, ""), "{row:?}");
        assert_eq!((row.tokens.input, row.tokens.output, row.usage_source.as_str()), (7, 3, "provider"), "{row:?}");
    }
}

#[test]
fn the_next_target_serves_where_an_adapter_fails() {
    let good = openai();
    let gateway = gateway(&good)
        .plugin("loops", evil::loops_in_encode().component())
        .provider("bad", "loops", &good.base_url(), "")
        .model("m", &[("bad", "x"), ("first", "gpt")], "")
        .run();
    gateway.call(&chat("m")).is_good();
    gateway.call(&chat("m").streamed()).is_good();
    assert!(gateway.stop().rows().iter().all(|row| row.attempts == 2 && row.provider == "first"));
}

#[test]
fn a_plugin_that_may_not_be_loaded_keeps_the_gateway_shut_and_says_why() {
    let good = openai();
    let house = gateway(&good)
        .plugin("starts-forever", evil::loops_in_start().component())
        .plugin("not-wasm", b"\x7fELF and so on".to_vec())
        .plugin("signs", evil::signs("key").component())
        .plugin("cut", Guest::good().component()[..500].to_vec())
        .house();
    let said = fails(&house, &["serve"], 1);
    for (name, why) in [("starts-forever", ""), ("not-wasm", ""), ("signs", "tollgate:plugin/sign@0.1.0"), ("cut", "")]
    {
        assert!(said.contains(&format!("`{name}`")) && said.contains(why), "{said}");
    }
}
