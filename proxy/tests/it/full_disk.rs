//! The disk of the data directory fills up under the real gateway, and is freed again.

use std::{
    env,
    fs::{self, DirBuilder, File},
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::support::*;

const CLIENTS: usize = 4;
/// Filling what is allocated ahead takes thousands of calls, on a machine that has other things to do as well.
const FILLING: Duration = Duration::from_secs(120);
const HEALED_WITHIN: Duration = Duration::from_secs(10);

/// Set where this process has mounts of its own.
const OWN_MOUNTS: &str = "TOLLGATE_TEST_OWN_MOUNTS";

/// Runs `test`, which is called `name`, in a process with mounts of its own, which end with it: root may have those, and
/// where the kernel lets them, so may others in a user namespace.
#[track_caller]
fn with_own_mounts(name: &str, test: impl FnOnce()) {
    if env::var_os(OWN_MOUNTS).is_some() {
        return test();
    }
    let may = |flag: &&str| {
        let tried = Command::new("unshare").args([flag, "true"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let flag = ["-m", "-Urm"].into_iter().find(may).expect(
        "this test fills a disk of its own, for which it must mount one: run it as root, or where `unshare -Urm true` succeeds",
    );
    let status = Command::new("unshare")
        .arg(flag)
        .arg(env::current_exe().expect("a test has a file"))
        .args(["--exact", name, "--nocapture"])
        .env(OWN_MOUNTS, "1")
        .status();
    assert!(status.is_ok_and(|status| status.success()), "`{name}` fails where it has mounts of its own");
}

/// A file system of its own, in memory.
struct Disk(PathBuf);

impl Disk {
    fn mount(place: &Path) -> Disk {
        DirBuilder::new().recursive(true).mode(0o700).create(place).expect("the house takes a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=96m,mode=0700", "tollgate"]).arg(place).status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "a tmpfs can be mounted, where mounts are this test's own"
        );
        Disk(place.to_owned())
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).expect("there is room for a name");
        for bytes in [1 << 20, 4 << 10, 1] {
            while filler.write_all(&vec![7; bytes]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was filled before");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    delivered: Mutex<Vec<String>>,
    refused: AtomicU64,
    stopping: AtomicBool,
}

/// Calls, one after the other, until told to stop.
fn drive(gateway: &Gateway, seen: &Seen) {
    while !seen.stopping.load(Ordering::Relaxed) {
        let answer = gateway.call(&chat("gpt"));
        match answer.status() {
            200 => seen.delivered.lock().expect("no client panics").push(answer.request_id()),
            _ => {
                answer.is_refused(503, "ledger_unavailable");
                seen.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[track_caller]
fn within(what: &str, limit: Duration, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < limit, "{what} within {limit:?}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_full_disk_refuses_calls_keeps_every_row_lets_keys_be_revoked_and_heals() {
    with_own_mounts(
        "full_disk::a_full_disk_refuses_calls_keeps_every_row_lets_keys_be_revoked_and_heals",
        refuses_keeps_and_heals,
    );
}

fn refuses_keeps_and_heals() {
    let provider = openai();
    let house = gateway(&provider).key("other", "").house();
    let disk = Disk::mount(&house.data_dir());
    let gateway = Gateway::start(house);
    let seen = Seen::default();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| drive(&gateway, &seen));
        }
        let delivered = || seen.delivered.lock().expect("no client panics").len();
        within("calls are served", FILLING, || delivered() > 50);
        disk.fill();
        within("calls are refused", FILLING, || seen.refused.load(Ordering::Relaxed) > 0);

        within("the gateway says that it is not ready", HEALED_WITHIN, || {
            gateway.call(&get("/readyz")).status() == 503
        });
        let ready = gateway.call(&get("/readyz"));
        assert!(ready.text().contains("journal") || ready.text().contains("disk"), "{}", ready.text());
        gateway.command(&["key", "revoke", "other"]);
        gateway.call(&chat("gpt").by("other")).is_refused(401, "key_revoked");

        let before = delivered();
        disk.free();
        within("calls are served again", HEALED_WITHIN, || delivered() > before);
        within("the gateway is ready", HEALED_WITHIN, || gateway.call(&get("/readyz")).status() == 200);
        seen.stopping.store(true, Ordering::Relaxed);
    });
    gateway.call(&chat("gpt").by("other")).is_refused(401, "key_revoked");
    let again = gateway.kill().restart();
    again.call(&chat("gpt").by("other")).is_refused(401, "key_revoked");
    let rows = again.stop().rows();
    for id in seen.delivered.into_inner().expect("no client panics") {
        assert_eq!(rows.iter().filter(|row| row.request_id == id).count(), 1, "{id}");
    }
}

#[test]
fn a_start_on_a_full_disk_serves_or_says_why_not_in_a_sentence_and_the_next_has_every_row() {
    with_own_mounts(
        "full_disk::a_start_on_a_full_disk_serves_or_says_why_not_in_a_sentence_and_the_next_has_every_row",
        start_says_why_not_and_the_next_has_every_row,
    );
}

fn start_says_why_not_and_the_next_has_every_row() {
    let provider = openai();
    let house = gateway(&provider).house();
    let disk = Disk::mount(&house.data_dir());
    let gateway = Gateway::start(house);
    let delivered: Vec<String> = (0..30).map(|_| gateway.call(&chat("gpt")).is_good().request_id()).collect();
    gateway.signal(Signal::STOP);
    disk.fill();
    gateway.signal(Signal::KILL);
    let stopped = gateway.ends().1;
    let said = fails(&stopped.house, &["serve"], 1);
    assert!(said.contains("is full") && said.contains("free some space and start again"), "{said}");
    assert_eq!(said.matches("error:").count(), 1, "{said}");
    disk.free();
    let rows = stopped.restart().stop().rows();
    for id in delivered {
        assert_eq!(rows.iter().filter(|row| row.request_id == id).count(), 1, "{id}");
    }
}
