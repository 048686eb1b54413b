//! The binary as an operator meets it: what each command prints, where, and with which exit code.

#![expect(clippy::unwrap_used, reason = "where a test cannot be set up, it fails")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::atomic::{AtomicU8, Ordering},
};

use serde_json::Value;

#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/master_key.rs"]
mod master_key;

/// A directory with a configuration in it, whose gateway listens on a loopback address of its own.
struct Place {
    dir: tempfile::TempDir,
    listen: SocketAddr,
    metrics: SocketAddr,
    admin: SocketAddr,
}

/// What a command left behind.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A gateway that runs until it is stopped.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// An address that no other test has: it is of this process, then of the place.
fn own_address() -> Ipv4Addr {
    static PLACES: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 2 + high % 250, low, PLACES.fetch_add(1, Ordering::Relaxed))
}

impl Place {
    fn new(more: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let ip = own_address();
        // Nobody else listens there, so that what is free now stays free.
        let free = [(); 3].map(|()| TcpListener::bind((ip, 0)).unwrap());
        let [listen, metrics, admin] = free.map(|listener| listener.local_addr().unwrap());
        let text = format!(
            "[server]\nlisten = \"{listen}\"\nmetrics_listen = \"{metrics}\"\nadmin_listen = \"{admin}\"\n\
             data_dir = \"data\"\nthreads = 1\ndrain_timeout_s = 1\n{more}\n\
             [providers.openai]\nadapter = \"openai\"\nbase_url = \"https://api.openai.com/v1\"\n\
             keys = [\"${{OPENAI_API_KEY}}\"]\n\
             [models.m]\ntargets = [{{ provider = \"openai\", model = \"m\" }}]\n[keys.example]\n"
        );
        fs::create_dir(dir.path().join("config")).unwrap();
        fs::write(dir.path().join("config/tollgate.toml"), text).unwrap();
        Place { dir, listen, metrics, admin }
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(args.split(' ')).current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, args: &str) -> Said {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs a command under a limit of `ulimit`.
    fn run_limited(&self, limit: &str, args: &str) -> (Option<i32>, String) {
        let mut shell = Command::new("sh");
        let script = format!("ulimit {limit}; exec {} {args}", env!("CARGO_BIN_EXE_tollgate"));
        let Output { status, stderr, .. } = shell.args(["-c", &script]).current_dir(self.dir.path()).output().unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    }

    fn config_file(&self) -> PathBuf {
        self.dir.path().join("config/tollgate.toml")
    }

    /// The stdout of a command that must succeed.
    #[track_caller]
    fn ok(&self, args: &str) -> String {
        let said = self.run(args);
        assert_eq!(said.code, 0, "{args}: {}", said.stderr);
        said.stdout
    }

    fn json(&self, args: &str) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    fn serve(&self) -> Running {
        self.start("serve").0
    }

    /// Starts a command that serves; returns it with what it printed before its doors were open.
    fn start(&self, args: &str) -> (Running, String) {
        self.start_with(args, Stdio::null())
    }

    fn start_with(&self, args: &str, stderr: Stdio) -> (Running, String) {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("curl ") {
            assert!(stdout.read_line(&mut said).unwrap() > 0, "the gateway ended before its doors were open");
        }
        (Running { child, stdout }, said)
    }

    /// The status of a call with this key.
    fn call(&self, key: &str) -> u16 {
        let mut stream = TcpStream::connect(self.listen).unwrap();
        let request =
            format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].parse().unwrap()
    }
}

impl Running {
    /// Ends the gateway as a supervisor would, and returns its exit code.
    fn stop(mut self) -> i32 {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        let code = self.child.wait().unwrap().code().unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        code
    }
}

/// A test that fails must not leave its gateway behind.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prebuilt(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/prebuilt").join(name)
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let said = Place::new("").run("check");
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert!(
        said.stdout.starts_with("config/tollgate.toml is good: 1 provider, 1 model, 1 client key"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("provider `openai` has no key, because OPENAI_API_KEY is not set"), "{}", said.stdout);
}

