//! What the process holds: of open streams, of clients that do not read, of plugins that hoard, of bodies, of connections;
//! and what of it is given back. Resident memory is measured, in bounds that a debug build and another allocator keep too.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit};

use crate::{
    plugins::{
        guest::{Guest, Request},
        root, with_guest,
    },
    support::*,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A stream that says 4 200 words and then no more, and what stands in its 4 096th.
const HELD: &str = "fake:stall?frames=5000&after=4200&per_write=50";
const LAST_WORD: &str = "\" 4096\"";

/// Opens `count` streams of [`HELD`] at once and reads each of them up to its 4 096th word.
fn opened(gateway: &Gateway, count: usize) -> Vec<Client> {
    let call = chat(HELD).streamed().with("max_tokens", 8192);
    let mut clients: Vec<Client> = (0..count).map(|_| gateway.begin(&call)).collect();
    for client in &mut clients {
        assert_eq!(client.head().status, 200);
        while !client.event().expect("the stream goes on").contains(LAST_WORD) {}
    }
    clients
}

/// Holds that each of `count` open streams costs at most `bytes_max`, that what they cost is given back, and that each
/// is counted although its provider never says what it used.
fn streams_cost_at_most(provider: &Provider, count: usize, bytes_max: usize) {
    let gateway = gateway(provider).serves(HELD).run();
    // What is made for the first streams is not laid at the others' door.
    drop(opened(&gateway, 4));
    gateway.becomes_idle();
    let idle = gateway.resident_bytes();
    let clients = opened(&gateway, count);
    let held = gateway.resident_bytes();
    let each = held.saturating_sub(idle) / count;
    assert!(each <= bytes_max, "{} KiB a stream: {} MiB idle, {} MiB held", each / KIB, idle / MIB, held / MIB);
    drop(clients);
    gateway.becomes_idle();
    let rows = gateway.stop().rows();
    assert_eq!(rows.len(), count + 4);
    for row in rows {
        assert_eq!((row.error_class.as_str(), row.usage_source.as_str()), ("client_gone", "estimated"));
        // By its bytes, where more streams end at once than answers are counted at once.
        assert!((4096..=4200 * 3).contains(&row.tokens.output), "{:?}", row.tokens);
    }
}

#[test]
fn an_open_stream_costs_little_memory() {
    streams_cost_at_most(&openai(), 300, 80 * KIB);
}

#[test]
fn an_open_translated_stream_costs_its_sandbox_memory() {
    streams_cost_at_most(&anthropic(), 100, 1000 * KIB);
}

#[test]
fn clients_that_do_not_read_stop_their_providers_and_take_no_memory() {
    const CLIENTS: usize = 60;
    let provider = ByHand::listen();
    let gateway = gateway_before("openai", &provider.base_url()).run();
    let events = chunk(&"x".repeat(1000));
    let events = vec![events.as_str(); 30];
    let before = gateway.resident_bytes();
    let mut streams: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let client = gateway.begin(&chat("gpt").streamed());
            let mut taken = provider.accept();
            taken.request();
            taken.begin_stream();
            (client, taken)
        })
        .collect();
    std::thread::scope(|scope| {
        for (_, taken) in &mut streams {
            scope.spawn(|| taken.events_until_blocked(&events));
        }
    });
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < 60 * MIB, "{} MiB for {CLIENTS} clients that do not read", grown / MIB);
    drop(streams);
    gateway.becomes_idle();
}

/// Waits until what `ask` tells has stayed the same for a second.
fn rests(what: &str, mut ask: impl FnMut() -> u64) {
    let (mut last, mut since) = (ask(), Instant::now());
    eventually(what, || {
        let now = ask();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() > Duration::from_secs(1)).then_some(())
    });
}

#[test]
fn plugins_that_hoard_take_no_more_than_their_bound() {
    const STREAMS: u64 = 60;
    let (good, provider) = (openai(), openai());
    let body = r#"{"model":"fake:big+stall+at-end?bytes=3000000&frames=3","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let mut guest = Guest::requesting(&Request { body, framing: 1, ..Request::default() });
    let silence = guest.image.events(&[]);
    // Keeps every frame and says nothing; its allocator gives nothing back.
    let realloc = "(call $allocate (local.get $align) (local.get $len))".to_owned();
    let guest = Guest { push: format!("i32.const {silence}"), realloc, ..guest };
    let setup = gateway(&good).with("[plugins]\nmemory_total_bytes_max = 67108864\nsilent_bytes_max = 33554432");
    let gateway = with_guest(setup, "hoarder", &root(&provider), &guest).run();
    gateway.call(&chat("gpt").streamed()).is_good();
    let before = gateway.resident_bytes();
    let clients: Vec<Client> = (0..STREAMS).map(|_| gateway.begin(&chat("hoarder").streamed())).collect();
    eventually("a stream is refused the memory that it asks for", || (gateway.in_flight() < STREAMS).then_some(()));
    rests("no further stream is refused", || gateway.in_flight());
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < 110 * MIB, "{} MiB for {STREAMS} streams that hoard", grown / MIB);
    drop(clients);
    gateway.still_serves();
}

