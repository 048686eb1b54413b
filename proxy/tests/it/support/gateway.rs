//! The process under test, and what it leaves behind.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process};
use tollgate::store::{self, Dimension, SledStore, Store};

use super::{Answer, Call, Client, Setup, chat, eventually, get, setup::House};

pub(crate) use tollgate::store::Record as Row;

/// What a gateway inherits of the environment: nothing that could change what it does.
const INHERITED: &[&str] = &["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"];

/// A gateway that runs. Dropped, it is killed.
pub(crate) struct Gateway {
    child: Child,
    house: Option<House>,
    /// Where calls are sent.
    pub(crate) address: SocketAddr,
}

/// A gateway that does not run any more.
pub(crate) struct Stopped {
    pub(crate) house: House,
}

impl Gateway {
    /// Starts the gateway of `house` and waits until it is ready.
    pub(crate) fn start(house: House) -> Gateway {
        // One at a time: the first compiles the plugins, the others find them compiled.
        let _turn = turn();
        house.take_compiled();
        let mut gateway = Gateway::spawn(house);
        eventually("the gateway is ready", || gateway.is_ready().then_some(()));
        gateway.house().leave_compiled();
        gateway
    }

    /// Starts the gateway of `house`, and does not wait.
    pub(crate) fn spawn(house: House) -> Gateway {
        let log = File::options().create(true).append(true).open(house.log()).expect("the folder takes a file");
        let child = tollgate(&house)
            .args(["serve", "--config"])
            .arg(house.config())
            .stdout(log.try_clone().expect("there are descriptors left"))
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        Gateway { child, address: house.listen(), house: Some(house) }
    }

    /// Waits until a gateway that was spawned is ready.
    pub(crate) fn becomes_ready(mut self) -> Gateway {
        eventually("the gateway is ready", || self.is_ready().then_some(()));
        self
    }

    fn is_ready(&mut self) -> bool {
        if let Some(status) = self.child.try_wait().expect("it is our child") {
            panic!("the gateway did not start: {status}");
        }
        let Ok(mut client) = Client::try_to(self.address) else { return false };
        client.try_write(&get("/readyz").bytes()).is_ok() && client.try_head().is_ok_and(|head| head.status == 200)
    }

    pub(crate) fn house(&self) -> &House {
        self.house.as_ref().expect("the house is given away only with the gateway")
    }

    /// A fresh connection.
    pub(crate) fn client(&self) -> Client {
        Client::to(self.address)
    }

    /// Makes one call, on a connection of its own.
    #[track_caller]
    pub(crate) fn call(&self, call: &Call) -> Answer {
        self.client().call(call)
    }

    /// Begins a call, on a connection of its own.
    #[track_caller]
    pub(crate) fn begin(&self, call: &Call) -> Client {
        let mut client = self.client();
        client.send(call);
        client
    }

    /// The sum of the metric's series that have all of these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut client = Client::to(self.house().metrics_listen());
        let page = client.call(&get("/metrics"));
        let has = |line: &str| labels.iter().all(|(label, value)| line.contains(&format!("{label}={value:?}")));
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let lines = page.text().lines().filter(of_name).filter(|line| has(line));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Calls that ended in this way: `ok`, or the stable name of what went wrong.
    pub(crate) fn calls_ended(&self, code: &str) -> u64 {
        self.metric("tollgate_calls_total", &[("code", code)]) as u64
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.metric("tollgate_calls_in_flight", &[]) as u64
    }

    pub(crate) fn becomes_idle(&self) {
        eventually("no call is in flight", || (self.in_flight() == 0).then_some(()));
    }

    /// Holds that the process goes on: nothing is in flight, and a good call is answered.
    #[track_caller]
    pub(crate) fn still_serves(&self) {
        self.becomes_idle();
        self.call(&chat("gpt")).is_good();
    }

