//! Processes that are killed while they record: whatever they said was recorded is there, once.
//!
//! The test starts its own binary again, which then runs only the recording half, in the same data directory each
//! time and without an end. It is killed at another moment in every round.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use super::*;

const ROUNDS: usize = 40;
const THREADS: usize = 3;
/// Tells the recording half where to record.
const HOUSE: &str = "TOLLGATE_TEST_LEDGER_HOUSE";

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[test]
fn what_was_recorded_before_a_kill_is_there_once() {
    let house = House::new();
    let mut recorded = HashMap::new();
    for round in 0..ROUNDS {
        // Every fifth is killed before it says anything, likely while it takes over what the last one left.
        let patience = if round % 5 == 4 { 0 } else { 1 + round * 7_919 % 700 };
        let before = recorded.len();
        record_and_kill(&house, patience, &mut recorded);
        assert!(recorded.len() >= before + patience);
        if round % 3 == 0 || round == ROUNDS - 1 {
            let store = house.store();
            let (_, _, recovered) = house.by_hand(store.clone(), small());
            let rows = rows(&*store);
            for (id, outcome) in &recorded {
                assert_eq!(rows.get(id), Some(outcome), "{id} in round {round}");
            }
            let unsaid = rows.iter().filter(|(id, (class, _))| !recorded.contains_key(*id) && class != CRASHED);
            assert!(unsaid.count() <= THREADS * (round + 1), "one a thread may be written and not said");
            let total: u64 = rows.values().map(|(_, tokens)| tokens).sum();
            let crashed = rows.values().any(|(class, _)| class == CRASHED);
            assert!(crashed || round < ROUNDS - 1, "some calls were in open_calls");
            assert_eq!(recovered.accounts.iter().map(|(_, past)| past.total_tokens).sum::<u64>(), total);
        }
    }
}

/// Runs the recording half until it has recorded so many rows, kills it, and adds what it said.
fn record_and_kill(house: &House, patience: usize, recorded: &mut HashMap<String, (String, u64)>) {
    let test = module_path!().split_once("::").unwrap().1.to_owned() + "::the_recording_half";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--test-threads", "1"])
        .env(HOUSE, house.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut rows = 0;
    while rows < patience {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the recording half ended by itself");
        rows += usize::from(note(&line, recorded));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    while {
        line.clear();
        said.read_line(&mut line).unwrap() > 0
    } {
        note(&line, recorded);
    }
}

/// Notes one line `row <id> <class> <tokens>`; returns whether it was one. A line cut by the kill says nothing.
fn note(line: &str, recorded: &mut HashMap<String, (String, u64)>) -> bool {
    let Some(fields) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("row ")) else { return false };
    let fields: Vec<&str> = fields.split(' ').collect();
    let [id, class, tokens] = fields[..] else { panic!("{line:?}") };
    recorded.insert(id.to_owned(), (class.trim_matches('-').to_owned(), tokens.parse().unwrap()));
    true
}

#[test]
fn the_recording_half() {
    let Some(dir) = std::env::var_os(HOUSE).map(PathBuf::from) else { return };
    let store = SledStore::open(&dir.join("store"), &Default::default()).unwrap();
    let settings = Settings {
        segment_bytes_max: 20_000,
        batch_rows_max: 50,
        interval_ms: 1,
        flush_interval_ms: 3,
        open_after_ms: 1,
        ..Settings::default()
    };
    let (ledger, _) = Ledger::open(&dir.join("spool"), Arc::new(store), settings, Arc::new(unix_ms)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let ledger = &ledger;
            scope.spawn(move || record_for_ever(ledger, thread));
        }
    });
}

/// Keeps a few calls in open_calls and ends one after the other: most with a row, some by dropping the ticket. One never
/// ends.
fn record_for_ever(ledger: &Ledger, thread: usize) {
    let process = std::process::id();
    let _endless = ledger.open_call(Opened { started_ms: unix_ms(), ..opened(&format!("req_{process}_{thread}"), 1) });
    let mut open_calls = std::collections::VecDeque::new();
    for call in 0_u64.. {
        let id = format!("req_{process}_{thread}_{call}");
        let started_ms = unix_ms();
        let mut ticket = ledger.open_call(Opened { started_ms, ..opened(&id, 1_000 + call) });
        ticket.sent();
        open_calls.push_back((id, started_ms, ticket));
        if open_calls.len() < 50 {
            continue;
        }
        let Some((id, started_ms, ticket)) = open_calls.pop_front() else { continue };
        let said = if call % 7 == 0 {
            drop(ticket);
            format!("row {id} {ABORTED} {}\n", 1_000 + call - 49)
        } else {
            ledger.record(ticket, Record { started_ms, ..row(&id, call) }).unwrap();
            format!("row {id} - {call}\n")
        };
        std::io::stdout().lock().write_all(said.as_bytes()).unwrap();
    }
}