#[test]
fn bodies_have_room_together_and_no_more() {
    let provider = openai();
    let held = "fake:gate?id=held";
    let setup = gateway(&provider).serves(held).server("body_bytes_max = 1_000_000");
    let gateway = setup.with("[limits]\nbodies_bytes_max = 2_000_000").run();
    let large = |model: &str| chat(model).with("padding", "x".repeat(800_000));
    let mut serving = [gateway.begin(&large(held)), gateway.begin(&large(held))];
    assert!(provider.wait(PATIENCE, |it| it.in_flight() == 2));
    let refused = gateway.call(&large("gpt"));
    refused.is_refused(503, "bodies_busy");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // In pieces whose number nobody knows before as well, and in a body that becomes large when it is decoded.
    let body = large("gpt").payload();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &body).expect("memory takes all");
    let packed = post("/v1/chat/completions").header("content-encoding", "gzip");
    let packed = packed.body(encoder.finish().expect("memory takes all"));
    gateway.call(&packed).is_refused(503, "bodies_busy");
    // What is small finds its place, and what was refused has left none behind.
    gateway.call(&chat("gpt")).is_good();
    provider.open_gate("held");
    serving.iter_mut().for_each(|client| drop(client.answer().is_good().clone()));
    eventually("there is room again", || (gateway.call(&large("gpt")).status() == 200).then_some(()));
    gateway.call(&packed).is_good();
}

#[test]
fn open_connections_are_counted() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let open = || gateway.metric("tollgate_connections_open", &[]) as u64;
    let mut kept: Vec<Client> = (0..7).map(|_| gateway.client()).collect();
    kept[0].call(&chat("gpt")).is_good();
    eventually("seven are open", || (open() == 7).then_some(()));
    kept.truncate(2);
    eventually("two are open", || (open() == 2).then_some(()));
}

#[test]
fn a_process_without_files_goes_on_listening() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    gateway.call(&chat("gpt")).is_good();
    // What is open stays open, and little more can be.
    let files_max = gateway.open_files() as u64 + 30;
    let limit = Rlimit { current: Some(files_max), maximum: Some(files_max) };
    rustix::process::prlimit(Some(gateway.pid()), Resource::Nofile, limit).expect("the gateway is ours");
    let crowd: Vec<Client> = (0..200).map(|_| gateway.client()).collect();
    eventually("it is said that no file is left", || {
        gateway.log().contains("no connection can be accepted").then_some(())
    });
    // Those that wait longest are cut, so that calls and the operator are served meanwhile.
    eventually("a call is served", || {
        let mut client = Client::try_to(gateway.address).ok()?;
        client.try_write(&chat("gpt").bytes()).ok()?;
        client.try_answer().is_ok_and(|answer| answer.status() == 200).then_some(())
    });
    eventually("the operator is served", || {
        let mut client = Client::try_to(gateway.house().metrics_listen()).ok()?;
        client.try_write(&get("/metrics").bytes()).ok()?;
        client.try_answer().is_ok_and(|answer| answer.status() == 200).then_some(())
    });
    let said = gateway.log().matches("no connection can be accepted").count();
    assert!(said <= 100, "it is said {said} times");
    drop(crowd);
    gateway.still_serves();
}

#[test]
fn what_a_busy_moment_took_is_given_back() {
    let provider = openai();
    let gateway = gateway(&provider).serves(HELD).run();
    let before = gateway.resident_bytes();
    let clients = opened(&gateway, 300);
    let busy = gateway.resident_bytes();
    drop(clients);
    gateway.becomes_idle();
    // Tables that were counted with are kept for ten seconds: they alone may stay.
    const TABLES: usize = 80 * MIB;
    eventually("memory is given back", || {
        (gateway.resident_bytes() <= before + TABLES + busy.saturating_sub(before) / 2).then_some(())
    });
}
