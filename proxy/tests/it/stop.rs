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
    assert_eq!(streaming.last_event(), "[DONE]");
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
fn a_stream_in_http2_is_told_that_the_drain_is_over() {
    let provider = openai();
    let endless = "fake:slow?frame_ms=20&frames=100000";
    let gateway = gateway(&provider).serves(endless).server("drain_timeout_s = 1").run();
    let mut client = H2Client::to(gateway.address);
    let mut calls: Vec<_> = (0..4).map(|_| client.begin(&chat(endless).streamed())).collect();
    for call in &mut calls {
        client.head(call);
        client.piece(call).expect("the stream goes on").expect("it has begun");
    }
    gateway.signal(Signal::TERM);
    for call in &mut calls {
        let mut text = String::new();
        while let Some(piece) = client.piece(call).expect("the stream ends in good order") {
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        assert!(text.contains("gateway_unavailable"), "{text}");
    }
    let (status, stopped) = gateway.ends();
    assert!(status.success(), "{status}");
    let rows = stopped.rows();
    assert!(rows.len() == 4 && rows.iter().all(|row| row.error_class == "gateway_unavailable"), "{rows:#?}");
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
fn interrupt_and_hang_up_stop_as_well_as_terminate() {
    let provider = openai();
    for signal in [Signal::INT, Signal::HUP] {
        let model = "fake:slow?frame_ms=20&frames=20";
        let gateway = gateway(&provider).serves(model).run();
        let mut streaming = gateway.begin(&chat(model).streamed());
        streaming.head();
        streaming.events(3);
        gateway.signal(signal);
        assert_eq!(streaming.last_event(), "[DONE]", "{signal:?} lets a call end");
        let (status, stopped) = gateway.ends();
        assert_eq!((status.code(), stopped.rows().len()), (Some(0), 1), "{signal:?}");
    }
}

#[test]
fn a_gateway_whose_data_is_moved_away_takes_no_calls_until_it_is_back() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    gateway.call(&chat("gpt")).is_good();
    let (data, aside) = (gateway.house().data_dir(), gateway.house().dir().join("aside"));
    std::fs::rename(&data, &aside).unwrap();
    let ready = || gateway.call(&get("/readyz"));
    eventually("the gateway sees it", || (ready().status() == 503).then_some(()));
    assert!(ready().text().starts_with("the data directory was removed or replaced"));
    gateway.call(&chat("gpt")).is_refused(503, "ledger_unavailable");
    assert_eq!(gateway.metric("tollgate_ledger_rows_lost_total", &[]), 1.0);
    assert!(gateway.log().contains("the data directory was removed"));
    std::fs::rename(&aside, &data).unwrap();
    eventually("the gateway sees it", || (ready().status() == 200).then_some(()));
    gateway.call(&chat("gpt")).is_good();
    // What was written to the files that were away came back with them.
    assert_eq!(gateway.stop().rows().len(), 3);
}
