//! What each scenario does, and that none is misspelt in silence.

use std::time::{Duration, Instant};

use super::super::script::{Fault, Script};
use super::*;

#[test]
fn a_model_without_a_scenario_answers_well() {
    for model in ["gpt-4o", "fake", "faker:hang", "fake:ok"] {
        assert_eq!(Script::parse(model).unwrap(), Script { code: 500, per_write: 1, ..Script::default() }, "{model}");
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
