//! What calls are found to have used, where their providers say nothing, too little or too much.

use std::time::Duration;

use super::{
    client::Client,
    providers::Script,
    setup::{Ended, TestGateway, chat, streamed},
    wholes::ANSWER,
};
use crate::{limit::Caps, upstream::UpstreamError, usage::Source};

const SECOND: Duration = Duration::from_secs(1);
/// About 2 100 tokens in 10 000 bytes.
const WORDS: &str = "The gateway keeps a ledger of every call that it has carried, and it is never wrong. ";

/// A call of a long prompt, and one token of answer.
fn long(model: &str) -> String {
    let prompt = WORDS.repeat(10_000 / WORDS.len());
    format!(r#"{{"model":"{model}","max_tokens":1,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#)
}

async fn call(script: Script, body: &str) -> Ended {
    TestGateway::new(std::iter::repeat_n(script, 4)).call(Client::asks(body)).await
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_without_a_verdict_costs_is_no_more_than_was_held_for_it() {
    let caps = Caps { tokens_per_day: Some(2_600), ..Caps::default() };
    for script in [
        Script::silent(),
        Script::head(200, "application/json").piece(&"x".repeat(70_000)).ends(),
        Script::head(200, "application/json").piece("{"),
    ] {
        let ended = TestGateway::with_caps([script], caps.clone()).call(Client::asks(&long("fast"))).await;
        // Its bytes did not fit, its count did; after one attempt there is no room for another.
        let row = ended.row();
        assert_eq!((row.attempts, row.usage_source), (1, Source::Estimated));
        assert!((1_500..=2_600).contains(&row.tokens.total()), "{:?}", row.tokens);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_counts_all_that_was_held_for_it_and_what_was_used_before() {
    let ended = TestGateway::new([Script::silent()]).dropped(Client::asks(&long("fast")), 2 * SECOND).await;
    let row = ended.row();
    assert_eq!((row.error_class.as_str(), row.tokens.output, row.attempts), ("aborted", 1, 1));
    // By its bytes.
    assert!(row.tokens.input > 9_900, "{:?}", row.tokens);
    assert_eq!(row.charge_nanos, row.tokens.input * 1_000 + row.tokens.output * 2_000);

    // The first attempt ends after ten seconds, in nobody's verdict.
    let scripts = [Script::silent(), Script::silent()];
    let ended = TestGateway::new(scripts).dropped(Client::asks(&chat("mixed")), 15 * SECOND).await;
    let row = ended.row();
    assert_eq!((row.error_class.as_str(), row.tokens.output, row.attempts), ("aborted", 50, 2));
    assert!(row.tokens.input > 60, "{:?}", row.tokens);
}

#[tokio::test(start_paused = true)]
async fn a_report_with_holes_is_filled_by_counting() {
    for (usage, input) in [
        (r#"{"prompt_tokens":12}"#, 12..=12),
        (r#"{"prompt_tokens":12,"completion_tokens":null}"#, 12..=12),
        (r#"{"prompt_tokens":12,"completion_tokens":0}"#, 12..=12),
        (r#"{"prompt_tokens":0,"completion_tokens":2}"#, 8..=20),
        (r#"{"completion_tokens":2}"#, 8..=20),
        (r#"{"prompt_tokens":0,"completion_tokens":0}"#, 8..=20),
        ("{}", 8..=20),
    ] {
        let (before, _) = ANSWER.split_once("\"usage\":").unwrap();
        let ended = call(Script::whole(200, &format!("{before}\"usage\":{usage}}}")), &chat("fast")).await;
        let row = ended.row();
        assert_eq!((row.tokens.output, row.usage_source), (2, Source::Counted), "{usage}");
        assert!(input.contains(&row.tokens.input), "{usage}: {:?}", row.tokens);
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_that_is_none_voids_its_report_and_is_shown() {
    let claude = |usage: &str| {
        let message = r#""type":"message","content":[{"type":"text","text":"Hello there"}],"stop_reason":"end_turn""#;
        ("wise", format!(r#"{{"id":"m",{message},"usage":{usage}}}"#))
    };
    let openai = |usage: &str| {
        let (before, _) = ANSWER.split_once("\"usage\":").unwrap();
        ("fast", format!("{before}\"usage\":{usage}}}"))
    };
    for (model, body) in [
        openai(r#"{"prompt_tokens":12,"completion_tokens":-5}"#),
        openai(r#"{"prompt_tokens":-12,"completion_tokens":2}"#),
        openai(r#"{"prompt_tokens":12,"completion_tokens":99999999999999999999}"#),
        claude(r#"{"input_tokens":12,"output_tokens":-5}"#),
        claude(r#"{"input_tokens":12,"output_tokens":99999999999999999999}"#),
        claude(r#"{"input_tokens":-1,"output_tokens":2}"#),
        claude(r#"{"input_tokens":1e30,"output_tokens":2}"#),
    ] {
        let test = TestGateway::new([Script::whole(200, &body)]);
        let gateway = test.gateway.clone();
        let ended = test.call(Client::asks(&chat(model))).await;
        let row = ended.row();
        assert_eq!((row.tokens.output, row.usage_source), (2, Source::Counted), "{body}");
        assert!((8..=20).contains(&row.tokens.input), "{body}: {:?}", row.tokens);
        let metrics = String::from_utf8(gateway.metrics.render()).unwrap();
        let shown =
            metrics.lines().any(|line| line.starts_with("tollgate_usage_set_aside_total{") && line.ends_with(" 1"));
        assert!(shown, "{body}");
    }
    for usage in ["{}", r#"{"input_tokens":0,"output_tokens":0}"#] {
        let (model, body) = claude(usage);
        let ended = call(Script::whole(200, &body), &chat(model)).await;
        assert_eq!((ended.row().tokens.output, ended.row().usage_source), (2, Source::Counted), "{usage}");
        assert!((8..=20).contains(&ended.row().tokens.input), "{usage}: {:?}", ended.row().tokens);
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_of_which_nothing_was_told_before_a_cut_is_not_free() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}}\n\n";
    let text = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there\"}}\n\n";
    for pieces in [start.to_owned(), start.to_owned() + text] {
        let ended = call(Script::stream().piece(&pieces).ends(), &streamed("wise")).await;
        let row = ended.row();
        assert!(row.tokens.input >= 8 * u64::from(row.attempts), "{:?}", row.tokens);
        assert_eq!(row.usage_source, Source::Estimated);
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_that_nobody_can_read_is_paid_for() {
    let answer = ANSWER.split_once(",\"usage\"").unwrap().0.to_owned() + "}";
    for (script, body) in [
        (Script::whole(200, "<html>"), chat("fast")),
        (Script::whole(200, "[1]"), chat("fast")),
        (Script::whole(200, "<html>"), chat("wise")),
        (Script::whole(200, r#"{"id":"m"}"#), chat("wise")),
        (Script::stream().piece("data: no JSON\n\n").ends(), streamed("fast")),
        (Script::stream().piece("data: no JSON\n\n").ends(), streamed("wise")),
        (Script::stream().piece(&"x".repeat(70_000)).ends(), streamed("fast")),
        (Script::head(200, "text/html").piece("<html>").ends(), streamed("fast")),
        (Script::whole(200, &answer), streamed("fast")),
    ] {
        let ended = call(script, &body).await;
        let row = ended.row();
        assert_eq!((row.error_class.as_str(), row.usage_source), ("upstream_error", Source::Estimated), "{body}");
        assert!(row.tokens.input >= 8 * u64::from(row.attempts), "{:?}", row.tokens);
        assert!(row.tokens.output <= 50 * u64::from(row.attempts), "{:?}", row.tokens);
    }
    let ended = call(Script::whole(200, &answer), &streamed("fast")).await;
    assert_eq!(ended.row().tokens.output, 2 * u64::from(ended.row().attempts), "an answer in a stream's place");
}

#[tokio::test(start_paused = true)]
async fn text_after_an_early_report_is_counted() {
    let says = |text: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]{usage}}}\n\n"
        )
    };
    let usage = ",\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":1}";
    let end =
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let ended =
        call(Script::stream().piece(&(says("Hello", usage) + &says(" there", "") + end)), &streamed("fast")).await;
    assert_eq!((ended.row().tokens.output, ended.row().usage_source), (2, Source::Counted));
    assert_eq!(ended.row().tokens.input, 11);
    // Counts that come with every piece are of all that was said so far.
    let ended =
        call(Script::stream().piece(&(says("Hello", "") + &says(" there", usage) + end)), &streamed("fast")).await;
    assert_eq!((ended.row().tokens.output, ended.row().usage_source), (1, Source::Provider));
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_cost_counts_also_where_another_had_no_price() {
    let scripts = [Script::silent(), Script::whole(200, ANSWER)];
    let ended = TestGateway::new(scripts).call(Client::asks(&chat("mixed"))).await;
    let row = ended.row();
    assert_eq!((row.status, row.priced, row.charge_nanos), (200, false, 15_000), "{row:?}");
    assert_eq!(row.currency, "USD");
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_reports_beyond_the_hold_is_counted_and_shown() {
    for (usage, is_overrun) in [
        (r#"{"prompt_tokens":11,"completion_tokens":60}"#, true),
        (r#"{"prompt_tokens":11,"completion_tokens":50}"#, false),
        (r#"{"prompt_tokens":90000,"completion_tokens":2}"#, true),
    ] {
        let (before, _) = ANSWER.split_once("\"usage\":").unwrap();
        let test = TestGateway::new([Script::whole(200, &format!("{before}\"usage\":{usage}}}"))]);
        let gateway = test.gateway.clone();
        let ended = test.call(Client::asks(&chat("fast"))).await;
        assert_eq!(ended.row().usage_source, Source::Provider, "{usage}");
        let metrics = String::from_utf8(gateway.metrics.render()).unwrap();
        let shown = metrics.lines().find(|line| line.starts_with("tollgate_overrun_tokens_total{"));
        let beyond = ended.row().overrun_tokens;
        assert_eq!((shown.is_some(), beyond > 0), (is_overrun, is_overrun), "{usage}: {shown:?}");
        assert!(shown.is_none_or(|line| line.ends_with(&format!(" {beyond}"))), "{usage}: {shown:?}");
        assert!(!usage.contains("60") || beyond == 10, "{usage}: {beyond}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_between_two_attempts_counts_those_that_are_over() {
    let limited = || Script::whole(429, r#"{"error":{"message":"m"}}"#).header("retry-after", "5");
    let ended = TestGateway::new([limited()]).dropped(Client::asks(&long("fast")), 2 * SECOND).await;
    let row = ended.row();
    assert_eq!((row.error_class.as_str(), row.tokens.total(), row.charge_nanos), ("aborted", 0, 0));
    assert_eq!((row.provider.as_str(), row.attempts, row.priced), ("one", 1, true));

    // The first attempt costs its prompt, which nobody has refused; the second is refused.
    let ended = TestGateway::new([Script::silent(), limited()]).dropped(Client::asks(&chat("safe")), 12 * SECOND).await;
    let row = ended.row();
    assert_eq!((row.error_class.as_str(), row.tokens.output, row.attempts), ("aborted", 0, 2));
    assert!((8..40).contains(&row.tokens.input), "{:?}", row.tokens);
    assert_eq!(row.charge_nanos, row.tokens.input * 1_000);

    // What was not taken is not at a provider while another connection is made.
    let stale = Script::silent().untaken(UpstreamError::Stale).breaks(UpstreamError::Reset);
    let connecting = Script::silent().opening(9 * SECOND);
    let ended = TestGateway::new([stale, connecting]).dropped(Client::asks(&chat("fast")), 2 * SECOND).await;
    assert_eq!((ended.row().error_class.as_str(), ended.row().tokens.total()), ("aborted", 0));
}
