//! What each scenario does, and that none is misspelt in silence.

use std::time::{Duration, Instant};

use super::*;
use crate::script::{Fault, Script};

#[test]
fn a_model_without_a_scenario_answers_well() {
    for model in ["gpt-4o", "fake", "faker:hang", "fake:ok"] {
        assert_eq!(
            Script::parse(model).unwrap(),
            Script { code: 500, per_write: 1, media_tokens: 1000, ..Script::default() },
            "{model}"
        );
    }
}

#[test]
fn scenarios_combine_and_take_parameters() {
    let script = Script::parse("fake:cut+crlf?after=7&frame_ms=2&id=abc").unwrap();
    assert_eq!((script.fault, script.after, script.crlf), (Fault::Cut, 7, true));
    assert_eq!((script.frame, script.id.as_str()), (Duration::from_millis(2), "abc"));
}

#[test]
fn a_misspelt_scenario_is_named() {
    for (model, wrong) in [
        ("fake:hnag", "no scenario `hnag`"),
        ("fake:", "no scenario ``"),
        ("fake:ok?after", "no parameter `after`"),
        ("fake:ok?after=x", "no parameter `after=x`"),
        ("fake:status?code=99", "no parameter `code=99`"),
        ("fake:ok?colour=1", "no parameter `colour=1`"),
    ] {
        assert_eq!(Script::parse(model).unwrap_err(), wrong);
    }
}

#[test]
fn parameters_have_bounds() {
    let script = Script::parse("fake:big?bytes=99999999999&frames=99999999&frame_ms=99999999&calls=99").unwrap();
    assert_eq!((script.bytes, script.frames), (Some(64 << 20), Some(100_000)));
    assert_eq!((script.frame, script.calls), (Duration::from_secs(600), Some(16)));
}

#[test]
fn a_broken_delivery_breaks_where_it_says() {
    let fake = openai();
    let cases: &[(&str, bool, usize, Option<ErrorKind>)] = &[
        ("reset", false, 0, Some(ErrorKind::ConnectionReset)),
        ("reset", true, 0, Some(ErrorKind::ConnectionReset)),
        ("reset?after=2", true, 2, Some(ErrorKind::ConnectionReset)),
        ("cut?after=2", true, 2, None),
        ("cut", false, 0, None),
    ];
    for (scenario, stream, frames, ending) in cases {
        let mut client = Client::of(&fake);
        client.post(CHAT, &ask(&format!("fake:{scenario}"), *stream));
        let (seen, ended) = client.rest();
        let text = String::from_utf8(seen).unwrap();
        assert_eq!(ended, *ending, "{scenario}");
        assert_eq!(text.matches("\n\n\r\n").count(), *frames, "{scenario}: {text}");
        assert!(!text.contains("[DONE]"));
    }
    assert_eq!(fake.counters().aborted(), 0);
}

#[test]
fn a_cut_body_is_half_of_what_was_promised() {
    let fake = openai();
    let mut client = Client::of(&fake);
    client.post(CHAT, &ask("fake:cut", false));
    let (head, _) = client.head();
    let promised: usize = head.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert_eq!(client.rest().0.len(), promised / 2);
}

