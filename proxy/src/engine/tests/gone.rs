//! A client that leaves, at each wait of a call: the provider is left, and what was used is settled.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::{attempt_error::AttemptError, call_io::turn_before},
    client::Client,
    providers::Script,
    setup::{Ended, TestGateway, chat, streamed},
    wholes::ANSWER,
};
use crate::{
    plugin::{PluginError, Turn},
    upstream::UpstreamError,
    usage::Source,
};

const SECOND: Duration = Duration::from_secs(1);

/// Holds that the row says that the client left.
#[track_caller]
fn has_left(ended: &Ended) {
    let row = ended.row();
    assert_eq!((row.status, row.error_class.as_str(), row.client_gone), (499, "client_gone", true));
    assert!(ended.seen.closed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_its_answer_pays_for_its_prompt() {
    for script in [
        Script::silent().taking(9 * SECOND),
        Script::silent(),
        Script::head(200, "application/json"),
        Script::head(200, "application/json").piece("{"),
        Script::stream(),
        Script::stream().piece(": comment\n\n"),
    ] {
        let ended = TestGateway::new([script]).call(Client::asks(&chat("safe")).leaves_after(2 * SECOND)).await;
        has_left(&ended);
        let row = ended.row();
        assert_eq!((row.attempts, row.usage_source), (1, Source::Estimated));
        assert!(row.tokens.input >= 8, "{:?}", row.tokens);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_stream_is_silent_pays_for_what_it_heard() {
    let said = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two\"},\"finish_reason\":null}]}\n\n";
    let client = Client::asks(&streamed("safe")).leaves_after(2 * SECOND);
    let ended = TestGateway::new([Script::stream().piece(said)]).call(client).await;
    has_left(&ended);
    assert_eq!((ended.seen.said().as_str(), ended.row().tokens.output), ("one two", 2));
    assert_eq!(ended.row().usage_source, Source::Estimated);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_written_to_has_left() {
    let said = |text: &str| {
        format!(
            "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
        )
    };
    for writes in 0..3 {
        let script = Script::stream().piece(&said("one")).piece(&said(" two")).after(SECOND);
        let script = script.piece(&said(" three")).after(SECOND);
        let ended = TestGateway::new([script]).call(Client::asks(&streamed("safe")).takes(writes)).await;
        has_left(&ended);
        assert_eq!(ended.row().tokens.output, writes.max(1) as u64, "{writes} writes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_a_back_off_pays_nothing_for_the_refusal() {
    let limited = Script::whole(429, r#"{"error":{"message":"m"}}"#).header("retry-after", "3");
    let test = TestGateway::new([limited]);
    let ended = test.call(Client::asks(&chat("fast")).leaves_after(2 * SECOND)).await;
    has_left(&ended);
    assert_eq!((ended.row().tokens.total(), ended.row().charge_nanos, ended.row().attempts), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_an_error_is_read_pays_nothing() {
    let test = TestGateway::new([Script::head(500, "application/json").piece("{")]);
    let ended = test.call(Client::asks(&chat("fast")).leaves_after(2 * SECOND)).await;
    has_left(&ended);
    assert_eq!(ended.row().tokens.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_with_its_whole_answer_has_a_good_call() {
    let ended = TestGateway::new([Script::whole(200, ANSWER)]).call(Client::asks(&chat("fast")).takes(1)).await;
    assert_eq!((ended.row().status, ended.row().tokens.total()), (200, 13));
    assert!(ended.seen.closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_end_of_the_gateway_cuts_is_told_and_pays_for_what_it_used() {
    let said = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two\"},\"finish_reason\":null}]}\n\n";
    for (script, body, status, output) in [
        (Script::silent(), chat("safe"), 503, 0),
        (Script::head(200, "application/json"), chat("safe"), 503, 0),
        (Script::stream().piece(said), streamed("safe"), 200, 2),
    ] {
        let ended = TestGateway::new([script]).call(Client::asks(&body).cut_after(2 * SECOND)).await;
        assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (status, "gateway_unavailable"));
        let row = ended.row();
        assert_eq!((row.status, row.error_class.as_str()), (status, "gateway_unavailable"));
        assert_eq!((row.attempts, row.tokens.output, row.usage_source), (1, output, Source::Estimated));
        assert!(row.tokens.input >= 8, "{:?}", row.tokens);
    }
    let limited = Script::whole(429, r#"{"error":{"message":"m"}}"#).header("retry-after", "3");
    let ended = TestGateway::new([limited]).call(Client::asks(&chat("fast")).cut_after(2 * SECOND)).await;
    ended.is_refused(503, "gateway_unavailable");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_plugins_turn_beyond_the_client_and_the_clock() {
    let never = || std::future::pending::<Result<Turn<'static>, PluginError>>();
    let mut client = Client::asks("").leaves_after(2 * SECOND);
    let left = turn_before(Some(Instant::now() + 3 * SECOND), &mut client, never()).await;
    assert!(matches!(left, Err(AttemptError::ClientGone)));
    let mut client = Client::asks("").leaves_after(9 * SECOND);
    let late = turn_before(Some(Instant::now() + 3 * SECOND), &mut client, never()).await;
    assert!(matches!(late, Err(AttemptError::Upstream(UpstreamError::TotalTimeout))));
}
