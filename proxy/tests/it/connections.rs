//! Connections that waste a listener's time or places, and those that must be served all the same.

use std::time::{Duration, Instant};

use crate::support::*;

/// More connections than the gateway has files for.
const CROWD: usize = 400;

#[test]
fn a_connection_without_a_whole_head_is_cut_at_its_deadline() {
    let provider = openai();
    let gateway = gateway(&provider).server("head_timeout_s = 1\nkeepalive_s = 1").run();
    let listeners = [gateway.address, gateway.house().metrics_listen(), gateway.house().admin_listen()];
    for address in listeners {
        let began = Instant::now();
        Client::to(address).is_closed();
        assert!(began.elapsed() >= Duration::from_secs(1), "a silent client was given {:?}", began.elapsed());

        let began = Instant::now();
        let head = "x".repeat(1000);
        let closed = Client::to(address).dribbles(format!("GET /{head}").as_bytes(), Duration::from_millis(50));
        assert!(closed, "a head that comes byte by byte was taken for {:?}", began.elapsed());
    }
    // A kept connection has the time between two calls besides.
    let mut kept = gateway.client();
    kept.call(&chat("gpt")).is_good();
    assert!(kept.dribbles(&[b'x'; 1000], Duration::from_millis(50)), "the second head was waited for");
    gateway.still_serves();
}

#[test]
fn silent_connections_beyond_all_files_leave_calls_and_the_operator_served() {
    let provider = openai();
    let gateway = gateway(&provider).files_max(256).run();
    let crowd: Vec<Client> = (0..CROWD).map(|_| gateway.client()).collect();
    for _ in 0..5 {
        gateway.call(&chat("gpt")).is_good();
    }
    gateway.call(&chat("gpt").streamed()).is_good();
    let operators: Vec<Client> = (0..100)
        .flat_map(|_| [Client::to(gateway.house().admin_listen()), Client::to(gateway.house().metrics_listen())])
        .collect();
    assert!(gateway.command(&["key", "list"]).contains("main"));
    assert!(gateway.metric("tollgate_calls_total", &[("code", "ok")]) >= 6.0);
    drop((crowd, operators));
    assert_eq!(gateway.stop().rows().len(), 6);
}

#[test]
fn the_connection_that_has_waited_longest_makes_room() {
    let provider = openai();
    let held = "fake:gate?id=held";
    let gateway = gateway(&provider).serves(held).server("connections_max = 3").run();
    let mut serving = gateway.begin(&chat(held));
    assert!(provider.wait(PATIENCE, |it| it.in_flight() == 1));
    let (mut older, mut newer) = (gateway.client(), gateway.client());
    older.call(&chat("gpt")).is_good();
    newer.call(&chat("gpt")).is_good();
    gateway.client().call(&chat("gpt")).is_good();
    older.is_closed();
    newer.call(&chat("gpt")).is_good();
    provider.open_gate("held");
    serving.answer().is_good();
}

#[test]
fn a_client_that_sends_nothing_of_http2_is_cut_too() {
    let provider = openai();
    let gateway = gateway(&provider).server("head_timeout_s = 1\nkeepalive_s = 1").run();
    for beginning in ["PRI * HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = gateway.client();
        client.write(beginning.as_bytes());
        client.ends();
    }
    // Shorter than that beginning, and a request all the same.
    let mut client = gateway.client();
    client.write(b"GET / HTTP/1.0\r\n\r\n");
    client.answer().is_refused(404, "path_not_found");
}
