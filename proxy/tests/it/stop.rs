//! Stopping: calls in flight end well, no new ones begin, and nothing is forgotten.

use rustix::process::Signal;

use crate::support::*;

#[test]
fn a_stream_in_flight_ends_well_after_sigterm() {
    let provider = openai();
    let model = "fake:gate+slow?id=rest&frames=20&frame_ms=5";
    let gateway = gateway(&provider).serves("fake:slow?frame_ms=20&frames=40").serves(model).run();
    let mut streaming = gateway.begin(&chat("fake:slow?frame_ms=20&frames=40").streamed_with_usage());
    let mut waiting = gateway.begin(&chat(model));
    streaming.head();
    streaming.events(3);
    assert!(provider.wait(PATIENCE, |it| it.in_flight() == 2));

    gateway.signal(Signal::TERM);
    let address = gateway.address;
    eventually("no new connection is taken", || Client::try_to(address).is_err().then_some(()));
    provider.open_gate("rest");
    let mut last = String::new();
    while let Some(event) = streaming.event() {
        last = event;
    }
    assert_eq!(last, "[DONE]");
    waiting.answer().is_good();

    let (status, stopped) = gateway.ends();
    assert_eq!(status.code(), Some(0));
    let rows = stopped.rows();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.is_ok() && row.usage_source.as_str() == "provider"), "{rows:#?}");
}

#[test]
fn a_call_on_a_kept_connection_is_refused_once_the_gateway_stops() {
    let provider = openai();
    let model = "fake:gate?id=rest";
    let gateway = gateway(&provider).serves(model).run();
    let mut kept = gateway.client();
    kept.call(&chat("gpt")).is_good();
    let mut waiting = gateway.begin(&chat(model));
    assert!(provider.wait(PATIENCE, |it| it.in_flight() == 1));
    gateway.signal(Signal::TERM);
    let address = gateway.address;
    eventually("no new connection is taken", || Client::try_to(address).is_err().then_some(()));
    // Closed, or told to go elsewhere: never served, never left hanging.
    if kept.try_write(&chat("gpt").bytes()).is_ok()
        && let Ok(answer) = kept.try_answer()
    {
        answer.is_refused(503, "gateway_unavailable");
    }
    provider.open_gate("rest");
    waiting.answer().is_good();
    assert!(gateway.ends().0.success());
}

#[test]
fn the_drain_has_an_end() {
    let provider = openai();
    let endless = "fake:slow?frame_ms=20&frames=100000";
    let gateway = gateway(&provider).serves("fake:hang").serves(endless).server("drain_timeout_s = 1").run();
    let id = gateway.call(&chat("gpt")).request_id();
    let mut hanging = gateway.begin(&chat("fake:hang"));
    let mut streaming = gateway.begin(&chat(endless).streamed());
    streaming.head();
    streaming.events(3);
    assert!(provider.wait(PATIENCE, |it| it.calls() == 3 && it.in_flight() == 2));
    let stopped = gateway.stop();

    // Each is told why it ends, and the stream ends as a stream does.
    hanging.answer().is_refused(503, "gateway_unavailable");
    let mut last = String::new();
    while let Some(event) = streaming.event() {
        last = event;
    }
    assert!(last.contains("gateway_unavailable"), "{last}");
    assert!(stopped.row_of(&id).is_ok());
    let classes: Vec<String> = stopped.failed_rows().into_iter().map(|row| row.error_class).collect();
    assert_eq!(classes, ["gateway_unavailable", "gateway_unavailable"]);
}

#[test]
fn a_second_signal_ends_the_drain() {
    let provider = openai();
    let gateway = gateway(&provider).serves("fake:hang").server("drain_timeout_s = 600").run();
    let _hanging = gateway.begin(&chat("fake:hang"));
    assert!(provider.wait(PATIENCE, |it| it.in_flight() == 1));
    gateway.signal(Signal::TERM);
    let address = gateway.address;
    eventually("no new connection is taken", || Client::try_to(address).is_err().then_some(()));
    gateway.signal(Signal::TERM);
    gateway.ends();
}

#[test]
fn an_idle_gateway_stops_at_once_whoever_is_connected() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut kept = gateway.client();
    kept.call(&chat("gpt")).is_good();
    let _silent = gateway.client();
    let rows = gateway.stop().rows();
    assert_eq!(rows.len(), 1);
    kept.is_closed();
}

#[test]
fn interrupt_stops_as_well_as_terminate() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    gateway.call(&chat("gpt")).is_good();
    gateway.signal(Signal::INT);
    let (status, stopped) = gateway.ends();
    assert_eq!((status.code(), stopped.rows().len()), (Some(0), 1));
}