#[test]
fn a_bad_configuration_says_every_fault_and_exits_with_2() {
    let place = Place::new(
        "thread = 1\n[log]\nformat = \"xml\"\n[models.n]\ntargets = [{ provider = \"opnai\", model = \"n\" }]",
    );
    for args in ["check", "check --config config/tollgate.toml", "serve", "key list"] {
        let said = place.run(args);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{args}");
        for fault in [
            "config/tollgate.toml has 3 faults",
            "config/tollgate.toml:8: server.thread: unknown key (did you mean `threads`?)",
            "config/tollgate.toml:10: log.format: must be one of `text`, `json`, not `xml`",
            "config/tollgate.toml:12: models.n.targets[0].provider: unknown provider `opnai` (did you mean `openai`?)",
        ] {
            assert!(said.stderr.contains(fault), "{args}: no `{fault}` in\n{}", said.stderr);
        }
    }
    assert!(!place.dir.path().join("data").exists(), "a bad configuration changes nothing");
}

#[test]
fn without_a_configuration_a_command_says_what_to_do() {
    let place = Place::new("");
    fs::remove_dir_all(place.dir.path().join("config")).unwrap();
    let said = place.run("serve");
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("name a configuration with --config, or try `tollgate demo`"), "{}", said.stderr);
    assert_eq!(place.run("check --config nowhere.toml").code, 1);
}

#[test]
fn help_goes_to_stdout_and_a_mistake_to_stderr() {
    let place = Place::new("");
    for command in [
        "",
        "serve ",
        "check ",
        "demo ",
        "key ",
        "key create ",
        "key list ",
        "key revoke ",
        "usage ",
        "plugin ",
        "plugin list ",
        "plugin check ",
        "dump ",
        "load ",
    ] {
        let said = place.run(&format!("{command}--help"));
        assert!(said.code == 0 && said.stdout.contains("Usage: tollgate") && said.stderr.is_empty(), "{command}");
    }
    let said = place.run("key creat");
    assert!(said.code == 2 && said.stdout.is_empty() && said.stderr.contains("create"), "{}", said.stderr);
}

#[test]
fn keys_live_without_a_gateway() {
    let place = Place::new("");
    let said = place.run("key create --name app --models m --tokens-per-day 5 --expires 30d");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let key = said.stdout.strip_suffix('\n').unwrap();
    assert!(key.starts_with("sk-tg-") && key.len() == 49 && !key.contains('\n'), "the key alone: {}", said.stdout);
    assert!(!said.stderr.contains(key));

    let listed = place.json("key list --json");
    assert_eq!(listed["keys"][0]["name"], "app");
    assert_eq!(listed["keys"][0]["limits"]["tokens_per_day"], 5);
    assert!(place.ok("key list").contains("5 tokens/day"));
    assert_eq!(place.json("usage --json")["usage"][0]["calls"], 0);
    assert_eq!(place.run("key create --name app").code, 1, "the name is taken");
    assert!(place.ok("key revoke app").starts_with("Revoked `app`"));
    assert_eq!(place.json("key list --json")["keys"][0]["state"], "revoked");
}

#[test]
fn keys_live_beside_a_running_gateway() {
    let place = Place::new("");
    let running = place.serve();
    let key = place.ok("key create --name app");
    let key = key.trim();
    assert_eq!((place.call(key), place.call("sk-tg-wrong")), (200, 401));
    let names: Vec<Value> =
        place.json("usage --json")["usage"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["app", "example"]);
    place.ok("key revoke app");
    assert_eq!(place.call(key), 401, "the next call is refused");
    assert!(place.ok("plugin list").contains("openai"));
    assert_eq!(running.stop(), 0);
    let listed = place.json("key list --json");
    assert!(listed["keys"].as_array().unwrap().iter().any(|key| key["name"] == "app" && key["state"] == "revoked"));
}

#[test]
fn a_gateway_that_cannot_be_reached_is_named() {
    let place = Place::new("");
    let running = place.serve();
    let file = place.dir.path().join("config/tollgate.toml");
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.starts_with("admin_listen")).unwrap();
    fs::write(&file, text.replace(line, "admin_listen = \"off\"")).unwrap();
    let said = place.run("key list");
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("another process uses `data`: if it is a gateway, its admin listener is off"),
        "{}",
        said.stderr
    );
    assert_eq!(running.stop(), 0);
}

