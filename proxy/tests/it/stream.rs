//! Streamed answers.

use crate::support::*;

#[test]
fn events_are_passed_on_as_they_come() {
    let provider = openai();
    let model = "fake:gate+slow?id=rest&frames=3";
    let gateway = gateway(&provider).serves("fake:slow?frame_ms=40&frames=50").serves(model).run();
    let mut client = gateway.begin(&chat("fake:slow?frame_ms=40&frames=50").streamed());
    let head = client.head();
    assert_eq!(head.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    client.events(3);
    // The provider is far from done when the client has these.
    assert_eq!((provider.in_flight(), provider.completed()), (1, 0));
}

#[test]
fn every_frame_arrives_once_and_in_order() {
    arrives_whole(&openai(), &["fake:no-done"]);
    arrives_whole(&anthropic(), &["fake:thinking"]);
}

fn arrives_whole(provider: &Provider, more: &[&str]) {
    let scenarios =
        [&["fake:long", "fake:bytewise", "fake:crlf+long", "fake:comments", "fake:long?per_write=7"], more].concat();
    let gateway = scenarios.iter().fold(gateway(provider), |setup, model| setup.serves(model)).run();
    let counted: String = (1..=1000).map(|it| it.to_string()).collect::<Vec<_>>().join(" ");
    let mut client = gateway.client();
    for model in &scenarios {
        let answer = client.call(&chat(model).saying("one two three").streamed());
        let expected = if model.contains("long") { counted.as_str() } else { "You said: one two three" };
        assert_eq!(answer.is_good().said(), expected, "{model}");
    }
    let rows = gateway.stop().rows();
    assert!(rows.iter().all(|row| row.is_ok() && row.streamed && row.usage_source.as_str() == "provider"));
    assert_eq!(rows.len(), scenarios.len());
}

#[test]
fn usage_is_asked_of_the_provider_and_shown_to_a_client_that_asked() {
    shows_usage_if_asked(&openai());
    shows_usage_if_asked(&anthropic());
}

fn shows_usage_if_asked(provider: &Provider) {
    let gateway = gateway(provider).run();
    let silent = gateway.call(&chat("gpt").streamed());
    assert_eq!(silent.is_good().usage(), None);
    assert!(!silent.text().contains("\"usage\""), "{silent}");

    let asked = gateway.call(&chat("gpt").streamed_with_usage());
    let usage = asked.is_good().usage().expect("usage was asked for");
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&1.into(), &3.into()));

    for row in gateway.stop().rows() {
        assert_eq!((row.tokens.input, row.tokens.output, row.usage_source.as_str()), (1, 3, "provider"));
    }
}

#[test]
fn tool_calls_are_streamed_through() {
    for provider in [openai(), anthropic()] {
        let gateway = gateway(&provider).serves("fake:tools?calls=2").run();
        let answer = gateway.call(&chat("fake:tools?calls=2").streamed());
        let text = answer.is_good().text();
        assert!(text.contains(r#""finish_reason":"tool_calls""#), "{answer}");
        assert_eq!(text.matches(r#""name":"lookup""#).count(), 2, "{answer}");
    }
}

#[test]
fn an_error_before_the_first_event_is_an_answer_and_not_a_stream() {
    let provider = openai();
    let models = ["fake:error-event?after=0&code=503", "fake:200-error?code=503", "fake:status?code=503"];
    let gateway = models.iter().fold(gateway(&provider), |setup, model| setup.serves(model)).run();
    let mut client = gateway.client();
    for model in models {
        client.call(&chat(model).streamed()).is_refused(503, "upstream_overloaded").should_retry(Some(false));
    }
    client.call(&chat("gpt").streamed()).is_good();
    let rows = gateway.stop().failed_rows();
    assert!(rows.iter().all(|row| row.status == 503 && row.error_class == "upstream_overloaded"));
    assert_eq!(rows.len(), 3);
}

#[test]
fn an_error_after_the_first_event_breaks_the_stream_off_in_words() {
    breaks_off_in_words(&openai());
    breaks_off_in_words(&anthropic());
}

fn breaks_off_in_words(provider: &Provider) {
    let overloaded = provider.called("fake:error-event+slow?after=5&frame_ms=5&code=503");
    let cases = [
        (overloaded.as_str(), "upstream_overloaded"),
        ("fake:reset+slow?after=5&frame_ms=5", "upstream_connection_closed"),
        ("fake:cut+slow?after=5&frame_ms=5", "upstream_connection_closed"),
        ("fake:end+slow?after=5&frame_ms=5", "upstream_connection_closed"),
        ("fake:stall+slow?after=5&frame_ms=5", "upstream_idle_timeout"),
    ];
    // Only the stream that stalls is waited for in vain: a busy machine must not make others late.
    let setup = gateway(provider).provider("stalls", provider.adapter, &provider.base_url(), "idle_timeout_ms = 2000");
    let setup = cases.iter().fold(setup, |setup, (model, code)| {
        let target = if *code == "upstream_idle_timeout" { "stalls" } else { "first" };
        setup.model(model, &[(target, model)], "")
    });
    let gateway = setup.run();
    let mut client = gateway.client();
    let mut ids = Vec::new();
    for (model, code) in cases {
        let answer = client.call(&chat(model).saying("one two three four five six").streamed());
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.broke_off_with().as_deref(), Some(code), "{model}: {answer}");
        assert!(!answer.text().contains("[DONE]"), "{model}: {answer}");
        assert!("You said: one two three four five six".starts_with(&answer.said()), "{answer}");
        assert!(answer.said().starts_with("You"), "{answer}");
        ids.push(answer.request_id());
    }
    gateway.still_serves();
    let stopped = gateway.stop();
    for (id, (model, code)) in ids.iter().zip(cases) {
        let row = stopped.row_of(id);
        assert_eq!((row.status, row.error_class.as_str()), (200, code), "{model}");
        assert_eq!(row.usage_source.as_str(), "estimated", "{model}");
        assert!(row.tokens.input >= 6 && (1..10).contains(&row.tokens.output), "{model}: {:?}", row.tokens);
    }
}

#[test]
fn a_provider_that_answers_a_stream_with_a_document_is_not_passed_on() {
    let provider = openai();
    let gateway = gateway(&provider).serves("fake:whole").serves("fake:html").run();
    for model in ["fake:whole", "fake:html"] {
        gateway.call(&chat(model).streamed()).is_refused(502, "upstream_error");
    }
    gateway.still_serves();
}

#[test]
fn a_finished_stream_does_not_wait_for_its_providers_end() {
    let provider = ByHand::listen();
    let gateway = gateway_before("openai", &provider.base_url()).run();
    let (mut client, mut taken) = provider.streams(&gateway, &chat("gpt").streamed());
    let stop = chunk("").replace(r#""finish_reason":null"#, r#""finish_reason":"stop""#);
    taken.events(&[&chunk("all of it"), &stop, "[DONE]"]);
    // The provider's last chunk is still to come.
    assert!(client.answer().is_good().said().ends_with("all of it"));
    gateway.becomes_idle();
    taken.write("0\r\n\r\n");
    drop(taken);
    let mut client = gateway.begin(&chat("gpt"));
    let mut taken = provider.accept();
    taken.request();
    taken.answer_well();
    client.answer().is_good();
    assert!(gateway.stop().rows().iter().all(Row::is_ok));
}
