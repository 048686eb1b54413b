//! Limits: never overshot, whoever races; given back as soon as it is known what was used.

use std::sync::{Barrier, mpsc};

use crate::support::*;

const RACERS: usize = 500;
const ROOM: usize = 10;

/// Calls 500 times at once, holds that exactly ten get through, all ten in flight together, and that the others are
/// refused for this reason without a call to the provider.
fn ten_of_five_hundred(limits: &str, code: &str) {
    let provider = openai();
    let model = "fake:gate?id=race";
    let gateway = gateway(&provider).serves(model).limits(limits).run();
    let (start, (tell, told)) = (Barrier::new(RACERS), mpsc::channel());
    std::thread::scope(|scope| {
        for racer in 0..RACERS {
            let (gateway, start, tell) = (&gateway, &start, tell.clone());
            let race = move || {
                let call = chat(model).with("max_tokens", 1000);
                let mut client = gateway.client();
                start.wait();
                client.send(&if racer % 2 == 0 { call } else { call.streamed() });
                // The test has ended by itself if nobody listens.
                let _ = tell.send(client.answer());
            };
            std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, race).expect("there are threads");
        }
        for _ in 0..RACERS - ROOM {
            let refused = told.recv_timeout(PATIENCE).expect("those without room are refused at once");
            refused.is_refused(429, code);
        }
        assert!(provider.wait(PATIENCE, |it| it.in_flight() == ROOM as u64));
        provider.open_gate("race");
        for _ in 0..ROOM {
            told.recv_timeout(PATIENCE).expect("those with room are answered").is_good();
        }
    });
    gateway.becomes_idle();
    assert_eq!((provider.calls(), provider.in_flight_most()), (ROOM as u64, ROOM as u64));
    let rows = gateway.stop().rows();
    let refused = rows.iter().filter(|row| row.error_class == code && !row.admitted && row.attempts == 0).count();
    assert_eq!((rows.len(), refused), (RACERS, RACERS - ROOM));
}

#[test]
fn of_500_racing_calls_10_get_through_a_cap_of_10_requests_per_minute() {
    ten_of_five_hundred("requests_per_minute = 10", "requests_per_minute_exceeded");
}

#[test]
fn of_500_racing_calls_10_get_through_a_cap_of_10_at_a_time() {
    ten_of_five_hundred("concurrent = 10", "concurrent_calls_exceeded");
}

#[test]
fn of_500_racing_calls_10_get_through_a_cap_of_tokens_for_10() {
    // A call holds its 1000 tokens of answer and a few of prompt.
    ten_of_five_hundred("tokens_per_day = 10900", "tokens_per_day_exceeded");
    ten_of_five_hundred("tokens_total = 10900", "tokens_total_exceeded");
}

#[test]
fn of_500_racing_calls_10_get_through_the_narrowest_of_several_caps() {
    ten_of_five_hundred(
        "tokens_per_month = 10900, concurrent = 400, requests_per_minute = 499",
        "tokens_per_month_exceeded",
    );
}

#[test]
fn a_cap_that_waiting_helps_is_told_with_how_long() {
    let provider = openai();
    let gateway = gateway(&provider).limits("requests_per_minute = 1").run();
    gateway.call(&chat("gpt")).is_good();
    let refused = gateway.call(&chat("gpt"));
    refused.is_refused(429, "requests_per_minute_exceeded").should_retry(None);
    let wait: u64 = refused.header("retry-after").expect("a time to wait").parse().unwrap();
    assert!((1..=61).contains(&wait), "{refused}");
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
}

#[test]
fn a_cap_that_waiting_does_not_help_is_told_not_to_retry() {
    let provider = openai();
    for (limits, code) in [
        ("tokens_per_day = 100", "tokens_per_day_exceeded"),
        ("tokens_per_month = 100", "tokens_per_month_exceeded"),
        ("tokens_total = 100", "tokens_total_exceeded"),
    ] {
        let gateway = gateway(&provider).limits(limits).run();
        let refused = gateway.call(&chat("gpt").with("max_tokens", 1000));
        refused.is_refused(429, code).should_retry(Some(false));
        assert_eq!(refused.json()["error"]["type"], "insufficient_quota");
        // A smaller call still fits.
        gateway.call(&chat("gpt").with("max_tokens", 50)).is_good();
    }
    assert_eq!(provider.calls(), 3);
}

