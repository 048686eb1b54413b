//! The crash rule: whatever a client has received to its last byte is in the ledger once, and counts, though the process
//! is killed at any moment.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::atomic::{AtomicI64, Ordering},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use tollgate::store::Store;

use crate::support::*;

const ROUNDS: u64 = 24;
const CLIENTS: usize = 6;

/// What the clients do, over and over, on connections that they keep.
const MODELS: [&str; 4] = ["gpt", "fake:slow?frame_ms=1&frames=15", "fake:no-usage", "fake:slow?frame_ms=2&frames=60"];

#[test]
fn a_call_that_was_delivered_is_in_the_ledger_once_whenever_the_process_is_killed() {
    let provider = openai();
    let setup = MODELS.iter().fold(gateway(&provider), |setup, model| setup.serves(model));
    let mut gateway = setup.key("other", "").run();
    let (mut delivered, mut chance) = (Vec::new(), Chance(0x5eed));
    for _ in 0..ROUNDS {
        delivered.extend(drive_until_killed(&gateway, chance.up_to(300), Signal::KILL));
        gateway = gateway.ends().1.restart();
    }
    let stopped = gateway.stop();
    let rows = stopped.rows();
    let mut by_id = HashMap::new();
    for row in &rows {
        assert!(by_id.insert(row.request_id.as_str(), row).is_none(), "two rows: {row:?}");
    }
    for id in &delivered {
        let row = by_id.get(id.as_str()).unwrap_or_else(|| panic!("{id} was delivered and has no row"));
        assert!(row.is_ok() && row.status == 200 && row.tokens.output > 0, "{row:?}");
    }
    assert!(delivered.len() as u64 > ROUNDS * 5, "only {} calls were delivered", delivered.len());

    // Calls that were cut are known as such, and there are no more of them than there were clients.
    let cut = rows.iter().filter(|row| row.error_class == "crashed");
    assert!(cut.clone().count() as u64 <= ROUNDS * CLIENTS as u64);
    assert!(cut.clone().count() > 0, "no round has cut a call");
    assert!(rows.iter().all(|row| row.is_ok() || row.error_class == "crashed"));
    adds_up(&stopped, &rows);
}

/// More kills, for a machine that has the time.
const KILLS_VARIABLE: &str = "TOLLGATE_TEST_KILLS";
const KILLS: u64 = 20;
/// The longest time from a start, or from the word to stop, to a kill.
const MOMENT_US_MAX: i64 = 400_000;

/// Rounds that differ in when the kill comes: some time after the process began, whether its doors are open or not, or
/// some time after it was asked to stop. Everything is taken over and flushed all the time.
#[test]
fn the_next_start_serves_whenever_the_process_is_killed() {
    let kills = std::env::var_os(KILLS_VARIABLE)
        .map_or(KILLS, |kills| kills.to_str().expect("digits").parse().expect("a number"));
    let provider = openai();
    let busy = "[ledger]\ninterval_ms = 1\nflush_interval_ms = 2\nstore_interval_ms = 3\n";
    let setup = MODELS.iter().fold(gateway(&provider), |setup, model| setup.serves(model));
    let mut stopped = setup.key("other", "").with(busy).run().stop();
    let (mut delivered, mut chance) = (Vec::new(), Chance(0x5eed));
    for round in 0..kills {
        let pause = Duration::from_micros(chance.up_to(MOMENT_US_MAX) as u64);
        let gateway = Gateway::spawn(stopped.house);
        if round % 3 == 2 {
            let gateway = gateway.becomes_ready();
            delivered.extend(drive_until_killed(&gateway, chance.up_to(60), Signal::TERM));
            thread::park_timeout(pause / 4);
            let _ = gateway.try_signal(Signal::KILL);
            stopped = gateway.ends().1;
        } else {
            thread::park_timeout(pause);
            let _ = gateway.try_signal(Signal::KILL);
            stopped = gateway.ends().1;
        }
        if round % 5 == 4 {
            let gateway = stopped.restart();
            gateway.still_serves();
            delivered.extend(drive_until_killed(&gateway, chance.up_to(100), Signal::KILL));
            stopped = gateway.ends().1;
        }
    }
    let stopped = stopped.restart().stop();
    let rows = stopped.rows();
    let ids: HashSet<&str> = rows.iter().map(|row| row.request_id.as_str()).collect();
    assert_eq!(ids.len(), rows.len(), "no row is there twice");
    let lost: Vec<_> = delivered.iter().filter(|id| !ids.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "{lost:?} of {} were delivered and have no row", delivered.len());
    assert!(delivered.len() as u64 > kills / 2, "only {} calls were delivered", delivered.len());
}

/// What the caps count is what the rows say, key by key.
fn adds_up(stopped: &Stopped, rows: &[Row]) {
    let mut expected = HashMap::<String, u64>::new();
    for row in rows.iter().filter(|row| row.admitted) {
        *expected.entry(row.key_id.clone()).or_default() += row.tokens.total();
    }
    let sums = stopped.store().sums().expect("the sums can be read");
    let sums: HashMap<String, u64> = sums.into_iter().map(|(key, sums)| (key, sums.total_tokens)).collect();
    assert_eq!(sums, expected);
    assert_eq!(sums.len(), 2);
}

/// Drives the gateway with several clients. The one that sees the `moments`th piece of an answer kills it, there and
/// then. Returns the ids of the calls whose last byte was seen.
fn drive_until_killed(gateway: &Gateway, moments: i64, signal: Signal) -> Vec<String> {
    let moments = &AtomicI64::new(moments);
    let seen = move || {
        if moments.fetch_sub(1, Ordering::Relaxed) == 1 {
            gateway.signal(signal);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || drive(gateway.address, client, seen))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("clients end by themselves")).collect()
    })
}

/// Calls until the connection breaks, and returns the ids of the calls that were answered in full.
fn drive(address: SocketAddr, client: usize, seen: impl Fn()) -> Vec<String> {
    let mut delivered = Vec::new();
    let Ok(mut connection) = Client::try_to(address) else { return delivered };
    let key = if client.is_multiple_of(3) { "other" } else { "main" };
    for turn in client.. {
        let call = chat(MODELS[turn % MODELS.len()]).by(key);
        let call = if turn % 5 < 3 { call.streamed() } else { call };
        match follow(&mut connection, &call, &seen) {
            Ok(id) => delivered.push(id),
            Err(_) => break,
        }
    }
    delivered
}

/// One call to its last byte.
fn follow(connection: &mut Client, call: &Call, seen: &impl Fn()) -> io::Result<String> {
    connection.try_write(&call.bytes())?;
    let head = connection.try_head()?;
    if head.status == 503 {
        return Err(io::Error::other("the gateway is told to end, and takes no further call"));
    }
    assert_eq!(head.status, 200);
    while connection.try_piece()?.is_some() {
        seen();
    }
    Ok(head.request_id())
}

/// Numbers that differ, and are the same in each run.
struct Chance(u64);

impl Chance {
    fn up_to(&mut self, most: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        1 + (self.0 >> 1).cast_signed() % most
    }
}
