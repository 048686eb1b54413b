//! More than one attempt: who is asked next, and what each attempt costs.

use std::time::Duration;

use super::{
    client::Client,
    providers::Script,
    setup::{TestGateway, chat, streamed},
    wholes::ANSWER,
};
use crate::{limit::Caps, upstream::UpstreamError, usage::Source};

const OVERLOADED: &str = r#"{"error":{"message":"m","type":"server_error"}}"#;

#[tokio::test(start_paused = true)]
async fn a_refusal_costs_nothing_and_the_next_target_is_asked() {
    let refusals = std::iter::repeat_n(Script::whole(500, OVERLOADED), 3);
    let test = TestGateway::new(refusals.chain([Script::whole(200, ANSWER)]));
    let ended = test.call(Client::asks(&chat("safe"))).await;
    assert_eq!(ended.seen.text, ANSWER);
    assert_eq!(ended.providers.asked(), ["one", "one", "one", "two"]);
    let row = ended.row();
    assert_eq!((row.provider.as_str(), row.attempts, row.charge_nanos), ("two", 4, 15_000));
    assert_eq!((row.tokens.input, row.tokens.output, row.usage_source), (11, 2, Source::Provider));
    // Each time the model is named as the target names it.
    assert!(ended.providers.requests()[3].body.contains("gpt-4o-mini"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_a_verdict_is_added_to_the_one_that_answers() {
    let test = TestGateway::new([Script::silent(), Script::whole(200, ANSWER)]);
    let ended = test.call(Client::asks(&chat("safe"))).await;
    assert_eq!(ended.providers.asked(), ["one", "two"], "a timeout is not tried again where it happened");
    let row = ended.row();
    assert_eq!((row.status, row.tokens.output, row.usage_source), (200, 2, Source::Estimated));
    assert!((11 + 8..11 + 40).contains(&row.tokens.input), "{:?}", row.tokens);
    assert_eq!(row.charge_nanos, row.tokens.input * 1_000 + 2 * 2_000);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_made_that_the_caps_have_no_room_for() {
    let mut asked = Vec::new();
    for cap in (40..400).step_by(10) {
        let caps = Caps { tokens_per_day: Some(cap), ..Caps::default() };
        let test = TestGateway::with_caps([Script::silent(), Script::whole(200, ANSWER)], caps);
        let ended = test.call(Client::asks(&chat("safe"))).await;
        assert!(ended.spent.total.tokens <= cap, "{:?} of {cap}", ended.spent.total);
        asked.push(ended.providers.asked().len());
    }
    for attempts in [0, 1, 2] {
        assert!(asked.contains(&attempts), "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_costs_its_prompt() {
    let ended = TestGateway::new([Script::silent()]).call(Client::asks(&chat("fast"))).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (504, "upstream_first_byte_timeout"));
    let row = ended.row();
    assert_eq!((row.usage_source, row.tokens.output, row.attempts), (Source::Estimated, 0, 1));
    assert!(row.tokens.input >= 8 && row.charge_nanos > 0, "{row:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_was_never_reached_costs_nothing() {
    for trouble in [UpstreamError::Unreachable, UpstreamError::ConnectTimeout, UpstreamError::Tls] {
        let code = trouble.code();
        let scripts = std::iter::repeat_n(Script::unreachable(trouble), 4);
        let ended = TestGateway::new(scripts).call(Client::asks(&chat("fast"))).await;
        assert_eq!(ended.seen.code(), code);
        assert_eq!((ended.row().tokens.total(), ended.row().attempts), (0, 4));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_before_is_replaced_without_a_retry() {
    let stale = Script::silent().untaken(UpstreamError::Stale);
    let closed = Script::silent().breaks(UpstreamError::Stale);
    let test = TestGateway::new([stale, closed, Script::whole(200, ANSWER)]);
    let ended = test.call(Client::asks(&chat("fast"))).await;
    assert_eq!(ended.seen.text, ANSWER);
    assert_eq!((ended.row().attempts, ended.row().tokens.input), (1, 11));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_refuses_every_request_is_not_tried_without_end() {
    // Over HTTP/2 the connection may stay, and refuse stream after stream.
    let began = tokio::time::Instant::now();
    let scripts = std::iter::repeat_n(Script::silent().untaken(UpstreamError::Stale), 12);
    let ended = TestGateway::new(scripts).call(Client::asks(&chat("fast"))).await;
    ended.is_refused(502, "upstream_connection_closed");
    assert_eq!((ended.row().attempts, ended.providers.asked().len()), (4, 12));
    assert!(!began.elapsed().is_zero(), "there is a pause between two attempts");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_ahead_and_back_lets_no_key_rest_longer() {
    let refusal = r#"{"error":{"message":"no","type":"authentication_error"}}"#;
    let test = TestGateway::new([Script::whole(401, refusal)]);
    test.step_clock_ms(2 * 3_600_000);
    let mut client = Client::asks(&chat("fast"));
    let operation = crate::call::Operation::Chat;
    super::super::serve(&test.gateway, &test.providers, crate::dialect::Dialect::OpenAi, operation, &mut client).await;
    test.step_clock_ms(0);
    let provider = &test.gateway.snapshot().models["fast"].targets[0].provider;
    let now = tokio::time::Instant::now();
    assert!(!provider.keys.has_rested(now));
    assert!(provider.keys.has_rested(now + provider.key_rest));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_at_fault_is_tried_once() {
    let refusal = r#"{"error":{"message":"no such thing","type":"invalid_request_error","param":"top_k"}}"#;
    let ended = TestGateway::new([Script::whole(400, refusal)]).call(Client::asks(&chat("safe"))).await;
    assert_eq!((ended.seen.status(), ended.seen.json()["error"]["param"].as_str()), (400, Some("top_k")));
    assert_eq!((ended.row().attempts, ended.row().tokens.total()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_left_alone_as_long_as_it_asks() {
    let limited = Script::whole(429, OVERLOADED).header("retry-after", "3");
    let test = TestGateway::new([limited, Script::whole(200, ANSWER)]);
    let began = tokio::time::Instant::now();
    let ended = test.call(Client::asks(&chat("fast"))).await;
    assert_eq!(ended.seen.text, ANSWER);
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!((ended.row().attempts, ended.row().tokens.total()), (2, 13));
}

#[tokio::test(start_paused = true)]
async fn an_error_before_a_streams_first_event_fails_over() {
    let error = "data: {\"error\":{\"message\":\"m\",\"code\":503}}\n\n";
    let good = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n\
                data: [DONE]\n\n";
    let failing = std::iter::repeat_n(Script::stream().piece(error), 3);
    let test = TestGateway::new(failing.chain([Script::stream().piece(good).ends()]));
    let ended = test.call(Client::asks(&streamed("safe"))).await;
    assert_eq!((ended.seen.said().as_str(), ended.row().provider.as_str()), ("hi", "two"));
    assert_eq!(ended.row().usage_source, Source::Counted);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_first_event_never_comes_fails_over() {
    let good = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n\
                data: [DONE]\n\n";
    let comments = Script::stream().piece(": wait\n\n").after(Duration::from_secs(4));
    let test = TestGateway::new([comments, Script::stream().piece(good)]);
    let ended = test.call(Client::asks(&streamed("safe"))).await;
    assert_eq!(ended.seen.said(), "hi");
    assert_eq!((ended.row().attempts, ended.row().usage_source), (2, Source::Estimated));
}
