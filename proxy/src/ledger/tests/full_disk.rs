//! A real disk that fills up under load, and is freed again.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::{keys::key, *};

const THREADS: usize = 3;
/// How soon everything must work again.
const HEALED_WITHIN: Duration = Duration::from_secs(10);

/// A file system of its own, in memory, gone when dropped.
struct Disk(tempfile::TempDir);

const MOUNT: &[&str] = &["mount", "-t", "tmpfs", "-o", "size=64m", "tollgate"];
/// Whoever this makes root of a namespace may mount in it.
const UNSHARE: &[&str] = &["unshare", "--user", "--map-root-user", "--mount"];

fn succeeds(command: &[&str], last: &Path) -> bool {
    Command::new(command[0]).args(&command[1..]).arg(last).output().is_ok_and(|output| output.status.success())
}

impl Disk {
    /// None where this user may not mount.
    fn mount() -> Option<Disk> {
        let dir = tempfile::tempdir().unwrap();
        succeeds(MOUNT, dir.path()).then(|| Disk(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        for bytes in [1 << 20, 4 << 10, 1] {
            while filler.write_all(&vec![7; bytes]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(thread::panicking() || unmounted.unwrap().success());
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    delivered: Mutex<Vec<String>>,
    refused: AtomicU64,
    stopping: AtomicBool,
}

/// Calls, one after the other, until told to stop. A call whose ticket and row were taken was delivered.
fn call(ledger: &Ledger, seen: &Seen, thread: usize) {
    let clock = clock();
    for number in 0.. {
        if seen.stopping.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("req_{thread}_{number}");
        let started_ms = (clock.wall_ms)();
        match ledger.open_call(Opened { started_ms, ..opened(&id, 5) }) {
            Ok(mut ticket) => {
                ticket.sent(attempt());
                ledger.record(ticket, Record { started_ms, ..row(&id, 5) }).expect("an open call has room for its row");
                seen.delivered.lock().unwrap().push(id);
            }
            Err(Error::NoRoom(_)) => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{error}"),
        }
        thread::park_timeout(Duration::from_micros(300));
    }
}

/// The machine's clocks.
fn clock() -> Clock {
    let began = Instant::now();
    let wall_ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    Clock { wall_ms: Arc::new(wall_ms), steady_ms: Arc::new(move || began.elapsed().as_millis() as u64) }
}

/// Waits until something is true; panics after a while.
fn eventually(what: &str, within: Duration, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < within, "{what} within {within:?}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Runs the test again as root of a namespace of its own, where a user who may not mount may have one.
fn run_in_namespace(test: &str) {
    let dir = tempfile::tempdir().unwrap();
    if !succeeds(&[UNSHARE, MOUNT].concat(), dir.path()) {
        let note = "no file system can be mounted here: a full disk is shown by the double in `broken` alone";
        writeln!(std::io::stderr(), "{note}").unwrap();
        return;
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(UNSHARE[0]);
    command.args(&UNSHARE[1..]).arg(program).args(["--exact", &format!("{module}::{test}"), "--nocapture"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_disk_that_fills_up_refuses_calls_loses_no_row_and_heals_by_itself() {
    match Disk::mount() {
        Some(disk) => fills_up_and_heals(&disk),
        None => run_in_namespace("a_disk_that_fills_up_refuses_calls_loses_no_row_and_heals_by_itself"),
    }
}

fn fills_up_and_heals(disk: &Disk) {
    let dir = disk.path();
    let store = Arc::new(SledStore::open(&dir.join("store"), &Default::default()).unwrap());
    let settings = Settings {
        segment_bytes: 256 << 10,
        batch_rows_max: 64,
        interval_ms: 10,
        flush_interval_ms: 50,
        store_interval_ms: 50,
        ..small()
    };
    let open = |store: Arc<SledStore>| Ledger::open(&dir.join("journal"), store, settings.clone(), clock()).unwrap();
    let (ledger, _) = open(store.clone());
    let journal = ledger.journal().clone();
    for name in ["app", "other"] {
        journal.create_key(key(name), |_| {}).unwrap();
    }
    let seen = Seen::default();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ledger, seen) = (&ledger, &seen);
            scope.spawn(move || call(ledger, seen, thread));
        }
        let delivered = || seen.delivered.lock().unwrap().len();
        eventually("calls are served", PATIENCE, || delivered() > 300);
        disk.fill();
        eventually("calls are refused", PATIENCE, || seen.refused.load(Ordering::Relaxed) > 0);
        eventually("the failure is known", PATIENCE, || journal.failure().is_some());
        let revoked = journal.revoke_keys("app", NOW_MS, |_| {}).unwrap();
        assert_eq!(revoked.keys[0].revoked_ms, Some(NOW_MS));
        assert!(journal.keys().iter().any(|key| key.name == "app" && key.revoked_ms.is_some()));
        let refused = seen.refused.load(Ordering::Relaxed);
        eventually("calls go on being refused", PATIENCE, || seen.refused.load(Ordering::Relaxed) > refused + 500);

        disk.free();
        let before = delivered();
        eventually("calls are served, and their rows stored", HEALED_WITHIN, || {
            delivered() > before + 100 && journal.failure().is_none()
        });
        seen.stopping.store(true, Ordering::Relaxed);
    });
    assert!(ledger.catch_up(PATIENCE));
    let delivered = seen.delivered.into_inner().unwrap();
    let stored = rows(&*store);
    assert_eq!(stored.len(), delivered.len());
    assert!(delivered.iter().all(|id| stored.get(id) == Some(&(String::new(), 5))));
    drop((journal, ledger, store));

    let store = Arc::new(SledStore::open(&dir.join("store"), &Default::default()).unwrap());
    let (ledger, recovered) = open(store.clone());
    assert_eq!((recovered.journal.calls_crashed, recovered.journal.bytes_damaged), (0, 0));
    assert_eq!(rows(&*store).len(), delivered.len());
    let keys: Vec<_> = store.keys().unwrap().iter().map(|key| (key.name.clone(), key.revoked_ms)).collect();
    assert_eq!(keys, [("app".to_owned(), Some(NOW_MS)), ("other".to_owned(), None)]);
    drop((ledger, store));
}

/// Copies a folder with all that is in it.
pub(super) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}
