//! Answers that come in one piece.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    super::{attempt_error::AttemptError, serve, whole::in_place_of_an_answer},
    client::Client,
    providers::Script,
    setup::{TestGateway, chat},
};
use crate::{
    call::{Failure, FailureKind, Operation},
    dialect::Dialect,
    upstream::UpstreamError,
    usage::Source,
};

pub(super) const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"gpt-4o-x","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13}}"#;

const CLAUDE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"Hello there"}],"stop_reason":"end_turn","usage":{"input_tokens":11,"output_tokens":2}}"#;

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_clients_dialect_is_passed_on_byte_for_byte() {
    let ended = TestGateway::new([Script::whole(200, ANSWER)]).call(Client::asks(&chat("fast"))).await;
    assert_eq!((ended.seen.status(), ended.seen.text.as_str(), ended.seen.is_whole), (200, ANSWER, true));
    let row = ended.row();
    assert_eq!((row.tokens.input, row.tokens.output, row.usage_source), (11, 2, Source::Provider));
    // 11 at 1 and 2 at 2 USD per million.
    assert_eq!((row.charge_nanos, row.currency.as_str(), row.priced), (15_000, "USD", true));
    assert_eq!((row.provider.as_str(), row.upstream_model.as_str(), row.attempts), ("one", "gpt-4o", 1));
    assert_eq!((row.user.as_str(), row.dialect.as_str(), row.operation.as_str()), ("someone", "openai", "chat"));
    assert_eq!(ended.providers.released(), 1);
    assert!(ended.providers.requests()[0].body.contains("\"gpt-4o\""));
}

