//! Clients that leave: the provider is left at once, and what was used is settled, once.

use std::time::{Duration, Instant};

use crate::support::*;

/// Room for one call at a time: one that is not settled keeps the next one out.
const ONE: &str = "concurrent = 1, tokens_total = 9000";

/// Holds that the provider saw its caller go, and soon enough after `left`.
#[track_caller]
fn is_left_at_once(provider: &Provider, left: Instant) {
    assert!(provider.wait(PATIENCE, |it| it.aborted() == 1), "the provider was never left");
    let after = provider.last_abort().expect("there was one").at.saturating_duration_since(left);
    assert!(after < AT_ONCE, "the provider was left after {after:?}");
}

/// Holds that the gateway has one row of a client that left, and goes on.
#[track_caller]
fn settles_once(gateway: Gateway) -> Row {
    gateway.becomes_idle();
    gateway.call(&chat("gpt").with("max_tokens", 4000)).is_good();
    let rows = gateway.stop().failed_rows();
    let [row] = &rows[..] else { panic!("one row, not {rows:#?}") };
    assert_eq!((row.status, row.error_class.as_str(), row.client_gone), (499, "client_gone", true));
    row.clone()
}

#[test]
fn a_client_that_leaves_before_the_first_byte_pays_for_its_prompt() {
    let call = chat("fake:hang").saying("one two three");
    let (whole, streamed) = (call.clone(), call.streamed());
    for (call, provider) in [(&whole, openai()), (&streamed, openai()), (&whole, anthropic()), (&streamed, anthropic())]
    {
        let gateway = gateway(&provider).serves("fake:hang").limits(ONE).run();
        let client = gateway.begin(call);
        assert!(provider.wait(PATIENCE, |it| it.in_flight() == 1));
        is_left_at_once(&provider, client.leave());
        let row = settles_once(gateway);
        assert_eq!(row.usage_source.as_str(), "estimated");
        assert!((10..20).contains(&row.tokens.input) && row.tokens.output == 0, "{:?}", row.tokens);
        assert_eq!(row.first_byte_us, None);
    }
}