#[test]
fn what_a_call_does_not_use_is_free_again_at_once() {
    let provider = openai();
    let gateway = gateway(&provider).limits("tokens_per_day = 1500").run();
    let mut client = gateway.client();
    // Each holds about 1000 and uses 4.
    for _ in 0..50 {
        client.call(&chat("gpt").with("max_tokens", 1000)).is_good();
        client.call(&chat("gpt").with("max_tokens", 1000).streamed()).is_good();
    }
    let settled: u64 = gateway.stop().rows().iter().map(|row| row.tokens.total()).sum();
    assert_eq!(settled, 100 * 4);
}

#[test]
fn a_capped_call_that_names_no_end_is_given_one() {
    let provider = openai();
    let gateway = gateway(&provider).limits("tokens_per_day = 100000").key("free", "").run();
    gateway.call(&chat("gpt")).is_good();
    assert!(provider.sent().contains(r#""max_tokens":4096"#), "{}", provider.sent());
    gateway.call(&chat("gpt").by("free")).is_good();
    assert!(!provider.sent().contains("max_tokens"), "{}", provider.sent());
    gateway.call(&chat("gpt").with("max_completion_tokens", 7)).is_good();
    assert!(!provider.sent().contains("max_tokens"), "{}", provider.sent());
}

#[test]
fn null_is_as_good_as_no_bound_and_of_two_bounds_the_larger_is_sent_once() {
    let provider = openai();
    let gateway = gateway(&provider).limits("tokens_total = 5000").run();
    let bounds = |sent: &str| sent.matches("max_tokens").count() + sent.matches("max_completion_tokens").count();
    gateway.call(&chat("gpt").with("max_tokens", serde_json::Value::Null)).is_good();
    assert!(provider.sent().contains(r#""max_tokens":4096"#), "{}", provider.sent());
    gateway.call(&chat("gpt").with("max_tokens", 7).with("max_completion_tokens", 900)).is_good();
    assert!(provider.sent().contains(":900") && bounds(&provider.sent()) == 1, "{}", provider.sent());
    let both = chat("gpt").with("max_completion_tokens", 7).with("max_tokens", 6000);
    gateway.call(&both).is_refused(429, "tokens_total_exceeded");
}

#[test]
fn a_prompt_that_does_not_fit_with_its_bytes_is_counted() {
    let provider = openai();
    let gateway = gateway(&provider).model("gpt-4o", &[("first", "gpt-4o")], "").limits("tokens_total = 1000").run();
    // 3 500 bytes, and some 700 tokens.
    let fits = chat("gpt-4o").saying(&"a gateway counts a word ".repeat(140)).with("max_tokens", 50);
    gateway.call(&fits).is_good();
    let gateway = gateway.stop().restart();
    let too_long = chat("gpt-4o").saying(&"a gateway counts a word ".repeat(210)).with("max_tokens", 50);
    gateway.call(&too_long).is_refused(429, "tokens_total_exceeded");
    assert_eq!(provider.calls(), 1);
}

#[test]
fn media_are_held_for_at_the_models_most() {
    let provider = openai();
    let image = serde_json::json!([{"role": "user", "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/large.png"}},
    ]}]);
    let call = |model: &str| chat(model).with("messages", image.clone()).with("max_tokens", 50);
    let gateway = gateway(&provider)
        .model("gpt-4o", &[("first", "gpt-4o")], "")
        .model("mini", &[("first", "gpt-4o-mini")], "")
        .model("own", &[("first", "gpt-4o-mini")], "media = { image_tokens_max = 900 }")
        .limits("tokens_per_day = 2000")
        .run();
    gateway.call(&call("gpt-4o")).is_good();
    gateway.call(&call("mini")).is_refused(429, "tokens_per_day_exceeded");
    gateway.call(&call("own")).is_good();
}

#[test]
fn several_choices_are_held_for() {
    let provider = openai();
    let gateway = gateway(&provider).limits("tokens_total = 2500").run();
    gateway.call(&chat("gpt").with("max_tokens", 1000).with("n", 3)).is_refused(429, "tokens_total_exceeded");
    gateway.call(&chat("gpt").with("max_tokens", 1000).with("n", 2)).is_good();
}

#[test]
fn each_key_has_limits_of_its_own() {
    let provider = openai();
    let one = "limits = { requests_per_minute = 1 }";
    let gateway = gateway(&provider).key("ann", one).key("bob", one).run();
    gateway.call(&chat("gpt").by("ann")).is_good();
    gateway.call(&chat("gpt").by("ann")).is_refused(429, "requests_per_minute_exceeded");
    gateway.call(&chat("gpt").by("bob")).is_good();
    gateway.call(&chat("gpt")).is_good();
}

#[test]
fn a_refused_call_counts_against_nothing() {
    let provider = openai();
    let gateway = gateway(&provider).limits("requests_per_minute = 2, tokens_total = 1100").run();
    let mut client = gateway.client();
    for _ in 0..5 {
        client.call(&chat("gpt").with("max_tokens", 5000)).is_refused(429, "tokens_total_exceeded");
        client.call(&chat("nothing")).is_refused(404, "model_not_found");
    }
    client.call(&chat("gpt").with("max_tokens", 1000)).is_good();
    client.call(&chat("gpt").with("max_tokens", 1000)).is_good();
    client.call(&chat("gpt").with("max_tokens", 1000)).is_refused(429, "requests_per_minute_exceeded");
}

#[test]
fn caps_outlive_the_process_however_it_ends() {
    let provider = openai();
    let model = "fake:usage?input=400&output=100";
    let setup = gateway(&provider).serves(model);
    let gateway = setup
        .key("tokens", "limits = { tokens_total = 1100 }")
        .key("day", "limits = { tokens_per_day = 1100, tokens_per_month = 5000 }")
        .key("minute", "limits = { requests_per_minute = 2 }")
        .run();
    let call = |key: &str| chat(model).by(key).with("max_tokens", 100);
    for key in ["tokens", "day", "minute"] {
        gateway.call(&call(key)).is_good();
    }
    let gateway = gateway.kill().restart();
    for key in ["tokens", "day", "minute"] {
        gateway.call(&call(key)).is_good();
    }
    let gateway = gateway.kill().restart();
    gateway.call(&call("tokens")).is_refused(429, "tokens_total_exceeded");
    gateway.call(&call("day")).is_refused(429, "tokens_per_day_exceeded");
    gateway.call(&call("minute")).is_refused(429, "requests_per_minute_exceeded");
    let gateway = gateway.stop().restart();
    gateway.call(&call("tokens")).is_refused(429, "tokens_total_exceeded");
    assert_eq!(provider.calls(), 6);
}

#[test]
fn an_adapter_cannot_take_the_bound_away_that_a_cap_counts_on() {
    let provider = openai();
    let config = r#"config = { drop = ["max_tokens", "max_completion_tokens"] }"#;
    let gateway = gateway(&provider)
        .provider("first", provider.adapter, &provider.base_url(), config)
        .limits("tokens_total = 100000")
        .key("free", "")
        .run();
    gateway.call(&chat("gpt").with("max_tokens", 100)).is_refused(502, "adapter_error");
    assert_eq!(provider.calls(), 0);
    gateway.call(&chat("gpt").with("max_tokens", 100).by("free")).is_good();
}

#[test]
fn a_translated_call_that_thinks_stays_within_its_hold() {
    let provider = anthropic();
    let gateway = gateway(&provider)
        .model("claude-sonnet-4-5", &[("first", "claude-sonnet-4-5")], "")
        .limits("tokens_total = 100000")
        .run();
    let call = chat("claude-sonnet-4-5").with("reasoning_effort", "high");
    gateway.call(&call).is_good();
    gateway.call(&call.clone().with("max_tokens", 3000)).is_good();
    gateway.call(&call.with("max_tokens", serde_json::Value::Null).streamed()).is_good();
    assert_eq!(provider.calls(), 3);
}