#[tokio::test(start_paused = true)]
async fn a_translated_answer_is_named_by_the_gateway() {
    let ended = TestGateway::new([Script::whole(200, CLAUDE)]).call(Client::asks(&chat("wise"))).await;
    let json = ended.seen.json();
    let id = ended.seen.header("x-request-id").unwrap().replace("req_", "chatcmpl-");
    assert_eq!((json["id"].as_str(), json["model"].as_str()), (Some(&*id), Some("wise")));
    assert_eq!(json["choices"][0]["message"]["content"], "Hello there");
    assert_eq!((ended.row().tokens.input, ended.row().tokens.output), (11, 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_counts_is_counted() {
    let body = ANSWER.split_once(",\"usage\"").unwrap().0.to_owned() + "}";
    let ended = TestGateway::new([Script::whole(200, &body)]).call(Client::asks(&chat("fast"))).await;
    assert_eq!((ended.row().tokens.output, ended.row().usage_source), (2, Source::Counted));
    assert!((8..20).contains(&ended.row().tokens.input));
}

#[tokio::test(start_paused = true)]
async fn an_answer_longer_than_may_be_is_refused_and_its_hold_is_charged() {
    let script = Script::head(200, "application/json").piece(&"x".repeat(70_000)).ends();
    let ended = TestGateway::new([script]).call(Client::asks(&chat("fast"))).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (502, "upstream_error"));
    assert_eq!((ended.row().tokens.output, ended.row().usage_source), (50, Source::Estimated));
}

#[tokio::test(start_paused = true)]
async fn a_success_that_tells_an_error_is_refused_and_costs_nothing() {
    for (body, code) in [
        (r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#, "context_length_exceeded"),
        (r#"{"error":{"message":"m"}}"#, "upstream_error"),
    ] {
        // What the provider itself got wrong is worth a retry; what the client did is not.
        let scripts = std::iter::repeat_n(Script::whole(200, body), 4);
        let ended = TestGateway::new(scripts).call(Client::asks(&chat("fast"))).await;
        assert_eq!(ended.seen.code(), code);
        assert_eq!((ended.row().tokens.total(), ended.row().charge_nanos), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stops_arriving_costs_its_prompt_and_what_was_heard() {
    let half = &ANSWER[..ANSWER.find(",\"finish_reason\"").unwrap()];
    for (script, code, status) in [
        (Script::head(200, "application/json").piece(half), "upstream_idle_timeout", 504),
        (
            Script::head(200, "application/json").piece(half).breaks(UpstreamError::Protocol),
            "upstream_protocol_error",
            502,
        ),
    ] {
        let scripts = std::iter::repeat_n(script, 4);
        let ended = TestGateway::new(scripts).call(Client::asks(&chat("fast"))).await;
        assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (status, code));
        let (row, attempts) = (ended.row(), u64::from(ended.row().attempts));
        assert_eq!((row.usage_source, row.tokens.output), (Source::Estimated, 2 * attempts));
        assert!(row.tokens.input >= 8 * attempts, "{:?}", row.tokens);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_translated_answer_that_breaks_off_only_its_text_counts() {
    let half = concat!(
        r#"{"id":"msg_0123456789","type":"message","role":"assistant","model":"claude-x","content":"#,
        r#"[{"type":"text","text":"Hello there"}],"stop_reason":"end_turn","usage":{"#
    );
    let script = Script::head(200, "application/json").piece(half).breaks(UpstreamError::Reset);
    let ended = TestGateway::new(std::iter::repeat_n(script, 4)).call(Client::asks(&chat("wise"))).await;
    let (row, attempts) = (ended.row(), u64::from(ended.row().attempts));
    assert!((1..=4 * attempts).contains(&row.tokens.output), "{:?}", row.tokens);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_silent_for_too_long_serves_no_other_call() {
    let half = Script::head(200, "application/json").piece("{");
    for script in [Script::silent(), half, Script::silent().untaken(UpstreamError::WriteTimeout)] {
        let ended = TestGateway::new(std::iter::repeat_n(script, 4)).call(Client::asks(&chat("fast"))).await;
        assert_eq!(ended.providers.distrusted(), ended.providers.asked().len(), "{:?}", ended.row());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_as_long_as_its_clocks_let_it() {
    let mut script = Script::head(200, "application/json").after(Duration::from_secs(9));
    for piece in ANSWER.as_bytes().chunks(200) {
        script = script.piece(std::str::from_utf8(piece).unwrap()).after(Duration::from_secs(19));
    }
    let ended = TestGateway::new([script.ends()]).call(Client::asks(&chat("fast"))).await;
    assert_eq!(ended.seen.text, ANSWER);
    assert!(ended.row().total_us > 40_000_000 && ended.row().overhead_us < 5_000_000, "{:?}", ended.row());
}

#[tokio::test(start_paused = true)]
async fn a_call_is_in_flight_until_the_last_piece_of_its_answer_goes_out() {
    let long = ANSWER.replace("Hello there", &"Hello there ".repeat(4_000));
    let test = TestGateway::new([Script::whole(200, &long)]);
    let gateway = test.gateway.clone();
    let writes = Arc::new(Mutex::new(Vec::new()));
    let seen = writes.clone();
    let client = Client::asks(&chat("fast")).while_writing(move |is_last| {
        let spent = gateway.limiter.spent("key_1", gateway.time());
        seen.lock().unwrap().push((is_last, spent.concurrent, spent.held.tokens));
    });
    let ended = test.call(client).await;
    assert_eq!(ended.seen.text, long);
    assert_eq!(*writes.lock().unwrap(), [(false, 1, 0), (true, 0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_finds_no_room_among_all_others_is_refused_and_paid_for() {
    let long = ANSWER.replace("Hello there", &"Hello there ".repeat(4_000));
    let test = TestGateway::new([Script::whole(200, &long)]);
    let gateway = test.gateway.clone();
    let other = gateway.answers.clone().acquire_many_owned(60).await.unwrap();
    let ended = test.call(Client::asks(&chat("safe"))).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (503, "answers_busy"));
    let row = ended.row();
    assert_eq!((row.error_class.as_str(), row.attempts, row.usage_source), ("answers_busy", 1, Source::Estimated));
    assert!(row.tokens.input >= 8, "{:?}", row.tokens);
    assert_eq!(gateway.answers.available_permits(), 36, "nothing is kept");
    drop(other);

    let test = TestGateway::new([Script::whole(200, &long)]);
    let gateway = test.gateway.clone();
    let left = Arc::new(Mutex::new(Vec::new()));
    let seen = left.clone();
    let client = Client::asks(&chat("fast"))
        .while_writing(move |_| seen.lock().unwrap().push(gateway.answers.available_permits()));
    let gateway = test.gateway.clone();
    assert_eq!(test.call(client).await.seen.text, long);
    let taken = 96 - long.len().div_ceil(1024);
    assert_eq!((*left.lock().unwrap()).as_slice(), [taken, taken]);
    assert_eq!(gateway.answers.available_permits(), 96);
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_is_searched_for_an_error_waits_for_its_turn() {
    let test = TestGateway::new([]);
    let turn = test.gateway.large_scans.acquire().await.unwrap();
    let failure = || Failure::of_provider(FailureKind::Upstream, "m");
    let search = |body: &'static [u8]| in_place_of_an_answer(&test.gateway, failure(), body);
    assert!(matches!(search(br#"{"error":1}"#).await, AttemptError::Provider(_)));
    let large: &'static [u8] = vec![b' '; 300 << 10].leak();
    let waits = tokio::time::timeout(Duration::from_secs(9), search(large)).await;
    assert!(waits.is_err(), "nobody else has a turn");
    drop(turn);
    assert!(matches!(search(large).await, AttemptError::Unreadable(_)));
}

#[tokio::test(start_paused = true)]
async fn the_future_of_a_call_stays_small() {
    let test = TestGateway::new([]);
    let mut client = Client::asks("");
    let call = serve(&test.gateway, &test.providers, Dialect::OpenAi, Operation::Chat, &mut client);
    let bytes = size_of_val(&call);
    assert!(bytes <= 5 << 10, "{bytes}");
}
