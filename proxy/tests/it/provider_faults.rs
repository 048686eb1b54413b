//! Providers that fail, and what is tried instead.

use std::time::{Duration, Instant};

use crate::support::*;

/// Every way in which a provider fails before it has said anything, and the code that a client sees.
const FAULTS: &[(&str, u16, &str)] = &[
    ("fake:hang", 504, "upstream_first_byte_timeout"),
    ("fake:reset", 502, "upstream_connection_closed"),
    ("fake:html", 502, "upstream_error"),
    ("fake:html?code=503", 503, "upstream_overloaded"),
    ("fake:200-error?code=500", 502, "upstream_error"),
    ("fake:200-error?code=429", 429, "rate_limit_exceeded"),
    ("fake:status?code=500", 502, "upstream_error"),
    ("fake:status?code=503", 503, "upstream_overloaded"),
    ("fake:status?code=429", 429, "rate_limit_exceeded"),
    ("fake:status?code=401", 502, "upstream_authentication_error"),
    ("fake:status?code=403", 502, "upstream_authentication_error"),
    ("fake:status?code=400", 400, "context_length_exceeded"),
    ("fake:missing", 404, "model_not_found"),
    ("fake:redirect", 502, "upstream_error"),
];

/// What only a whole answer can suffer.
const FAULTS_OF_WHOLE_ANSWERS: &[(&str, u16, &str)] = &[
    ("fake:stall", 504, "upstream_idle_timeout"),
    ("fake:cut", 502, "upstream_connection_closed"),
    ("fake:reset?after=1", 502, "upstream_connection_closed"),
];

#[test]
fn a_provider_that_fails_is_an_error_in_our_words_and_one_row() {
    each_fault_is_told(&openai());
}

#[test]
fn a_provider_of_another_dialect_fails_in_the_same_words() {
    each_fault_is_told(&anthropic());
}

fn each_fault_is_told(provider: &Provider) {
    let of_all =
        FAULTS.iter().map(|fault| (fault, true)).chain(FAULTS_OF_WHOLE_ANSWERS.iter().map(|fault| (fault, false)));
    // Only who waits for what never comes is impatient: a busy machine must not make others late.
    let setup = gateway(provider)
        .first("key_cooldown_ms = 0")
        .provider("no-first-byte", provider.adapter, &provider.base_url(), "first_byte_timeout_ms = 200")
        .provider("no-next", provider.adapter, &provider.base_url(), "idle_timeout_ms = 200");
    let setup = of_all.clone().fold(setup, |setup, ((model, _, code), _)| {
        let target = match *code {
            "upstream_first_byte_timeout" => "no-first-byte",
            "upstream_idle_timeout" => "no-next",
            _ => "first",
        };
        let model = provider.called(model);
        setup.model(&model, &[(target, &model)], "")
    });
    let gateway = setup.limits("concurrent = 1, tokens_total = 9000").run();
    let mut client = gateway.client();
    let mut told = Vec::new();
    for ((model, status, code), of_streams) in of_all {
        let call = chat(&provider.called(model));
        for call in [Some(call.clone()), of_streams.then(|| call.streamed())].into_iter().flatten() {
            let answer = client.call(&call);
            assert_eq!(answer.status(), *status, "{model}: {answer}");
            told.push((answer.is_refused(*status, code).request_id(), model, code));
            client.call(&chat("gpt").with("max_tokens", 4000)).is_good();
        }
    }
    gateway.becomes_idle();
    let stopped = gateway.stop();
    assert_eq!(stopped.rows().len(), 2 * told.len());
    for (id, model, code) in told {
        let row = stopped.row_of(&id);
        assert_eq!((row.error_class.as_str(), row.attempts), (*code, 1), "{model}");
        // What was sent and brought no verdict may have been worked on, as has a success that nobody can read; a
        // refusal costs nothing.
        let unfinished = ["upstream_connection_closed", "upstream_idle_timeout", "upstream_first_byte_timeout"];
        let verdict = !unfinished.contains(code) && *model != "fake:html";
        assert_eq!(row.tokens.total() == 0, verdict, "{model}: {:?}", row.tokens);
        assert_eq!(row.usage_source.as_str() == "estimated", !verdict, "{model}");
    }
}

#[test]
fn a_provider_that_is_not_there_is_told() {
    let nobody = ByHand::listen().base_url();
    let gateway = gateway_before("openai", &nobody).run();
    gateway.call(&chat("gpt")).is_refused(502, "upstream_unreachable").should_retry(Some(false));
    let setup = gateway_before("openai", "http://does-not-exist.invalid/v1");
    let gateway = gateway.stop().restart_as(&setup);
    gateway.call(&chat("gpt")).is_refused(502, "upstream_unresolved");
    assert_eq!(gateway.stop().rows().len(), 2);
}