/// Whatever runs beside this test: the first demo has the usual ports or finds them taken, so the second finds them taken.
#[test]
fn a_demo_takes_free_ports_where_the_usual_ones_are_taken() {
    let place = Place::new("");
    let (first, _) = place.start("demo");
    let (second, said) = place.start("demo");
    let mut free = Vec::new();
    let usual = tollgate::config::build("", |_| None).unwrap().server;
    let (admin, metrics) = (usual.admin_listen.unwrap(), usual.metrics_listen.unwrap());
    for (usual, what) in [(usual.listen, "calls"), (admin, "admin"), (metrics, "metrics")] {
        let note = format!("{usual} is taken: {what} listens on 127.0.0.1:");
        let (_, after) = said.split_once(&note).unwrap_or_else(|| panic!("no `{note}` in\n{said}"));
        free.push(after.split_once(' ').unwrap().0.to_owned());
    }
    for (path, port) in ["/healthz", "/", "/metrics"].into_iter().zip(&free) {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{path} at {port}: {answer}");
    }
    assert!(said.contains(&format!("Tollgate listens on http://127.0.0.1:{}/v1", free[0])), "{said}");
    assert_eq!((second.stop(), first.stop()), (0, 0));
}

#[test]
fn the_first_start_leaves_private_files() {
    let place = Place::new("");
    assert_eq!(place.serve().stop(), 0);
    let mode = |name: &str| fs::metadata(place.dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data"), 0o700);
    for name in ["data/master-key", "data/admin-token", "data/client-keys/example"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let key = fs::read_to_string(place.dir.path().join("data/client-keys/example")).unwrap();
    let running = place.serve();
    assert_eq!(place.call(key.trim()), 200, "the second start knows the first one's key");
    assert_eq!(running.stop(), 0);
}

#[test]
fn plugins_are_listed_and_checked_without_a_gateway() {
    let place = Place::new("");
    let listed = place.json("plugin list --json");
    assert!(listed["plugins"].as_array().unwrap().iter().any(|plugin| plugin["name"] == "openai"));
    let said = place.run(&format!("plugin check {}", prebuilt("openai.wasm").display()));
    assert!(said.code == 0 && said.stdout.contains("is an adapter: openai"), "{}{}", said.stdout, said.stderr);

    fs::write(place.dir.path().join("text.wasm"), "text").unwrap();
    let said = place.run("plugin check text.wasm");
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(
        said.stderr.contains("`text.wasm` is refused") && said.stderr.contains("is not WebAssembly"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_gateway_whose_log_nobody_takes_starts_serves_and_stops() {
    let place = Place::new("[log]\nlevel = \"debug\"\n");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let (running, _) = place.start_with("serve", full.into());
    let key = fs::read_to_string(place.dir.path().join("data/client-keys/example")).unwrap();
    for _ in 0..3 {
        assert_eq!((place.call(key.trim()), place.call("sk-tg-wrong")), (200, 401));
        assert_eq!(place.run("key revoke nobody").code, 1, "the gateway logs that");
    }
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_limit_of_the_process_is_an_error_and_no_end_without_a_word() {
    let place = Place::new("");
    let (code, said) = place.run_limited("-f 64", "serve");
    assert!(code == Some(1) && said.contains("error: "), "{code:?} {said}");
    let (code, said) = place.run_limited("-n 40", "serve");
    assert!(code == Some(1) && said.contains("may open 40 files, which is too few"), "{code:?} {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn commands_that_meet_wait_for_each_other() {
    let place = Place::new("");
    place.ok("key list");
    let create = |number: usize| place.command(&format!("key create --name k{number}")).stdout(Stdio::null()).spawn();
    let commands: Vec<Child> = (0..6).map(|number| create(number).unwrap()).collect();
    for mut command in commands {
        assert!(command.wait().unwrap().success());
    }
    assert_eq!(place.json("key list --json")["keys"].as_array().unwrap().len(), 6);
}

#[test]
fn every_address_that_is_taken_is_named() {
    let place = Place::new("");
    let addresses = [place.listen, place.admin, place.metrics];
    let _taken = addresses.map(|address| TcpListener::bind(address).unwrap());
    let said = place.run("serve");
    let named = format!("cannot listen on {}, {}, {}\n", addresses[0], addresses[1], addresses[2]);
    assert!(said.code == 1 && said.stderr.contains(&named), "{}", said.stderr);
    assert_eq!(said.stderr.matches("in use").count(), 1, "{}", said.stderr);
}

#[test]
fn no_store_is_made_where_a_gateway_answers() {
    let place = Place::new("");
    let running = place.serve();
    let data = place.dir.path().join("data");
    fs::rename(&data, place.dir.path().join("moved")).unwrap();
    for args in ["key create --name app", "key list", "load nowhere"] {
        let said = place.run(args);
        assert!(
            said.code == 1 && said.stderr.contains("`data` holds no store, and something answers"),
            "{}",
            said.stderr
        );
    }
    assert!(!data.exists());
    drop(running);
}
