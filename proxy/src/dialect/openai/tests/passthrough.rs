use serde_json::{Value, json};

use super::super::passthrough::*;
use crate::call::{FailureKind, Tokens};

const FIRST: &str = r#"{"id":"c1","object":"chat.completion.chunk","created":7,"model":"gpt-x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#;

fn chunk(rest: &str) -> String {
    format!(r#"{{"id":"c1","object":"chat.completion.chunk","created":7,"model":"gpt-x",{rest}}}"#)
}

fn content(text: &str) -> String {
    chunk(&format!(r#""choices":[{{"index":0,"delta":{{"content":{}}},"finish_reason":null}}]"#, json!(text)))
}

/// What becomes of `data` after the first chunk, and, the same it must be, as the first chunk.
fn seen(include_usage: bool, data: &str) -> InspectedFrame {
    let mut passthrough = Passthrough::new(include_usage, 1);
    passthrough.frame(b"", FIRST.as_bytes());
    let seen = passthrough.frame(b"", data.as_bytes());
    assert_eq!(
        Passthrough::new(include_usage, 1).frame(b"", data.as_bytes()),
        seen,
        "first or not, it is the same frame"
    );
    seen
}

/// Whether an answer of so many choices that says this is finished.
fn finished(choices: u32, said: &[&str]) -> bool {
    let mut passthrough = Passthrough::new(false, choices);
    said.iter().for_each(|data| drop(passthrough.frame(b"", data.as_bytes())));
    passthrough.is_finished()
}

fn rewritten(seen: &InspectedFrame) -> &str {
    match &seen.forward {
        Forward::Rewritten(frame) => std::str::from_utf8(frame).unwrap(),
        other => panic!("{other:?}"),
    }
}

const USAGE: &str =
    r#""usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}}"#;
const TOKENS: Tokens = Tokens { input: 5, output: 2, cached: 1, cache_write: 0, reasoning: 0 };

#[test]
fn a_chunk_is_forwarded_as_it_is() {
    for text in
        ["Hel", "\"usage\"", "usage", "error", "{\"error\":{\"message\":1}}", "[DONE]", "\"finish_reason\":\"stop\""]
    {
        let seen = seen(false, &content(text));
        assert_eq!(seen, InspectedFrame { forward: Forward::AsIs, usage: None, error: None, done: false }, "{text}");
    }
}

#[test]
fn usage_is_read_and_shown_only_to_those_who_asked() {
    let data = chunk(&format!(r#""choices":[],{USAGE}"#));
    let unasked = seen(false, &data);
    assert_eq!((&unasked.forward, unasked.usage), (&Forward::Drop, Some(TOKENS)));
    let asked = seen(true, &data);
    assert_eq!((&asked.forward, asked.usage), (&Forward::AsIs, Some(TOKENS)));
}

#[test]
fn usage_beside_a_choice_is_cut_out() {
    let choice = r#""choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]"#;
    for data in [
        chunk(&format!("{choice},{USAGE}")),
        chunk(&format!("{USAGE} , {choice}")),
        chunk(&format!("{choice} ,\n{USAGE}\n")),
        format!("{{ {USAGE} , {choice} }}"),
    ] {
        let unasked = seen(false, &data);
        assert_eq!((unasked.usage, finished(1, &[&data])), (Some(TOKENS), true));
        let frame = rewritten(&unasked);
        let mut expected: Value = serde_json::from_str(&data).unwrap();
        expected.as_object_mut().unwrap().shift_remove("usage");
        let payload = frame.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        assert!(!payload.contains('\n'), "{payload}");
        assert_eq!(serde_json::from_str::<Value>(payload).unwrap(), expected);
    }
    assert_eq!(seen(true, &chunk(&format!("{choice},{USAGE}"))).forward, Forward::AsIs);
}

#[test]
fn usage_null_is_cut_out_wherever_it_stands() {
    let choice = r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]"#;
    let plain = format!("data: {}\n\n", chunk(choice));
    for rest in [
        format!(r#"{choice},"usage":null"#),
        format!(r#""usage":null,{choice}"#),
        format!(r#"{choice}, "usage" : null "#),
    ] {
        assert_eq!(rewritten(&seen(false, &chunk(&rest))), plain);
        assert_eq!(seen(true, &chunk(&rest)).forward, Forward::AsIs);
        assert_eq!(seen(false, &chunk(&rest)).usage, None);
    }
    let obfuscated = chunk(&format!(r#"{choice},"usage":null,"obfuscation":"x""#));
    assert_eq!(
        rewritten(&seen(false, &obfuscated)),
        format!("data: {}\n\n", obfuscated.replace(r#""usage":null,"#, ""))
    );
}

#[test]
fn usage_that_is_said_several_times_is_cut_out_each_time() {
    let choice = r#""choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]"#;
    let bare: Value = serde_json::from_str(&format!("{{{choice}}}")).unwrap();
    for frame in [
        format!(r#"{{"usage":"",{choice},"usage":null}}"#),
        format!(r#"{{ "usage":1 , "usage":2 ,{choice} }}"#),
        format!(r#"{{{choice},"usage":{{}}, "usage":3,"usage":[] }}"#),
    ] {
        let Forward::Rewritten(written) = seen(false, &frame).forward else { panic!("{frame} is shown as it came") };
        let data = std::str::from_utf8(&written).unwrap().strip_prefix("data: ").unwrap();
        assert_eq!(serde_json::from_str::<Value>(data).unwrap(), bare, "{frame}");
        assert!(!data.contains("usage"), "{data}");
    }
}

#[test]
fn usage_of_nothing_is_no_usage() {
    for usage in ["null", "{}", r#"{"prompt_tokens":0,"completion_tokens":0}"#, r#"{"prompt_tokens":null}"#, "[]"] {
        assert_eq!(seen(true, &chunk(&format!(r#""choices":[],"usage":{usage}"#))).usage, None, "{usage}");
    }
}

#[test]
fn usage_is_read_in_the_forms_of_openais_relatives() {
    for (usage, tokens) in [
        (r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_cache_hit_tokens":4}"#, (9, 1, 4, 0)),
        (r#"{"prompt_tokens":9.0,"completion_tokens":1,"cached_tokens":4}"#, (9, 1, 4, 0)),
        (
            r#"{"prompt_tokens":9,"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":2},"prompt_tokens_details":null}"#,
            (9, 3, 0, 2),
        ),
        // What nobody believes.
        (r#"{"prompt_tokens":9,"completion_tokens":99999999999999999999}"#, (9, u64::MAX, 0, 0)),
        (r#"{"prompt_tokens":9,"completion_tokens":-3}"#, (9, u64::MAX, 0, 0)),
    ] {
        let read = seen(true, &chunk(&format!(r#""choices":[],"usage":{usage}"#))).usage.unwrap();
        assert_eq!((read.input, read.output, read.cached, read.reasoning), tokens, "{usage}");
    }
}

#[test]
fn finish_reasons_are_noticed() {
    let choice = |reason: &str| chunk(&format!(r#""choices":[{{"index":0,"delta":{{}},"finish_reason"{reason}}}]"#));
    for (reason, is_finished) in
        [(":\"stop\"", true), (" : \"length\"", true), (":null", false), (": null", false), (":\"\"", false)]
    {
        assert_eq!(finished(1, &[&choice(reason)]), is_finished, "{reason}");
        assert_eq!(finished(1, &[FIRST, &choice(reason)]), is_finished, "{reason}");
        assert_eq!(finished(2, &[&choice(reason)]), is_finished, "{reason}");
    }
    let second = r#""choices":[{"delta":{},"finish_reason":null},{"delta":{},"finish_reason":"stop"}]"#;
    assert!(finished(1, &[&chunk(second)]));
}

#[test]
fn of_several_choices_each_that_has_begun_must_finish() {
    let choice = |index: u32, reason: &str| {
        chunk(&format!(r#""choices":[{{"index":{index},"delta":{{"content":"a"}},"finish_reason":{reason}}}]"#))
    };
    let said = [(0, "null"), (1, "null"), (0, "\"stop\""), (1, "\"length\""), (127, "null")];
    let said = said.map(|(index, reason)| choice(index, reason));
    let is_finished = |until: usize| {
        let said: Vec<&str> = said[..until].iter().map(String::as_str).collect();
        finished(3, &said)
    };
    // Of the third nothing is said until the end.
    assert_eq!([0, 1, 2, 3, 4, 5].map(is_finished), [false, false, false, false, true, false]);
}

#[test]
fn the_end_mark_is_the_end() {
    let mut passthrough = Passthrough::new(false, 1);
    passthrough.frame(b"", FIRST.as_bytes());
    let done = passthrough.frame(b"", b" [DONE]  ");
    assert_eq!((&done.forward, done.done), (&Forward::AsIs, true));
    assert_eq!(passthrough.frame(b"", FIRST.as_bytes()).forward, Forward::Drop);
}

#[test]
fn an_end_mark_alone_or_a_whole_answer_is_no_stream() {
    for data in [" [DONE] ", r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"ok"}}]}"#] {
        let seen = Passthrough::new(false, 1).frame(b"", data.as_bytes());
        assert_eq!(seen.error.map(|failure| (failure.kind, failure.retryable)), Some((FailureKind::Upstream, true)));
    }
}

#[test]
fn errors_inside_a_success_are_failures() {
    for (event, data, kind, message) in [
        (
            "",
            r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
            FailureKind::RateLimited,
            "slow down",
        ),
        (
            "",
            r#"{"error":{"message":"long","type":"x","code":"context_length_exceeded"}}"#,
            FailureKind::ContextLength,
            "long",
        ),
        ("", r#"{"error":{"message":"pay","code":402}}"#, FailureKind::Quota, "pay"),
        (
            "",
            r#"{"error":{"message":"key","type":"authentication_error","code":null}}"#,
            FailureKind::Authentication,
            "key",
        ),
        ("", r#"{"error":"Unauthorized"}"#, FailureKind::Upstream, "Unauthorized"),
        (
            "",
            r#"{"id":"c1","choices":[{"delta":{},"finish_reason":"error"}],"error":{"message":"m"}}"#,
            FailureKind::Upstream,
            "m",
        ),
        ("error", r#"{"message":"bad","type":"overloaded_error"}"#, FailureKind::Overloaded, "bad"),
        ("error", r#"{"error":{"message":"bad"}}"#, FailureKind::Upstream, "bad"),
        ("", "<html>", FailureKind::Upstream, "The provider sent a frame that is not a JSON object."),
        ("", r#"{"id":"c1","choi"#, FailureKind::Upstream, "The provider sent a frame that is not a JSON object."),
        ("", "[1]", FailureKind::Upstream, "The provider sent a frame that is not a JSON object."),
    ] {
        let mut passthrough = Passthrough::new(false, 1);
        passthrough.frame(b"", FIRST.as_bytes());
        let seen = passthrough.frame(event.as_bytes(), data.as_bytes());
        let failure = seen.error.expect(data);
        assert_eq!((failure.kind, failure.message.as_str(), seen.forward), (kind, message, Forward::Drop));
        assert_eq!(passthrough.frame(b"", b"[DONE]").forward, Forward::Drop, "no end mark after an error");
    }
}

#[test]
fn an_error_that_says_nothing_is_none() {
    for error in ["null", "\"\"", "false", "{}"] {
        let data = chunk(&format!(r#""choices":[{{"index":0,"delta":{{}}}}],"error":{error}"#));
        assert_eq!(seen(true, &data).error, None, "{error}");
    }
}

#[test]
fn frames_without_a_choice_are_kept_from_clients() {
    let azure = r#"{"choices":[],"created":0,"id":"","model":"","prompt_filter_results":[]}"#;
    let mut passthrough = Passthrough::new(true, 1);
    assert_eq!(passthrough.frame(b"", azure.as_bytes()).forward, Forward::Drop);
    assert_eq!(passthrough.frame(b"", b"  ").forward, Forward::Drop);
}

#[test]
fn a_frame_of_several_lines_becomes_one() {
    let data = content("a").replace(",\"object\"", ",\n\"object\"");
    assert_eq!(
        rewritten(&seen(true, &data)),
        format!("data: {}\n\n", content("a").replace(",\"object\"", ", \"object\""))
    );
}

#[test]
fn owed_usage_is_paid_once() {
    let mut passthrough = Passthrough::new(true, 1);
    let mut out = Vec::new();
    passthrough.owed_usage(&TOKENS, &mut out);
    assert!(out.is_empty(), "there is no stream to belong to");
    passthrough.frame(b"", FIRST.as_bytes());
    passthrough.owed_usage(&TOKENS, &mut out);
    passthrough.owed_usage(&TOKENS, &mut out);
    let payload = std::str::from_utf8(&out).unwrap().strip_prefix("data: ").unwrap().trim_ascii_end();
    let chunk: Value = serde_json::from_str(payload).unwrap();
    assert_eq!(
        (&chunk["id"], &chunk["choices"], &chunk["usage"]["total_tokens"]),
        (&json!("c1"), &json!([]), &json!(7))
    );
}

#[test]
fn no_usage_is_owed_to_a_client_who_did_not_ask_or_has_it() {
    let mut out = Vec::new();
    let mut unasked = Passthrough::new(false, 1);
    unasked.frame(b"", FIRST.as_bytes());
    unasked.owed_usage(&TOKENS, &mut out);
    let mut shown = Passthrough::new(true, 1);
    shown.frame(b"", FIRST.as_bytes());
    shown.frame(b"", chunk(&format!(r#""choices":[],{USAGE}"#)).as_bytes());
    shown.owed_usage(&TOKENS, &mut out);
    assert!(out.is_empty());
}