    /// Runs another command of the binary beside the gateway, and returns what it prints.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        command(self.house(), arguments)
    }

    /// What the gateway has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.house().log()).expect("the gateway has a log")
    }

    /// What the admin listener asks for.
    pub(crate) fn admin_token(&self) -> String {
        let file = self.house().data_dir().join("admin-token");
        fs::read_to_string(file).expect("the first start makes one").trim().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the gateway runs");
    }

    /// As [`Gateway::signal`], to a gateway that may have ended.
    pub(crate) fn try_signal(&self, signal: Signal) -> rustix::io::Result<()> {
        kill_process(self.pid(), signal)
    }

    /// What the process has in memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the gateway runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
    }

    /// How many files the process has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the gateway runs").count()
    }

    pub(crate) fn pid(&self) -> Pid {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.expect("a child has a pid")
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ends(mut self) -> (ExitStatus, Stopped) {
        let status = eventually("the process ends", || self.child.try_wait().expect("it is our child"));
        let house = self.house.take().expect("the house is given away only here");
        let log = fs::read_to_string(house.log()).unwrap_or_default();
        assert!(!log.contains("panicked at"), "{log}");
        (status, Stopped { house })
    }

    /// Asks the process to end, holds that it ends well, and leaves its rows to be read.
    #[track_caller]
    pub(crate) fn stop(self) -> Stopped {
        self.signal(Signal::TERM);
        let (status, stopped) = self.ends();
        assert!(status.success(), "{status}");
        stopped
    }

    /// SIGKILL: no word, no last write.
    pub(crate) fn kill(self) -> Stopped {
        self.signal(Signal::KILL);
        self.ends().1
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let Some(house) = &self.house else { return };
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(house.log()).unwrap_or_default();
            let tail = log.lines().rev().take(40).collect::<Vec<_>>();
            let tail: String = tail.into_iter().rev().map(|line| format!("  | {line}\n")).collect();
            let _ = std::io::stderr().write_all(format!("the gateway said:\n{tail}").as_bytes());
        }
    }
}

impl Stopped {
    pub(crate) fn restart(self) -> Gateway {
        Gateway::start(self.house)
    }

    /// Starts again from another configuration.
    pub(crate) fn restart_as(self, setup: &Setup) -> Gateway {
        self.house.rewrite(setup);
        self.restart()
    }

    pub(crate) fn store(&self) -> SledStore {
        SledStore::open(&self.house.data_dir().join("store"), &store::Settings::default()).expect("the store opens")
    }

    /// Every row, oldest first.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let visited = self.store().each_record(&mut |row| {
            rows.push(row);
            Ok(())
        });
        visited.expect("the rows can be read");
        rows
    }

    /// How many requests were refused before they were anybody's call, by code.
    pub(crate) fn refusals(&self) -> BTreeMap<String, u64> {
        let totals = self.store().totals(Dimension::Refusal, 0..u32::MAX).expect("the sums can be read");
        totals.into_iter().map(|(code, sum)| (code, sum.calls)).collect()
    }

    /// The rows of calls that did not end well.
    pub(crate) fn failed_rows(&self) -> Vec<Row> {
        self.rows().into_iter().filter(|row| !row.is_ok()).collect()
    }

    /// The only row there is.
    #[track_caller]
    pub(crate) fn only_row(&self) -> Row {
        let rows = self.rows();
        assert_eq!(rows.len(), 1, "{rows:#?}");
        rows.into_iter().next().expect("there is one")
    }

    /// The one row of this call.
    #[track_caller]
    pub(crate) fn row_of(&self, request_id: &str) -> Row {
        let rows = self.rows();
        let mut its = rows.iter().filter(|row| row.request_id == request_id);
        let row = its.next().unwrap_or_else(|| panic!("no row of {request_id} in {rows:#?}"));
        assert!(its.next().is_none(), "{request_id} has two rows");
        row.clone()
    }
}

/// Refusals by code, as [`Stopped::refusals`] tells them.
pub(crate) fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(code, count)| (code.to_owned(), count)).into()
}

/// Runs a command of the binary in `house`, and returns what it prints.
pub(crate) fn command(house: &House, arguments: &[&str]) -> String {
    let ran = tollgate(house).args(arguments).arg("--config").arg(house.config()).output().expect("the binary runs");
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("commands print UTF-8")
}

fn tollgate(house: &House) -> Command {
    let binary = env!("CARGO_BIN_EXE_tollgate");
    let mut command = match house.files_max {
        None => Command::new(binary),
        Some(files_max) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", r#"ulimit -n "$0" && exec "$@""#, &files_max.to_string(), binary]);
            shell
        }
    };
    let inherited = std::env::vars_os().filter(|(name, _)| INHERITED.iter().any(|it| name == *it));
    command.current_dir(house.dir()).stdin(Stdio::null()).env_clear().envs(inherited);
    command
}

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command of the binary that must fail with this exit code, and returns what it complains about.
pub(crate) fn fails(house: &House, arguments: &[&str], code: i32) -> String {
    let ran = tollgate(house).args(arguments).arg("--config").arg(house.config()).output().expect("the binary runs");
    assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stderr).expect("commands print UTF-8")
}
