//! A sandbox to attack, and ways to look at what comes of it.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tollgate::{
    call::{Failure, Operation},
    framing::Frame,
    plugin::{Adapter, Capabilities, Compiler, Context, Host, LoadError, PluginError, Request, Settings, Stream},
};

use super::guest::Guest;

/// Far beyond any deadline, and no more than a busy machine may need: what takes longer was not interrupted.
pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) const ALL: Capabilities = Capabilities { log: true, tokenize: true, sign: true };

pub(crate) fn context() -> Context<'static> {
    Context {
        request_id: "req_1",
        caller: 1,
        operation: Operation::Chat,
        model: "m",
        streaming: true,
        config: "{}",
        now_ms: 1_790_000_000_000,
        seed: 7,
        state: None,
    }
}

/// Compiled code is kept beside the tests' other output, so that a second run compiles nothing.
pub(crate) fn cache_dir() -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("attack");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).unwrap();
    fs::canonicalize(dir).unwrap()
}

pub(crate) fn compiler() -> Compiler {
    Compiler::Process { program: env!("CARGO_BIN_EXE_tollgate").into(), args: vec!["compile-plugin".into()] }
}

/// A sandbox of its own, for a test that needs other bounds or a pool to itself.
pub(crate) fn host_with(settings: Settings) -> Host {
    Host::new(settings, &cache_dir(), compiler(), Arc::new(()), Arc::new(())).unwrap()
}

/// The bounds that ship, in a pool that leaves room for other tests' pools.
pub(crate) fn settings() -> Settings {
    Settings { calls_max: 32, streams_max: 32, ..Settings::default() }
}

/// The sandbox that most tests share.
pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| host_with(settings()))
}

pub(crate) fn load(guest: &Guest) -> Adapter {
    host().load_adapter("evil", &guest.component(), ALL).unwrap_or_else(|error| panic!("{error}"))
}

/// Why a guest is not loaded, in the operator's words.
pub(crate) fn refusal(guest: &Guest) -> String {
    refusal_of(&guest.component())
}

pub(crate) fn refusal_of(wasm: &[u8]) -> String {
    let refused = host().load_adapter("evil", wasm, ALL);
    still_good(host());
    match refused {
        Ok(_) => panic!("was loaded"),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn encode(adapter: &Adapter) -> Result<Result<Request, Failure>, PluginError> {
    adapter.encode(&context(), r#"{"model":"m"}"#, None)
}

/// The fault of the guest's `encode`, after which all is well.
#[track_caller]
pub(crate) fn fault(guest: &Guest) -> PluginError {
    let adapter = load(guest);
    let began = Instant::now();
    let fault = encode(&adapter).expect_err("the guest was answered");
    assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
    still_good(host());
    fault
}

#[track_caller]
pub(crate) fn faults_as(guest: &Guest, kind: &str) {
    let fault = fault(guest);
    assert_eq!(fault.kind(), kind, "{fault}: {:?}", fault.detail());
}

/// The next good call succeeds, in this sandbox and of every function.
#[track_caller]
pub(crate) fn still_good(host: &Host) {
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let request = encode(&good).unwrap().unwrap();
    assert_eq!(request.path, "/v1/chat/completions");
    let answer = good.decode(&context(), 200, &[("a".into(), "b".into())], "{}").unwrap().unwrap();
    assert_eq!(answer.body, r#"{"id":"a"}"#);
    assert_eq!(good.classify(&context(), 429, &[], "").unwrap().message, "slow down");
    let mut stream = open(&good).unwrap();
    assert_eq!(stream.push(&[frame("x")]).unwrap().unwrap().len(), 1);
    assert_eq!(stream.finish().unwrap().unwrap().len(), 1);
}

pub(crate) fn open(adapter: &Adapter) -> Result<Stream, PluginError> {
    adapter.stream(adapter.reserve_stream()?, &context())
}

pub(crate) fn stream(guest: &Guest) -> Stream {
    open(&load(guest)).unwrap()
}

pub(crate) fn frame(data: &str) -> Frame {
    let data = Bytes::copy_from_slice(data.as_bytes());
    Frame { event: Bytes::new(), raw: data.clone(), data }
}

/// Memory that this thread has touched for the first time, so far, in bytes: what the process's own size would tell,
/// without the other tests'.
pub(crate) fn touched_bytes() -> usize {
    let statistics = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let after_name = statistics.rsplit_once(") ").unwrap().1;
    after_name.split(' ').nth(7).unwrap().parse::<usize>().unwrap() * 4096
}

#[track_caller]
pub(crate) fn first_call_fault(error: LoadError) -> PluginError {
    match error {
        LoadError::FirstCall { fault, .. } => fault,
        other => panic!("refused before its first call: {other}"),
    }
}
