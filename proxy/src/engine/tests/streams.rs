//! Answers that come as a stream.

use std::time::Duration;

use super::{
    client::Client,
    providers::Script,
    setup::{Ended, TestGateway, streamed},
};
use crate::{upstream::UpstreamError, usage::Source};

const SECOND: Duration = Duration::from_secs(1);

/// A chunk of a canonical stream.
fn chunk(rest: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-x\",{rest}}}\n\n"
    )
}

fn says(text: &str) -> String {
    chunk(&format!(r#""choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]"#))
}

fn finish() -> String {
    chunk(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#)
}

fn usage() -> String {
    chunk(r#""choices":[],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13}"#)
}

const DONE: &str = "data: [DONE]\n\n";

/// An event of Anthropic's.
fn event(name: &str, rest: &str) -> String {
    let comma = if rest.is_empty() { "" } else { "," };
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{comma}{rest}}}\n\n")
}

fn message_start() -> String {
    event(
        "message_start",
        r#""message":{"id":"msg_1","model":"claude-x","usage":{"input_tokens":11,"output_tokens":1}}"#,
    )
}

fn text(text: &str) -> String {
    event("content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#)
        + &event("content_block_delta", &format!(r#""index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#))
        + &event("content_block_stop", r#""index":0"#)
}

fn message_delta() -> String {
    event("message_delta", r#""delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}"#)
}

fn message_stop() -> String {
    event("message_stop", "")
}

async fn call(model: &str, script: Script) -> Ended {
    TestGateway::new([script]).call(Client::asks(&streamed(model))).await
}

/// Holds that the answer came whole, at once, and as the provider counted it.
#[track_caller]
fn is_good(ended: &Ended) {
    let seen = &ended.seen;
    assert_eq!(seen.said(), "Hello there");
    assert_eq!(seen.events().last(), Some(&"[DONE]"), "{}", seen.text);
    assert_eq!(seen.writes.last().copied().unwrap_or_default(), Duration::ZERO, "the end does not wait");
    assert_eq!(seen.text.matches("\"prompt_tokens\":11").count(), 1, "usage is told once: {}", seen.text);
    let row = ended.row();
    assert_eq!((row.tokens.input, row.tokens.output, row.usage_source), (11, 2, Source::Provider));
    assert_eq!((row.status, row.error_class.as_str()), (200, ""));
}

#[tokio::test(start_paused = true)]
async fn the_end_mark_goes_out_at_once_whatever_its_provider_does_next() {
    let stream = || Script::stream().piece(&(says("Hello") + &says(" there"))).piece(&(finish() + &usage() + DONE));
    is_good(&call("fast", stream()).await);
    is_good(&call("fast", stream().ends()).await);
    is_good(&call("fast", stream().breaks(UpstreamError::Reset)).await);
    is_good(&call("fast", stream().piece("data: more\n\n")).await);
}

#[tokio::test(start_paused = true)]
async fn a_translated_answer_ends_with_its_message_whatever_its_provider_does_next() {
    let all = || message_start() + &text("Hello there") + &message_delta() + &message_stop();
    is_good(&call("wise", Script::stream().piece(&all())).await);
    is_good(&call("wise", Script::stream().piece(&all()).ends()).await);
    is_good(&call("wise", Script::stream().piece(&all()).breaks(UpstreamError::Reset)).await);
    is_good(
        &call("wise", Script::stream().piece(&(all() + &event("error", r#""error":{"type":"overloaded_error"}"#))))
            .await,
    );
    let mut byte_by_byte = Script::stream();
    for byte in all().as_bytes().chunks(1) {
        byte_by_byte = byte_by_byte.piece(std::str::from_utf8(byte).unwrap());
    }
    is_good(&call("wise", byte_by_byte).await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_why_it_ends_and_then_just_ends_is_whole() {
    is_good(&call("fast", Script::stream().piece(&(says("Hello there") + &usage() + &finish())).ends()).await);
    let all = message_start() + &text("Hello there") + &message_delta();
    is_good(&call("wise", Script::stream().piece(&all).ends()).await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_why_it_ends_is_whole_however_its_connection_ends() {
    for trouble in [UpstreamError::Reset, UpstreamError::IdleTimeout] {
        let said = || says("Hello there") + &usage() + &finish();
        is_good(&call("fast", Script::stream().piece(&said()).breaks(trouble.clone())).await);
        // What was cut in the middle told nothing.
        is_good(&call("fast", Script::stream().piece(&(said() + "data: {\"id")).breaks(trouble.clone())).await);
        let all = message_start() + &text("Hello there") + &message_delta();
        is_good(&call("wise", Script::stream().piece(&all).breaks(trouble)).await);
    }
    // No more comes, until a clock has run out.
    for (model, said) in [
        ("fast", says("Hello there") + &usage() + &finish()),
        ("wise", message_start() + &text("Hello there") + &message_delta()),
    ] {
        let ended = call(model, Script::stream().piece(&said)).await;
        assert_eq!((ended.seen.said().as_str(), ended.seen.events().last()), ("Hello there", Some(&"[DONE]")));
        assert_eq!((ended.row().tokens.output, ended.row().error_class.as_str()), (2, ""));
        assert_eq!(ended.providers.released(), 0, "such a connection serves no other call");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_choices_all_must_have_finished() {
    let two = |first: &str, second: &str| {
        chunk(&format!(
            r#""choices":[{{"index":0,"delta":{{"content":"a"}},"finish_reason":{first}}},{{"index":1,"delta":{{"content":"b"}},"finish_reason":{second}}}]"#
        ))
    };
    let body = streamed("fast").replace("\"max_tokens\"", "\"n\":2,\"max_tokens\"");
    for (second, code) in [("null", "upstream_connection_closed"), ("\"stop\"", "")] {
        let script = Script::stream().piece(&two("\"stop\"", second)).ends().after(SECOND);
        let ended = TestGateway::new([script]).call(Client::asks(&body)).await;
        assert_eq!(ended.row().error_class, code);
    }
}

#[tokio::test(start_paused = true)]
async fn every_chunk_of_a_translated_answer_has_the_name_of_the_call() {
    let all = message_start() + &text("Hello there") + &message_delta() + &message_stop();
    let ended = call("wise", Script::stream().piece(&all)).await;
    let id = ended.seen.header("x-request-id").unwrap().replace("req_", "chatcmpl-");
    let seen = &ended.seen;
    for event in seen.events().into_iter().filter(|event| *event != "[DONE]") {
        let chunk: serde_json::Value = serde_json::from_str(event).unwrap();
        assert_eq!((chunk["id"].as_str(), chunk["model"].as_str()), (Some(&*id), Some("wise")));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_end_is_not_counted_is_counted_here() {
    let all = message_start() + &text("one two three four five six seven") + &message_stop();
    let ended = call("wise", Script::stream().piece(&all)).await;
    let row = ended.row();
    assert_eq!((row.tokens.input, row.usage_source), (11, Source::Counted));
    assert!((6..12).contains(&row.tokens.output), "{:?}", row.tokens);

    let ended = call("fast", Script::stream().piece(&(says("one two three four five") + &finish() + DONE))).await;
    assert_eq!((ended.row().tokens.output, ended.row().usage_source), (5, Source::Counted));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_its_first_event_keeps_what_its_provider_told_of_the_prompt() {
    let overloaded = event("error", r#""error":{"type":"overloaded_error","message":"m"}"#);
    let scripts = std::iter::repeat_n(Script::stream().piece(&(message_start() + &overloaded)), 3);
    let ended = TestGateway::new(scripts).call(Client::asks(&streamed("wise"))).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (503, "upstream_overloaded"));
    let row = ended.row();
    assert_eq!((row.tokens.input, row.tokens.output), (11 * u64::from(row.attempts), 0));
    assert!(row.attempts > 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_is_told_and_its_prompt_and_what_was_heard_are_paid() {
    let begun = || Script::stream().piece(&(says("one two") + &says(" three")));
    for (script, code) in [
        (begun(), "upstream_idle_timeout"),
        (begun().ends().after(SECOND), "upstream_connection_closed"),
        (begun().breaks(UpstreamError::Reset).after(SECOND), "upstream_connection_closed"),
        (begun().piece("data: {\"error\":{\"message\":\"m\",\"code\":503}}\n\n").after(SECOND), "upstream_overloaded"),
        (begun().piece("data: words\n\n").after(SECOND), "upstream_error"),
    ] {
        let ended = call("fast", script).await;
        assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (200, code));
        assert_eq!((ended.seen.said().as_str(), ended.seen.is_whole), ("one two three", true));
        assert!(!ended.seen.text.contains("[DONE]"));
        let row = ended.row();
        assert_eq!((row.status, row.error_class.as_str(), row.usage_source), (200, code, Source::Estimated));
        assert_eq!(row.tokens.output, 3, "{code}");
        assert!(row.tokens.input >= 8, "{code}: {:?}", row.tokens);
    }
}

#[tokio::test(start_paused = true)]
async fn a_translated_stream_that_is_cut_is_its_providers_fault() {
    let begun = || Script::stream().piece(&(message_start() + &text("one two three")));
    for script in [begun().ends().after(SECOND), begun().breaks(UpstreamError::Reset).after(SECOND)] {
        let ended = call("wise", script).await;
        assert_eq!(ended.seen.code(), "upstream_connection_closed");
        let row = ended.row();
        assert_eq!((row.tokens.input, row.tokens.output, row.usage_source), (11, 3, Source::Estimated));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_open_with_comments() {
    let script = Script::stream().piece(&says("Hello")).piece(&says(" there")).after(19 * SECOND);
    let ended = call("fast", script.piece(&(finish() + &usage() + DONE))).await;
    assert!(ended.seen.text.contains(": keep-alive\n\n"), "{}", ended.seen.text);
    assert_eq!(ended.seen.said(), "Hello there");
    assert_eq!(ended.row().tokens.output, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_cut_at_the_end_of_its_whole_time() {
    let mut script = Script::stream();
    for _ in 0..10 {
        script = script.piece(&says("x")).after(9 * SECOND);
    }
    let ended = call("fast", script).await;
    assert_eq!(ended.seen.code(), "upstream_timeout");
    // The second to the sixth of a minute's ten.
    assert_eq!(ended.seen.said(), "x".repeat(6));
}

#[tokio::test(start_paused = true)]
async fn a_document_in_a_streams_place_is_read_by_its_adapter() {
    let claude = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"}}"#;
    let ended = TestGateway::new([Script::whole(200, claude)]).call(Client::asks(&streamed("wise"))).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (400, "invalid_request_error"));
    assert_eq!(ended.row().tokens.total(), 0);

    // One that is an answer has cost what it says, though no client can use it.
    let answer = super::wholes::ANSWER;
    let ended = TestGateway::new([Script::whole(200, answer)]).call(Client::asks(&streamed("fast"))).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (502, "upstream_error"));
    assert_eq!((ended.row().tokens.input, ended.row().tokens.output), (11, 2));
}

/// A stream that may have ten tokens, of this text in each of `count` events.
async fn ten_tokens(text: &str, count: usize) -> Ended {
    let asks = r#"{"model":"fast","stream":true,"max_tokens":10,"messages":[{"role":"user","content":"hi"}]}"#;
    let pause = Duration::from_millis(10);
    let events = (0..count).fold(Script::stream(), |script, _| script.piece(&says(text)).after(pause));
    TestGateway::new([events.piece(&(finish() + DONE))]).call(Client::asks(asks)).await
}

#[tokio::test(start_paused = true)]
async fn our_own_count_is_never_more_than_the_provider_was_told() {
    let ended = ten_tokens("one two three ", 20).await;
    assert_eq!(ended.seen.events().last(), Some(&"[DONE]"), "{}", ended.seen.text);
    let row = ended.row();
    assert_eq!((row.tokens.output, row.usage_source), (10, Source::Counted));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_on_far_beyond_what_it_was_told_is_cut() {
    let ended = ten_tokens(&"word ".repeat(100), 100).await;
    assert!(ended.seen.text.len() < 40_000, "{}", ended.seen.text.len());
    let row = ended.row();
    assert_eq!((row.error_class.as_str(), row.tokens.output), ("upstream_error", 10));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_overruns_before_its_first_event_is_out_is_paid_for() {
    let far_beyond = says(&"word ".repeat(4_000));
    let too_long = (0..70).map(|_| says(&"x".repeat(1_000))).collect::<String>();
    let told = streamed("fast").replace("\"max_tokens\":50", "\"max_tokens\":10");
    let untold = streamed("fast").replace("\"max_tokens\":50,", "");
    for (pieces, body) in [(far_beyond, told), (too_long, untold)] {
        let ended = TestGateway::new([Script::stream().piece(&pieces)]).call(Client::asks(&body)).await;
        assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (502, "upstream_error"));
        let row = ended.row();
        assert!(row.tokens.output >= 10 && row.tokens.input >= 8, "{:?}", row.tokens);
        assert_eq!((row.attempts, row.usage_source), (1, Source::Estimated));
    }
}

#[tokio::test(start_paused = true)]
async fn events_in_front_of_a_broken_frame_are_passed_on() {
    let broken = "data: \"".to_owned() + &"x".repeat(70_000);
    let script = Script::stream().piece(&says("one")).piece(&(says(" two") + &broken)).after(SECOND);
    let ended = call("fast", script).await;
    assert_eq!((ended.seen.said().as_str(), ended.seen.code().as_str()), ("one two", "upstream_error"));
    assert_eq!(ended.row().tokens.output, 2);

    let script = Script::stream().piece(&(message_start() + &text("one")));
    let ended = call("wise", script.piece(&(text(" two") + &broken)).after(SECOND)).await;
    assert_eq!((ended.seen.said().as_str(), ended.seen.code().as_str()), ("one two", "upstream_error"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_said_why_it_ends_is_whole_whatever_cannot_be_read_behind_it() {
    let broken = "data: \"".to_owned() + &"x".repeat(70_000);
    is_good(&call("fast", Script::stream().piece(&(says("Hello there") + &usage() + &finish() + &broken))).await);
    let all = message_start() + &text("Hello there") + &message_delta();
    is_good(&call("wise", Script::stream().piece(&(all + &broken))).await);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_pauses_does_not_outrun_its_whole_time() {
    // Whenever a piece was written, the next one is there.
    let pieces = (0..200).fold(Script::stream(), |script, _| script.piece(&says("x")).after(SECOND / 2));
    let ended = TestGateway::new([pieces]).call(Client::asks(&streamed("fast")).slow(SECOND)).await;
    assert_eq!(ended.seen.code(), "upstream_timeout");
    assert!((50..62).contains(&ended.seen.said().len()), "{}", ended.seen.said());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_a_provider_that_never_pauses_is_seen() {
    let comments = ": nothing is said\n\n".repeat((256 << 10) / 19 + 1);
    let begun = Script::stream().piece(&says("Hello"));
    let endless = (0..20).fold(begun, |script, _| script.piece(&comments));
    let client = Client::asks(&streamed("fast")).slow(SECOND).leaves_after(SECOND / 2);
    let ended = TestGateway::new([endless.piece(&(finish() + DONE))]).call(client).await;
    assert_eq!((ended.row().error_class.as_str(), ended.row().client_gone), ("client_gone", true));
}
