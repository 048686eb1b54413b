use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use super::*;
use crate::{
    plugin::{Called, Function, Observer},
    store::Record,
    usage::Source,
};

fn metrics() -> Metrics {
    Metrics::new("1.2.3", Bounds::default())
}

fn record() -> Record {
    let mut record =
        Record { status: 200, operation: "chat".into(), usage_source: Source::Provider, ..Record::default() };
    record.tokens.input = 12;
    record.tokens.output = 5;
    record.tokens.cached = 4;
    record.priced = true;
    record.currency = "USD".into();
    record.charge_nanos = 700;
    record.first_byte_us = Some(1500);
    record.total_us = 30_000;
    record.overhead_us = 8;
    record
}

fn called(function: Function, fault: Option<&'static str>) -> Called {
    Called { function, took: Duration::from_micros(9), memory_bytes: 0, fault }
}

fn rendered(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render()).unwrap()
}

#[track_caller]
fn check(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|seen| seen == *line), "no line `{line}` in\n{text}");
    }
}

/// Every family with a series or more.
fn filled() -> Metrics {
    let metrics = metrics();
    let target = metrics.target("gpt-4o", "openai");
    target.count(&record());
    target.count(&Record { priced: false, ..record() });
    target.attempt("ok");
    target.attempt("timeout");
    target.set_aside();
    target.overrun(5);
    metrics.watch("anthropic").called(&called(Function::Encode, Some("deadline")));
    metrics.set_ledger(3, 4096);
    metrics.set_store_bytes(1 << 20);
    metrics.row_lost();
    metrics
}

#[test]
fn a_good_call_counts_once_in_every_family() {
    let metrics = metrics();
    metrics.target("gpt-4o", "openai").count(&record());
    check(
        &rendered(&metrics),
        &[
            r#"tollgate_build_info{version="1.2.3"} 1"#,
            r#"tollgate_calls_total{code="ok",model="gpt-4o",provider="openai",status_class="2xx"} 1"#,
            r#"tollgate_tokens_total{kind="input",model="gpt-4o",provider="openai",source="provider"} 12"#,
            r#"tollgate_tokens_total{kind="cached",model="gpt-4o",provider="openai",source="provider"} 4"#,
            r#"tollgate_charge_nanos_total{currency="USD",model="gpt-4o",provider="openai"} 700"#,
            r#"tollgate_gateway_overhead_seconds_bucket{le="0.00001"} 1"#,
            r#"tollgate_first_byte_seconds_bucket{model="gpt-4o",operation="chat",provider="openai",le="0.0025"} 1"#,
            r#"tollgate_call_duration_seconds_sum{model="gpt-4o",operation="chat",provider="openai"} 0.03"#,
            r#"gen_ai_server_request_duration_seconds_sum{gen_ai_request_model="gpt-4o",gen_ai_operation_name="chat",gen_ai_provider_name="openai"} 0.03"#,
            r#"gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="gpt-4o",gen_ai_token_type="input"} 12"#,
        ],
    );
}

#[test]
fn a_refusal_counts_under_its_code() {
    let metrics = metrics();
    let target = metrics.unknown_target();
    target.count(&Record { status: 404, error_class: "model_unknown".into(), ..Record::default() });
    target.count(&Record { status: 502, error_class: "upstream_failed".into(), ..Record::default() });
    target.count(&Record { status: 200, error_class: "stream_cut".into(), ..Record::default() });
    check(
        &rendered(&metrics),
        &[
            r#"tollgate_calls_total{code="model_unknown",model="other",provider="none",status_class="4xx"} 1"#,
            r#"tollgate_calls_total{code="upstream_failed",model="other",provider="none",status_class="5xx"} 1"#,
            r#"tollgate_calls_total{code="stream_cut",model="other",provider="none",status_class="2xx"} 1"#,
        ],
    );
}