#[test]
fn the_next_target_serves_where_the_first_fails_before_its_first_event() {
    let provider = openai();
    let nobody = ByHand::listen().base_url();
    let faults = [
        "fake:reset",
        "fake:status?code=500",
        "fake:status?code=429",
        "fake:html",
        "fake:error-event?after=0",
        "fake:200-error",
        "fake:hang",
        "fake:status?code=401",
        "fake:missing",
        "fake:end?after=0",
        "fake:cut?after=0",
    ];
    let mut setup = gateway(&provider)
        .first("first_byte_timeout_ms = 300")
        .provider("absent", "openai", &nobody, "")
        .provider("second", "openai", &provider.base_url(), "")
        .model("absent", &[("absent", "x"), ("second", "gpt")], "");
    for fault in faults {
        setup = setup.model(fault, &[("first", fault), ("second", "gpt")], "");
    }
    let gateway = setup.run();
    for model in faults.iter().chain(&["absent"]) {
        assert_eq!(gateway.call(&chat(model).streamed()).is_good().said(), "You said: hi", "{model}");
        // Only streams have events to fail at.
        if !model.contains("event") {
            assert_eq!(gateway.call(&chat(model)).is_good().said(), "You said: hi", "{model}");
        }
    }
    for row in gateway.stop().rows() {
        assert_eq!((row.provider.as_str(), row.upstream_model.as_str()), ("second", "gpt"), "{row:?}");
        assert_eq!((row.attempts, row.error_class.as_str()), (2, ""), "{row:?}");
        // The first attempt costs too, unless its provider refused.
        let unfinished = ["fake:reset", "fake:hang", "fake:html", "fake:end?after=0", "fake:cut?after=0"]
            .contains(&row.model.as_str());
        assert!(if unfinished { row.tokens.output >= 3 } else { row.tokens.output == 3 }, "{row:?}");
    }
}

#[test]
fn nothing_is_tried_again_once_the_client_has_seen_an_event() {
    let (first, second) = (ByHand::listen(), openai());
    let gateway = gateway_before("openai", &first.base_url())
        .provider("second", "openai", &second.base_url(), "")
        .model("m", &[("first", "m"), ("second", "gpt")], "")
        .run();
    let mut client = gateway.begin(&chat("m").streamed());
    let mut taken = first.accept();
    taken.request();
    taken.begin_stream();
    taken.events(&[&chunk("one")]);
    client.head();
    assert!(client.events(1)[0].contains("one"));
    drop(taken);
    assert!(client.events(1)[0].contains("upstream_connection_closed"));
    assert_eq!(client.event(), None);
    assert_eq!(second.calls(), 0);
    assert_eq!(gateway.stop().only_row().error_class, "upstream_connection_closed");
}

