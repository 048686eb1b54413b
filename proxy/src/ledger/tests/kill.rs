//! Processes that are killed while they record: whatever they said was recorded is there, once.
//!
//! The test starts its own binary again, which then runs only the recording half, in the same data directory each
//! time: it records some hundred rows, takes over, flushes, prunes, opens its store anew, ends, and so goes through
//! everything that a process does. It is killed at another moment in every round, and the next one must open.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use super::*;
use crate::{journal::Clock, store};

const ROUNDS: usize = 200;
const THREADS: usize = 3;
/// Calls that a thread has open at once.
const OPEN: u64 = 8;
/// More rounds, for a machine that has the time.
const ROUNDS_VARIABLE: &str = "TOLLGATE_TEST_KILLS";
/// Tells the recording half where to record.
const HOUSE: &str = "TOLLGATE_TEST_LEDGER_HOUSE";

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[test]
fn what_was_recorded_before_a_kill_is_there_once() {
    let house = House::new();
    let rounds = std::env::var_os(ROUNDS_VARIABLE).map_or(ROUNDS, |rounds| rounds.to_str().unwrap().parse().unwrap());
    let mut recorded = HashMap::new();
    let (mut opened, mut ended) = (0, 0);
    for round in 0..rounds {
        let outcome = record_and_kill(&house, round, &mut recorded);
        opened += usize::from(outcome.opened);
        ended += usize::from(outcome.ended);
        if round % 50 == 49 || round == rounds - 1 {
            check(&house, &recorded, round);
        }
    }
    assert!(opened > rounds / 4, "{opened} of {rounds} came to record anything");
    assert!(ended < rounds / 2, "{ended} of {rounds} ended before they were killed");
    assert!(recorded.len() > rounds * 10, "{} rows", recorded.len());
}

/// Everything that was said to be recorded is there once, and adds up.
fn check(house: &House, recorded: &HashMap<String, (String, u64)>, round: usize) {
    let store = house.store();
    let (_, _, recovered) = by_hand(house, store.clone(), small());
    let rows = rows(&*store);
    for (id, outcome) in recorded {
        assert_eq!(rows.get(id), Some(outcome), "{id} in round {round}");
    }
    let unsaid = rows.iter().filter(|(id, (class, _))| !recorded.contains_key(*id) && class != CRASHED);
    assert!(unsaid.count() <= THREADS * (round + 1), "one a thread may be written and not said");
    let total: u64 = rows.values().map(|(_, tokens)| tokens).sum();
    assert!(rows.values().any(|(class, _)| class == CRASHED), "some calls were open");
    assert_eq!(recovered.accounts.values().map(|past| past.total.tokens).sum::<u64>(), total);
}

/// How far a recording half came.
struct Outcome {
    /// It had opened its data.
    opened: bool,
    /// It had ended by itself.
    ended: bool,
}

/// Runs the recording half, kills it at the moment of this round, and adds what it said.
fn record_and_kill(house: &House, round: usize, recorded: &mut HashMap<String, (String, u64)>) -> Outcome {
    let test = module_path!().split_once("::").unwrap().1.to_owned() + "::the_recording_half";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--test-threads", "1"])
        .env(HOUSE, house.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut rows, mut opened) = (String::new(), 0, false);
    // Odd rounds die some time after they began, even ones after so many rows, the end of all among them.
    let patience = if round % 2 == 1 { 0 } else { 1 + round * 7_919 % (ROWS as usize * THREADS + 100) };
    let mut more = true;
    while more && rows < patience {
        line.clear();
        more = said.read_line(&mut line).unwrap() > 0;
        opened |= line.ends_with(OPENED);
        rows += usize::from(note(&line, recorded));
    }
    let pause_us = round as u64 * 7_919 % if round % 2 == 1 { 80_000 } else { 2_000 };
    std::thread::park_timeout(Duration::from_micros(pause_us));
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    if let Some(status) = ended {
        assert!(status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
    }
    while {
        line.clear();
        said.read_line(&mut line).unwrap() > 0
    } {
        opened |= line.ends_with(OPENED);
        note(&line, recorded);
    }
    Outcome { opened, ended: ended.is_some() }
}

/// Notes one line `row <id> <class> <tokens>`; returns whether it was one. A line cut by the kill says nothing.
fn note(line: &str, recorded: &mut HashMap<String, (String, u64)>) -> bool {
    let Some(fields) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("row ")) else { return false };
    let fields: Vec<&str> = fields.split(' ').collect();
    let [id, class, tokens] = fields[..] else { panic!("{line:?}") };
    recorded.insert(id.to_owned(), (class.trim_matches('-').to_owned(), tokens.parse().unwrap()));
    true
}

/// What the recording half says once its data is open.
const OPENED: &str = "opened\n";
/// Rows of one thread of the recording half.
const ROWS: u64 = 120;

#[test]
fn the_recording_half() {
    let Some(dir) = std::env::var_os(HOUSE).map(PathBuf::from) else { return };
    let often_reopened = store::Settings { logged_bytes_max: 5_000, ..Default::default() };
    let store = SledStore::open(&dir.join("store"), &often_reopened).unwrap();
    let settings = Settings {
        segment_bytes: 64 << 10,
        batch_rows_max: 20,
        interval_ms: 1,
        flush_interval_ms: 3,
        store_interval_ms: 2,
        ..small()
    };
    let clock = Clock { wall_ms: Arc::new(unix_ms), steady_ms: Arc::new(unix_ms) };
    let (ledger, _) = Ledger::open(&dir.join("journal"), Arc::new(store), settings, clock).unwrap();
    say(OPENED);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let ledger = &ledger;
            scope.spawn(move || record(ledger, thread));
        }
    });
    ledger.shutdown().unwrap();
}

fn say(line: &str) {
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Keeps a few calls open and ends one after the other: most with a row, some by dropping the ticket. One never ends.
fn record(ledger: &Ledger, thread: usize) {
    let process = std::process::id();
    let began_ms = unix_ms();
    let id = format!("req_{process}_{began_ms}_{thread}");
    let endless = ledger.open_call(Opened { started_ms: began_ms, ..opened(&id, 1) }).unwrap();
    let mut open_calls = std::collections::VecDeque::new();
    for call in 0..ROWS {
        let id = format!("req_{process}_{began_ms}_{thread}_{call}");
        let started_ms = unix_ms();
        let mut ticket = ledger.open_call(Opened { started_ms, ..opened(&id, 1_000 + call) }).unwrap();
        ticket.sent(attempt());
        open_calls.push_back((id, started_ms, ticket, call));
        if (open_calls.len() as u64) < OPEN {
            continue;
        }
        let Some((id, started_ms, ticket, call)) = open_calls.pop_front() else { continue };
        if call % 7 == 0 {
            drop(ticket);
            say(&format!("row {id} {ABORTED} {}\n", 1_000 + call));
        } else {
            ledger.record(ticket, Record { started_ms, ..row(&id, call) }).unwrap();
            say(&format!("row {id} - {call}\n"));
        }
    }
    // Calls that never end: a process that is left in peace ends them as its own do, by leaving.
    std::mem::forget((endless, open_calls));
}