#[test]
fn a_client_that_leaves_a_stream_pays_for_what_it_received() {
    let model = "fake:slow?frame_ms=10&frames=2000";
    for provider in [openai(), anthropic()] {
        let gateway = gateway(&provider).serves(model).limits(ONE).run();
        let mut client = gateway.begin(&chat(model).streamed());
        client.head();
        client.events(10);
        is_left_at_once(&provider, client.leave());
        let row = settles_once(gateway);
        assert_eq!(row.usage_source.as_str(), "estimated");
        assert!((8..200).contains(&row.tokens.output), "{:?}", row.tokens);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_whole_answer_stops_the_provider() {
    let provider = openai();
    let gateway = gateway(&provider).serves("fake:stall").limits(ONE).run();
    let client = gateway.begin(&chat("fake:stall"));
    assert!(provider.wait(PATIENCE, |it| it.in_flight() == 1));
    is_left_at_once(&provider, client.leave());
    settles_once(gateway);
}

#[test]
fn a_client_that_leaves_a_silent_stream_stops_the_provider() {
    for provider in [openai(), anthropic()] {
        let gateway = gateway(&provider).serves("fake:stall?after=4").limits(ONE).run();
        let mut client = gateway.begin(&chat("fake:stall?after=4").streamed());
        client.head();
        client.events(2);
        is_left_at_once(&provider, client.leave());
        assert!(settles_once(gateway).tokens.output > 0);
    }
}

#[test]
fn a_client_that_will_send_no_more_is_answered() {
    for provider in [openai(), anthropic()] {
        let (whole, streamed) = ("fake:slow?first_ms=300", "fake:slow?first_ms=100&frame_ms=50&frames=8");
        let gateway = gateway(&provider).serves(whole).serves(streamed).run();
        for call in [chat(whole), chat(streamed).streamed_with_usage()] {
            let mut client = gateway.begin(&call);
            client.half_close();
            client.answer().is_good();
            client.is_closed();
        }
        let rows = gateway.stop().rows();
        assert!(rows.len() == 2 && rows.iter().all(|row| row.is_ok() && !row.client_gone), "{rows:#?}");
    }
}

#[test]
fn a_client_that_will_send_no_more_and_then_leaves_stops_the_provider() {
    for (model, call) in
        [("fake:hang", chat("fake:hang")), ("fake:stall?after=4", chat("fake:stall?after=4").streamed())]
    {
        let provider = openai();
        let gateway = gateway(&provider).serves(model).limits(ONE).run();
        let mut client = gateway.begin(&call);
        assert!(provider.wait(PATIENCE, |it| it.in_flight() == 1));
        if model != "fake:hang" {
            client.head();
            client.events(2);
        }
        client.half_close();
        client.leave();
        assert!(provider.wait(PATIENCE, |it| it.aborted() == 1), "the provider was never left");
        settles_once(gateway);
    }
}

#[test]
fn a_client_that_leaves_while_a_retry_waits_is_not_retried_for() {
    let provider = openai();
    let model = "fake:status?code=500";
    let rules = "retry = { server = { retries = 5, wait_ms = 9000 } }";
    let gateway = gateway(&provider).first(rules).serves(model).limits(ONE).run();
    let client = gateway.begin(&chat(model));
    assert!(provider.wait(PATIENCE, |it| it.completed() == 1));
    let left = client.leave();
    gateway.becomes_idle();
    assert!(left.elapsed() < Duration::from_secs(5), "the wait went on for {:?}", left.elapsed());
    assert_eq!(settles_once(gateway).attempts, 1);
    assert_eq!(provider.calls(), 2);
}

#[test]
fn a_client_that_stops_reading_is_left_and_settled() {
    let provider = openai();
    let model = "fake:big?bytes=60000000&frames=4000";
    let gateway = gateway(&provider).serves(model).server("write_timeout_s = 1").limits("concurrent = 1").run();
    let mut client = gateway.begin(&chat(model).streamed());
    client.head();
    client.events(1);
    assert!(provider.wait(PATIENCE, |it| it.aborted() == 1), "the provider was never left");
    settles_once(gateway);
    drop(client);
}

#[test]
fn a_client_that_leaves_while_its_prompt_goes_out_stops_the_provider() {
    let provider = ByHand::listen();
    let gateway = gateway_before("openai", &provider.base_url()).run();
    // More than all buffers between take, and the provider reads none of it.
    let client = gateway.begin(&chat("gpt").with("padding", "x".repeat(25 << 20)));
    let mut taken = provider.accept();
    taken.reads_a_little();
    let left = client.leave();
    taken.is_left();
    assert!(left.elapsed() < Duration::from_secs(2), "the provider was left after {:?}", left.elapsed());
    gateway.becomes_idle();
    let row = gateway.stop().only_row();
    assert_eq!((row.error_class.as_str(), row.usage_source.as_str()), ("client_gone", "estimated"));
}

#[test]
fn a_client_that_leaves_before_its_body_has_come_leaves_a_row() {
    let provider = openai();
    let gateway = gateway(&provider).limits(ONE).run();
    let call = chat("gpt").bytes();
    let mut client = gateway.client();
    client.write(&call[..call.len() - 5]);
    eventually("the call has begun", || (gateway.in_flight() == 1).then_some(()));
    client.leave();
    gateway.still_serves();
    let row = &gateway.stop().failed_rows()[0];
    assert_eq!((row.error_class.as_str(), row.tokens.total()), ("body_incomplete", 0));
}

#[test]
fn a_hundred_clients_that_leave_at_all_moments_leave_a_row_each() {
    let provider = openai();
    // Nobody reads it to its end.
    let model = "fake:slow?frame_ms=20&frames=100000";
    let gateway = gateway(&provider).serves(model).limits("concurrent = 100").run();
    let mut left = Vec::new();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..100)
            .map(|turn| {
                let gateway = &gateway;
                scope.spawn(move || {
                    let mut client = gateway.begin(&chat(model).streamed());
                    let id = client.head().request_id();
                    client.events(4 + turn % 50);
                    id
                })
            })
            .collect();
        left.extend(calls.into_iter().map(|call| call.join().expect("the client leaves by itself")));
    });
    gateway.still_serves();
    let rows = gateway.stop().rows();
    assert_eq!(rows.len(), 101);
    for id in left {
        let row = rows.iter().find(|row| row.request_id == id).expect("each has its row");
        assert!(row.client_gone && row.tokens.output > 0, "{row:?}");
    }
}
