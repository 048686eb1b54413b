//! Before anything is sent: what is refused, in which words, and that it costs nothing.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    super::{BodyError, models, refuse},
    client::Client,
    providers::Script,
    setup::{Ended, KEY, NOW_MS, TestGateway, chat},
};
use crate::{
    dialect::Dialect,
    error::{Error, RequestError},
    limit::{self, Amount, Caps, Past, PastPeriod},
};

/// What a client that says this is told, when nobody is asked for it.
async fn refused(caps: Caps, client: Client, status: u16, code: &str) {
    let ended = TestGateway::with_caps([], caps).call(client).await;
    ended.is_refused(status, code);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_served_is_refused_by_name() {
    let none = Caps::default;
    refused(none(), Client::asks("{").with_body(Err(BodyError::TooLarge(9))), 413, "request_too_large").await;
    refused(none(), Client::asks("{").with_body(Err(BodyError::Slow)), 408, "request_timeout").await;
    refused(none(), Client::asks("{").with_body(Err(BodyError::Broken)), 400, "body_incomplete").await;
    refused(none(), Client::asks("").with_body(Ok(Bytes::from_static(b"{\"a\":\"\xff\"}"))), 400, "invalid_json").await;
    refused(none(), Client::asks(&chat("none")), 404, "model_not_found").await;
    refused(none(), Client::asks(&chat("hidden")), 403, "model_not_allowed").await;
    let templated = chat("fast").replace("\"max_tokens\"", "\"template\":{\"name\":\"t\"},\"max_tokens\"");
    refused(none(), Client::asks(&templated), 404, "template_not_found").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_a_cap_is_refused_before_anyone_is_asked() {
    let caps = |change: fn(&mut Caps)| {
        let mut caps = Caps::default();
        change(&mut caps);
        caps
    };
    for (caps, code) in [
        (caps(|caps| caps.tokens_per_day = Some(40)), "tokens_per_day_exceeded"),
        (caps(|caps| caps.requests_per_minute = Some(0)), "requests_per_minute_exceeded"),
        (caps(|caps| caps.concurrent = Some(0)), "concurrent_calls_exceeded"),
    ] {
        refused(caps, Client::asks(&chat("fast")), 429, code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_while_the_body_arrives_is_refused() {
    let test = TestGateway::new([]);
    let client = Client::asks(&chat("fast")).meanwhile(test.revocation());
    test.call(client).await.is_refused(401, "key_revoked");
}

#[tokio::test(start_paused = true)]
async fn a_bad_key_is_told_before_its_body_is_read() {
    for (key, code) in [(None, "key_missing"), (Some("sk-tg-unknown"), "invalid_api_key")] {
        let client = Client::asks(&chat("fast")).with_key(key).meanwhile(|| panic!("the body is left alone"));
        let ended = TestGateway::new([]).call(client).await;
        assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (401, code));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_refused_takes_no_place_while_it_sends_its_body() {
    let alone = |test: &TestGateway| {
        let gateway = test.gateway.clone();
        move || assert_eq!((gateway.in_flight(), gateway.unanswered()), (0, 1))
    };
    let none_left = Caps { requests_per_minute: Some(0), ..Caps::default() };
    for (key, caps, code) in [
        (None, Caps::default(), "key_missing"),
        (Some("sk-tg-unknown"), Caps::default(), "invalid_api_key"),
        (Some(KEY), none_left, "requests_per_minute_exceeded"),
    ] {
        let test = TestGateway::with_caps([], caps);
        let client = Client::asks(&chat("fast")).with_key(key).while_discarding(alone(&test));
        let ended = test.call(client).await;
        assert_eq!(ended.seen.code(), code);
    }
    let test = TestGateway::new([]);
    let mut stranger = Client::asks("").while_discarding(alone(&test));
    refuse(&test.gateway, Dialect::OpenAi, Box::new(Error::Request(RequestError::Path)), &mut stranger).await;
    let mut reader = Client::asks("").while_discarding(alone(&test));
    models(&test.gateway, Dialect::OpenAi, &mut reader).await;
    assert_eq!(reader.seen.lock().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_stops_takes_no_calls() {
    let test = TestGateway::new([]);
    test.gateway.drain();
    let ended = test.call(Client::asks(&chat("fast"))).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (503, "gateway_unavailable"));
    // Nobody has asked yet whose call it is.
    assert!(ended.rows.is_empty() && ended.seen.closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_row_would_be_lost_is_refused_and_counted() {
    let test = TestGateway::new([]);
    test.gateway.set_data_gone(true);
    let stranger = test.call(Client::asks(&chat("fast")).with_key(Some("sk-tg-unknown"))).await;
    assert_eq!((stranger.seen.status(), stranger.seen.code().as_str()), (401, "invalid_api_key"));

    let test = TestGateway::new([]);
    test.gateway.set_data_gone(true);
    let gateway = test.gateway.clone();
    let ended = test.call(Client::asks(&chat("fast"))).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (503, "ledger_unavailable"));
    let metrics = String::from_utf8(gateway.metrics.render()).unwrap();
    assert!(metrics.contains("tollgate_ledger_rows_lost_total 1"), "{metrics}");
    assert!(metrics.contains(r#"code="ledger_unavailable""#), "{metrics}");
    assert!(gateway.readiness().unwrap_err().to_string().starts_with("the data directory was removed"));
    gateway.set_data_gone(false);
    assert_eq!(gateway.readiness(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_recorded_at_its_end_is_recorded_once() {
    let test = TestGateway::new([Script::whole(200, super::wholes::ANSWER)]);
    let gateway = test.gateway.clone();
    let client = Client::asks(&chat("fast")).meanwhile(move || gateway.set_data_gone(true));
    let gateway = test.gateway.clone();
    let ended = test.call(client).await;
    assert_eq!((ended.seen.status(), ended.seen.code().as_str()), (503, "ledger_unavailable"));
    assert_eq!(ended.row().tokens.total(), 13);
    let metrics = String::from_utf8(gateway.metrics.render()).unwrap();
    assert!(metrics.contains("tollgate_ledger_rows_lost_total 1"), "{metrics}");
    let counted = metrics.lines().filter(|line| line.starts_with("tollgate_calls_total{"));
    assert_eq!(counted.filter(|line| !line.ends_with(" 0")).count(), 1, "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_serves_as_many_calls_as_it_may_takes_no_more() {
    let test = TestGateway::new([]);
    let others = [test.gateway.begin(), test.gateway.begin()];
    let mut client = Client::asks(&chat("fast"));
    let operation = crate::call::Operation::Chat;
    super::super::serve(&test.gateway, &test.providers, Dialect::OpenAi, operation, &mut client).await;
    drop(others);
    let seen = client.seen.lock().unwrap();
    assert_eq!((seen.status(), seen.code().as_str()), (503, "gateway_busy"));
}

#[tokio::test(start_paused = true)]
async fn models_are_shown_to_whoever_may_use_them() {
    let test = TestGateway::new([]);
    let mut client = Client::asks("");
    models(&test.gateway, Dialect::OpenAi, &mut client).await;
    let listed = client.seen.lock().unwrap().json();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["fast", "mixed", "safe", "wise"]);

    let mut client = Client::asks("");
    super::super::model(&test.gateway, Dialect::OpenAi, "fast", &mut client).await;
    assert_eq!(client.seen.lock().unwrap().json()["owned_by"], "one");

    let mut client = Client::asks("");
    super::super::model(&test.gateway, Dialect::OpenAi, "hidden", &mut client).await;
    assert_eq!(client.seen.lock().unwrap().code(), "model_not_allowed");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_no_call_is_refused_in_the_same_words() {
    let test = TestGateway::new([]);
    let mut client = Client::asks("");
    let error = Box::new(Error::Request(RequestError::Path));
    refuse(&test.gateway, Dialect::OpenAi, error, &mut client).await;
    let seen = client.seen.lock().unwrap();
    assert_eq!((seen.status(), seen.code().as_str()), (404, "path_not_found"));
    assert!(seen.header("x-request-id").is_some());
}

/// A call that has to be counted to fit, while another account's prompt takes the one place for that.
async fn while_another_is_counted(past: Past, client: Client) -> (Ended, Duration) {
    let caps = Caps { tokens_per_day: Some(1000), tokens_total: Some(55), ..Caps::default() };
    let test = TestGateway::with_caps([], caps);
    test.gateway.limiter.restore("key_1", &past, test.gateway.time());
    let place = test.gateway.counting.place(&"another".into()).await;
    let began = Instant::now();
    let ended = test.call(client).await;
    drop(place);
    (ended, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_so_long_to_be_counted_and_no_longer_than_its_client() {
    let (ended, waited) = while_another_is_counted(Past::default(), Client::asks(&chat("fast"))).await;
    ended.is_refused(503, "gateway_busy");
    assert_eq!(waited.as_secs(), 10);

    let leaving = Client::asks(&chat("fast")).leaves_after(Duration::from_secs(2));
    let (ended, waited) = while_another_is_counted(Past::default(), leaving).await;
    assert_eq!((ended.row().status, ended.row().client_gone, ended.seen.closed), (499, true, true));
    assert_eq!(waited.as_secs(), 2);

    let cut = Client::asks(&chat("fast")).cut_after(Duration::from_secs(2));
    while_another_is_counted(Past::default(), cut).await.0.is_refused(503, "gateway_unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_some_cap_has_no_room_for_is_not_counted() {
    // All time's cap might let it in, once it is counted; the day's will not.
    let day = limit::day_of(NOW_MS);
    let today = PastPeriod { number: day, used: Amount::tokens(990) };
    let past = Past { days: vec![today], ..Past::default() };
    let (ended, waited) = while_another_is_counted(past, Client::asks(&chat("fast"))).await;
    assert_eq!(ended.seen.status(), 429, "{}", ended.seen.text);
    assert!(waited.as_secs() < 1);
}