#[test]
fn a_call_without_a_price_is_reported_and_never_charged() {
    let metrics = metrics();
    let target = metrics.target("free", "local");
    let unpriced = || Record { priced: false, charge_nanos: 0, currency: String::new(), ..record() };
    target.count(&unpriced());
    target.count(&Record { tokens: Default::default(), ..unpriced() });
    let text = rendered(&metrics);
    check(&text, &[r#"tollgate_unpriced_calls_total{model="free"} 1"#]);
    assert!(!text.contains("tollgate_charge_nanos_total"));
    // Of several attempts one had a price.
    target.count(&Record { priced: false, ..record() });
    let charge = r#"tollgate_charge_nanos_total{currency="USD",model="free",provider="local"} 700"#;
    check(&rendered(&metrics), &[r#"tollgate_unpriced_calls_total{model="free"} 2"#, charge]);
}

#[test]
fn a_price_in_another_currency_counts_apart() {
    let metrics = metrics();
    let target = metrics.target("m", "p");
    target.count(&record());
    target.count(&Record { currency: "CNY".into(), ..record() });
    target.count(&record());
    check(
        &rendered(&metrics),
        &[
            r#"tollgate_charge_nanos_total{currency="USD",model="m",provider="p"} 1400"#,
            r#"tollgate_charge_nanos_total{currency="CNY",model="m",provider="p"} 700"#,
        ],
    );
}

#[test]
fn lanes_beyond_the_bound_are_folded_together() {
    let metrics = Metrics::new("1", Bounds { targets_max: 3, ..Bounds::default() });
    let labels = |model: &str| {
        let target = metrics.target(model, "p");
        (target.model().to_owned(), target.provider().to_owned())
    };
    let own = |model: &str| (model.to_owned(), "p".to_owned());
    let folded = ("other".to_owned(), "other".to_owned());
    assert_eq!([labels("a"), labels("b")], [own("a"), own("b")]);
    assert_eq!([labels("c"), labels("d")], [folded.clone(), folded]);
    assert_eq!(labels("a"), own("a"), "what was there before keeps its series");
}

#[test]
fn codes_and_plugins_beyond_the_bound_are_folded_together() {
    let metrics = Metrics::new("1", Bounds { plugins_max: 2, codes_max: 2, ..Bounds::default() });
    for kind in ["a", "b", "c", "d", "a"] {
        metrics.watch("one").called(&called(Function::Push, Some(kind)));
    }
    metrics.watch("two").called(&called(Function::Encode, None));
    metrics.watch("three").called(&called(Function::Encode, None));
    check(
        &rendered(&metrics),
        &[
            r#"tollgate_plugin_traps_total{kind="a",plugin="one"} 2"#,
            r#"tollgate_plugin_traps_total{kind="other",plugin="one"} 2"#,
            r#"tollgate_plugin_instantiations_total{plugin="other"} 2"#,
        ],
    );
}

#[test]
fn a_lane_asked_for_again_is_the_same_lane() {
    let metrics = metrics();
    assert!(Arc::ptr_eq(&metrics.target("m", "p"), &metrics.target("m", "p")));
    assert!(Arc::ptr_eq(&metrics.plugin("x"), &metrics.plugin("x")));
}

#[test]
fn a_call_is_in_flight_until_its_guard_is_dropped() {
    let metrics = metrics();
    let (one, other) = (metrics.enter(), metrics.enter());
    check(&rendered(&metrics), &["tollgate_calls_in_flight 2"]);
    drop(one);
    assert_eq!(metrics.in_flight(), 1);
    drop(other);
    assert_eq!(metrics.in_flight(), 0);
}

#[test]
fn a_plugins_calls_count_by_function_and_by_fault() {
    let metrics = metrics();
    let watch = metrics.watch("openai");
    for (function, fault) in [
        (Function::Encode, None),
        (Function::Encode, Some("memory")),
        (Function::Encode, Some("busy")),
        (Function::Open, None),
        (Function::Push, None),
        (Function::Finish, Some("memory")),
    ] {
        watch.called(&called(function, fault));
    }
    check(
        &rendered(&metrics),
        &[
            r#"tollgate_plugin_call_seconds_count{function="encode",plugin="openai"} 3"#,
            r#"tollgate_plugin_call_seconds_bucket{function="push",plugin="openai",le="0.00001"} 1"#,
            r#"tollgate_plugin_instantiations_total{plugin="openai"} 3"#,
            r#"tollgate_plugin_traps_total{kind="memory",plugin="openai"} 2"#,
            r#"tollgate_plugin_traps_total{kind="busy",plugin="openai"} 1"#,
        ],
    );
}

#[test]
fn what_is_rendered_is_what_the_table_names() {
    let text = rendered(&filled());
    let shown: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(shown, names().collect());
}

#[test]
fn names_keep_prometheus_rules() {
    let text = rendered(&filled());
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(name.starts_with("tollgate_") || name.starts_with("gen_ai_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // A machine without Prometheus' tools still has the test above.
    let Ok(mut promtool) = promtool else { return };
    promtool.stdin.take().unwrap().write_all(&filled().render()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{}", String::from_utf8_lossy(&text));
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_are_there() {
    let known: BTreeSet<&str> = names().collect();
    for file in ["alerts.yml", "dashboard.json"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let mut asked = 0;
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            if word.starts_with("tollgate_") {
                let name = word.strip_suffix("_bucket").unwrap_or(word);
                assert!(known.contains(name), "{file} asks for `{word}`");
                asked += 1;
            }
        }
        assert!(asked > 5, "{file} asks for nothing");
    }
}