#[test]
fn events_that_arrived_with_an_error_are_passed_on_before_it() {
    let provider = ByHand::listen();
    let gateway = gateway_before("openai", &provider.base_url()).run();
    let (mut client, mut taken) = provider.streams(&gateway, &chat("gpt").streamed());
    taken.events(&[&chunk("one")]);
    client.head();
    client.events(1);
    taken.events(&[&chunk(" two"), &chunk(" three"), r#"{"error":{"message":"no more","code":null}}"#]);
    let events = client.events(3);
    assert!(events[0].contains("two") && events[1].contains("three"), "{events:?}");
    assert!(events[2].contains("upstream_error"), "{events:?}");
    assert_eq!(client.event(), None);
    assert_eq!(gateway.stop().only_row().tokens.output, 3);
}

#[test]
fn what_is_wrong_with_the_request_is_not_tried_elsewhere() {
    let provider = openai();
    let gateway = gateway(&provider)
        .first("retry = { attempts_max = 5 }")
        .model("long", &[("first", "fake:status?code=400"), ("first", "gpt")], "")
        .run();
    gateway.call(&chat("long")).is_refused(400, "context_length_exceeded");
    assert_eq!(provider.calls(), 1);
}

#[test]
fn a_key_that_the_provider_refuses_gives_way_to_the_next_and_rests() {
    let provider = openai();
    let gateway = gateway(&provider).first("keys = [\"sk-bad-key\", \"sk-good-key\"]\nretry = {}").run();
    let mut client = gateway.client();
    for _ in 0..6 {
        client.call(&chat("gpt")).is_good();
    }
    let shown = |key: &str| provider.recent().iter().filter(|it| it.header("authorization") == Some(key)).count();
    assert_eq!((shown("Bearer sk-bad-key"), shown("Bearer sk-good-key")), (1, 6));
    let attempts: u32 = gateway.stop().rows().iter().map(|row| row.attempts).sum();
    assert_eq!(attempts, 7);
}

#[test]
fn a_provider_that_refuses_every_key_is_our_fault_and_not_the_clients() {
    let provider = openai();
    let gateway = gateway(&provider).first(r#"keys = ["sk-bad-key"]"#).run();
    let answer = gateway.call(&chat("gpt"));
    answer.is_refused(502, "upstream_authentication_error").should_retry(Some(false));
    assert!(!answer.text().contains("sk-bad-key"), "{answer}");
    assert_eq!(gateway.stop().only_row().status, 502);
}

#[test]
fn each_kind_of_failure_is_retried_by_its_own_rule() {
    let provider = openai();
    let rules = "retry = { attempts_max = 20, network = { retries = 2, wait_ms = 1 }, \
                 rate_limit = { retries = 3, wait_ms = 1 }, server = { retries = 1, wait_ms = 1 } }";
    let cases = [
        ("fake:reset", 3, 502, "upstream_connection_closed"),
        ("fake:status?code=429", 4, 429, "rate_limit_exceeded"),
        ("fake:status?code=500", 2, 502, "upstream_error"),
        ("fake:status?code=503", 2, 503, "upstream_overloaded"),
        ("fake:status?code=400", 1, 400, "context_length_exceeded"),
        ("fake:missing", 1, 404, "model_not_found"),
    ];
    let setup = cases.iter().fold(gateway(&provider).first(rules), |setup, (model, ..)| setup.serves(model));
    let gateway = setup.run();
    for (model, attempts, status, code) in cases {
        let before = provider.calls();
        gateway.call(&chat(model)).is_refused(status, code);
        assert_eq!(provider.calls() - before, attempts, "{model}");
    }
    let rows: Vec<u64> = gateway.stop().rows().iter().map(|row| row.attempts.into()).collect();
    assert_eq!(rows, cases.map(|(_, attempts, ..)| attempts));
}

#[test]
fn a_failure_that_passes_is_never_seen_by_the_client() {
    let provider = openai();
    let model = "fake:fail-first?n=2&id=once&code=500";
    let streamed = "fake:fail-first?n=2&id=twice&code=500";
    let rules = "retry = { server = { retries = 2, wait_ms = 1 } }";
    let gateway = gateway(&provider).first(rules).serves(model).serves(streamed).run();
    gateway.call(&chat(model)).is_good();
    gateway.call(&chat(streamed).streamed()).is_good();
    assert!(gateway.stop().rows().iter().all(|row| row.attempts == 3 && row.is_ok()));
}

#[test]
fn a_retry_waits_as_long_as_the_provider_asks() {
    let provider = openai();
    let model = "fake:fail-first?n=1&id=once&code=429&retry_after=1";
    let rules = "retry = { rate_limit = { retries = 1, wait_ms = 1 } }";
    let gateway = gateway(&provider).first(rules).serves(model).run();
    let began = Instant::now();
    gateway.call(&chat(model)).is_good();
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_wait_longer_than_may_be_is_handed_to_the_client() {
    let provider = openai();
    let model = "fake:status?code=429&retry_after=30";
    let gateway = gateway(&provider).first("retry = { wait_max_ms = 500 }").serves(model).run();
    let answer = gateway.call(&chat(model));
    assert_eq!(answer.is_refused(429, "rate_limit_exceeded").header("retry-after"), Some("30"));
    assert_eq!(answer.header("retry-after-ms"), Some("30000"));
    assert_eq!(provider.calls(), 1);
}

#[test]
fn a_request_that_a_kept_connection_took_whole_is_sent_again_only_as_another_attempt() {
    for (rule, attempts) in [("retry = { network = { retries = 0 } }", 1), (AGAIN_ONCE, 2)] {
        let provider = ByHand::listen();
        let gateway = gateway_before("openai", &provider.base_url()).first(rule).run();
        let mut client = gateway.begin(&chat("gpt"));
        let mut taken = provider.accept();
        taken.request();
        taken.answer_well();
        client.answer().is_good();

        client.send(&chat("gpt"));
        // It is taken on the kept connection, which is closed without a word.
        taken.request();
        drop(taken);
        if attempts == 1 {
            client.answer().is_refused(502, "upstream_connection_closed");
        } else {
            let mut taken = provider.accept();
            taken.request();
            taken.answer_well();
            client.answer().is_good();
        }
        let rows = gateway.stop().rows();
        let row = rows.iter().find(|row| row.is_ok() == (attempts == 2) && row.attempts == attempts);
        let row = row.unwrap_or_else(|| panic!("{rows:#?}"));
        assert_eq!(row.usage_source.as_str(), "estimated", "what was sent and brought no verdict is charged");
    }
}

/// A rule of retrying.
const AGAIN_ONCE: &str = "retry = { attempts_max = 2, network = { retries = 1, wait_ms = 1 } }";

#[test]
fn a_connection_that_let_a_call_wait_for_too_long_gets_no_other() {
    let provider = H2Provider::listen();
    let gateway =
        gateway_before("openai", &provider.base_url()).first("http2 = \"on\"\nfirst_byte_timeout_ms = 500").run();
    gateway.call(&chat("gpt")).is_good();
    gateway.call(&chat("gpt").saying("dies")).is_refused(504, "upstream_first_byte_timeout");
    gateway.call(&chat("gpt")).is_good();
}

#[test]
fn an_early_answer_of_the_provider_is_read_though_it_takes_no_more() {
    let provider = ByHand::listen();
    let gateway = gateway_before("openai", &provider.base_url()).first("idle_timeout_ms = 1000").run();
    let mut client = gateway.begin(&chat("gpt").saying(&"x".repeat(20 << 20)));
    let mut taken = provider.accept();
    taken.answer("413 Payload Too Large", "connection: close\r\n", r#"{"error":{"message":"too large","code":null}}"#);
    client.answer().is_refused(413, "request_too_large");
    gateway.becomes_idle();
}