#[test]
fn a_stream_may_end_in_good_order_without_its_end() {
    let fake = openai();
    assert_eq!(streamed(&fake, CHAT, &ask("fake:end?after=2", true)).len(), 2);
    let frames = streamed(&fake, CHAT, &ask("fake:no-done", true));
    assert!(frames.last().unwrap().contains(r#""finish_reason":"stop""#));
    let frames = streamed(&anthropic(), MESSAGES, &ask("fake:no-done", true));
    assert!(frames.last().unwrap().contains("message_delta"));
}

#[test]
fn a_stalled_stream_shows_its_frames_and_then_nothing() {
    let fake = openai();
    let mut client = Client::of(&fake);
    client.post(CHAT, &ask("fake:stall?after=1", true));
    client.head();
    let mut first = [0; 64];
    client.stream.read_exact(&mut first).unwrap();
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut rest = Vec::new();
    assert!(client.stream.read_to_end(&mut rest).is_err());
    assert_eq!(String::from_utf8(rest).unwrap().matches("data: ").count(), 0);
}

#[test]
fn the_first_calls_fail_and_the_next_succeeds() {
    let fake = openai();
    let body = ask("fake:fail-first?n=2&id=a&code=429&retry_after=3", false);
    for status in [429, 429, 200, 200] {
        let (head, _) = answered(&fake, CHAT, &body);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(head.contains("retry-after: 3\r\n"), status == 429);
    }
    let other = ask("fake:fail-first?id=b", false);
    assert!(answered(&fake, CHAT, &other).0.starts_with("HTTP/1.1 500 "));
}

#[test]
fn a_substitute_answers_under_its_status() {
    let fake = openai();
    for (scenario, status, kind) in [
        ("html", 200, "text/html"),
        ("html?code=502", 502, "text/html"),
        ("200-error", 200, "application/json"),
        ("status?code=503", 503, "application/json"),
        ("redirect", 302, "text/html"),
        ("missing", 404, "application/json"),
        ("whole", 200, "application/json"),
    ] {
        let mut client = Client::of(&fake);
        client.post(CHAT, &ask(&format!("fake:{scenario}"), true));
        let (head, _) = client.answer();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(&format!("content-type: {kind}")), "{head}");
    }
}

#[test]
fn an_error_event_follows_the_frames_it_says() {
    let frames = streamed(&openai(), CHAT, &ask("fake:error-event?after=2&code=429", true));
    assert_eq!(frames.len(), 3);
    assert!(frames[2].starts_with(r#"{"error":{"message":"Rate limit reached"#), "{}", frames[2]);
    let frames = streamed(&anthropic(), MESSAGES, &ask("fake:error-event?after=0&code=529", true));
    assert_eq!(frames.len(), 1);
    assert!(frames[0].contains("overloaded_error"));
}

#[test]
fn the_manner_of_a_stream_changes_bytes_and_not_frames() {
    let fake = openai();
    let bodies = ["ok", "crlf", "comments", "bytewise", "slow?frame_ms=1", "slow?per_write=3"];
    let frames = bodies.map(|manner| streamed(&fake, CHAT, &ask(&format!("fake:{manner}"), true)).len());
    assert_eq!(frames, [7; 6]);

    let mut client = Client::of(&fake);
    client.post(CHAT, &ask("fake:bytewise", true));
    client.head();
    assert!(client.chunks().iter().all(|chunk| chunk.len() == 1));
    client.post(CHAT, &ask("fake:crlf+comments", true));
    client.head();
    let chunks = client.chunks();
    assert!(chunks.iter().all(|it| it.starts_with(": keep-alive\r\n\r\ndata: ") && it.ends_with("\r\n\r\n")));
}

#[test]
fn a_pace_is_kept() {
    let fake = openai();
    let begun = Instant::now();
    let frames = streamed(&fake, CHAT, &ask("fake:slow?first_ms=10&frame_ms=2&frames=5", true));
    assert_eq!(frames.len(), 1 + 5 + 1 + 1);
    assert!(begun.elapsed() >= Duration::from_millis(10 + 2 * 7));
}

#[test]
fn lengths_and_further_headers_are_as_asked() {
    let fake = openai();
    let (head, body) = answered(&fake, CHAT, &ask("fake:big+headers?bytes=5000&headers=7", false));
    assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap().len(), 5000);
    assert_eq!(head.matches("x-fake-").count(), 7);
    let frames = streamed(&fake, CHAT, &ask("fake:big?bytes=5000&frames=4", true));
    assert_eq!(frames.len(), 1 + 4 + 1 + 1);
}

#[test]
fn a_gate_opens_over_http() {
    let fake = openai();
    let mut waiting = Client::of(&fake);
    waiting.post(CHAT, &ask("fake:gate?id=g", false));
    assert!(fake.counters().wait(PATIENCE, |it| it.in_flight() == 1));
    let mut other = Client::of(&fake);
    other.send("POST /__fake/open?g HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    assert!(other.answer().0.starts_with("HTTP/1.1 200 OK"));
    assert!(waiting.answer().0.starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn an_answer_may_break_only_behind_its_end() {
    for (fake, path, last) in [(openai(), CHAT, "[DONE]"), (anthropic(), MESSAGES, "message_stop")] {
        for (scenario, ending) in [("reset", Some(ErrorKind::ConnectionReset)), ("cut", None), ("cut", None)] {
            let mut client = Client::of(&fake);
            client.post(path, &ask(&format!("fake:{scenario}+at-end?per_write=1000"), true));
            let (seen, ended) = client.rest();
            let text = String::from_utf8(seen).unwrap();
            assert_eq!(ended, ending, "{scenario}");
            assert!(text.contains(last) && text.ends_with("\n\n\r\n"), "all but the last chunk: {text}");
        }
        let mut client = Client::of(&fake);
        client.post(path, &ask("fake:stall+at-end", true));
        let mut text = String::new();
        while !text.contains(last) {
            let mut some = [0; 512];
            let count = client.stream.read(&mut some).unwrap();
            assert!(count > 0, "closed before its end");
            text.push_str(std::str::from_utf8(&some[..count]).unwrap());
        }
        client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (rest, ended) = client.rest();
        assert!(!String::from_utf8(rest).unwrap().contains("0\r\n\r\n") && ended == Some(ErrorKind::WouldBlock));
    }
}

#[test]
fn a_stream_may_never_say_why_it_stopped() {
    let frames = streamed(&openai(), CHAT, &ask("fake:no-finish", true)).concat();
    assert!(!frames.contains(r#""finish_reason":""#) && frames.ends_with("[DONE]"), "{frames}");
    let frames = streamed(&anthropic(), MESSAGES, &ask("fake:no-finish", true)).concat();
    assert!(!frames.contains("message_delta") && frames.contains("message_stop"), "{frames}");
}

#[test]
fn counts_may_be_absurd() {
    for (fake, path, field) in [(openai(), CHAT, "completion_tokens"), (anthropic(), MESSAGES, "output_tokens")] {
        for count in ["99999999999999999999", "1099511627776", "-1", "0"] {
            let body = ask(&format!("fake:usage?output={count}"), true);
            let body = body.replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
            let body = if path == CHAT { body } else { ask(&format!("fake:usage?output={count}"), true) };
            let frames = streamed(&fake, path, &body).concat();
            assert!(frames.contains(&format!("\"{field}\":{count},")), "{frames}");
        }
    }
    let fake = openai();
    let mut client = Client::of(&fake);
    client.post("/v1/embeddings", r#"{"model":"fake:usage?input=99999999999999999999","input":"a"}"#);
    assert!(
        client
            .answer()
            .1
            .ends_with(r#""usage":{"prompt_tokens":99999999999999999999,"total_tokens":99999999999999999999}}"#)
    );
}

#[test]
fn input_may_be_counted_by_a_tokenizer() {
    let said = "Grüße, 東京!";
    let messages = json!([{ "role": "user", "content": [
        { "type": "text", "text": said }, { "type": "image_url", "image_url": { "url": "https://x.example/a.png" } },
    ] }]);
    let around = 4 + 3;
    for (scenario, tokens) in [("bytes-counted", said.len() as u64), ("o200k", 6), ("cl100k", 8)] {
        let body = json!({ "model": format!("fake:{scenario}?media=500"), "messages": messages });
        let (_, answer) = answered(&openai(), CHAT, &body.to_string());
        assert_eq!(answer["usage"]["prompt_tokens"], tokens + around + 500, "{scenario}");
    }
    let tools = json!([{ "name": "t", "input_schema": { "type": "object" } }]);
    let messages = json!([{ "role": "user", "content": "ab" }]);
    let body = json!({ "model": "fake:bytes-counted", "messages": messages, "system": "cde", "tools": tools });
    let (_, counted) = answered(&anthropic(), "/v1/messages/count_tokens", &body.to_string());
    assert_eq!(counted["input_tokens"], 2 + 3 + around + tools.to_string().len() as u64);
}

#[test]
fn a_request_s_headers_and_fields_may_be_told_back() {
    let (gpt, claude) = (openai(), anthropic());
    let (head, answer) = answered(&gpt, CHAT, &ask("fake:echo", false));
    assert!(head.contains("x-echo-authorization: Bearer k\r\n"), "{head}");
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains("authorization: Bearer k\n"));
    let (_, answer) = answered(&claude, MESSAGES, &ask("fake:echo+status?code=401", false));
    assert!(answer["error"]["message"].as_str().unwrap().contains("x-api-key: k\n"), "{answer}");

    let mut body: Value = serde_json::from_str(&ask("fake:report", false)).unwrap();
    body["n"] = 2.into();
    let (_, answer) = answered(&gpt, CHAT, &body.to_string());
    let told: Value = serde_json::from_str(answer["choices"][1]["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(told, json!({ "model": "fake:report", "stream": false, "max_tokens": 1_000_000, "n": 2 }));
}

#[test]
fn a_refusal_comes_before_what_the_next_calls_meet() {
    let fake = openai();
    let body = ask("fake:fail-first+hang?code=429", false);
    assert!(answered(&fake, CHAT, &body).0.starts_with("HTTP/1.1 429 "));
    let mut client = Client::of(&fake);
    client.post(CHAT, &body);
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(client.rest(), (Vec::new(), Some(ErrorKind::WouldBlock)));
}

#[test]
fn arguments_nest_as_deeply_as_asked() {
    let (_, answer) = answered(&openai(), CHAT, &ask("fake:deep?depth=30", false));
    let arguments = answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    assert_eq!(arguments.matches(['[', '{']).count(), 30);
    assert!(serde_json::from_str::<Value>(arguments).is_ok());
}
