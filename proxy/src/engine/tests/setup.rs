//! A gateway with everything but sockets, and one call through it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;

use super::{
    super::serve,
    client::{Client, Seen},
    providers::{Script, Scripted},
};
use crate::{
    call::{self, Operation},
    config,
    dialect::Dialect,
    gateway::{self, Bounds, Gateway, GatewayParts, Ids},
    journal::Clock,
    ledger::Ledger,
    limit::{Caps, Limiter, Spent},
    metrics::{self, Metrics},
    plugin::{Compiler, Host, Registry, Settings, builtins},
    secret::{KeyHasher, MasterKey},
    snapshot,
    store::{KeyEntry, Origin, Record, SledStore, Store},
    upstream::Connector,
    usage::{Counter, Slack},
};

pub(super) const KEY: &str = "sk-tg-of-the-engine-s-tests";

/// When every test begins. Unix milliseconds.
pub(super) const NOW_MS: u64 = 1_790_000_000_000;

/// Two providers of one dialect and one of another; clocks that no test confuses with each other.
const CONFIG: &str = r#"
[providers.one]
adapter = "openai"
base_url = "http://127.0.0.1:1/v1"
keys = ["sk-provider-one"]
first_byte_timeout_ms = 10000
idle_timeout_ms = 20000
total_timeout_ms = 60000

[providers.two]
adapter = "openai"
base_url = "http://127.0.0.1:1/v1"
keys = ["sk-provider-two"]

[providers.claude]
adapter = "anthropic"
base_url = "http://127.0.0.1:1"
keys = ["sk-provider-three"]
first_byte_timeout_ms = 10000
idle_timeout_ms = 20000
total_timeout_ms = 60000

[models.fast]
targets = [{ provider = "one", model = "gpt-4o" }]
price = { currency = "USD", input_per_million = "1", output_per_million = "2" }

[models.safe]
targets = [{ provider = "one", model = "gpt-4o" }, { provider = "two", model = "gpt-4o-mini" }]
price = { currency = "USD", input_per_million = "1", output_per_million = "2" }

[models.wise]
targets = [{ provider = "claude", model = "claude-sonnet-4" }]

[models.mixed]
targets = [
    { provider = "one", model = "gpt-4o" },
    { provider = "two", model = "gpt-4o", price = { currency = "USD", input_per_million = "1", output_per_million = "2" } },
]

[models.hidden]
targets = [{ provider = "one", model = "gpt-4o" }]
"#;

/// A gateway and the scripts of its providers.
pub(super) struct TestGateway {
    pub(super) gateway: Arc<Gateway>,
    pub(super) providers: Scripted,
    ahead_ms: Arc<AtomicU64>,
    store: Arc<SledStore>,
    _dir: TempDir,
}

/// A call that has ended.
pub(super) struct Ended {
    pub(super) rows: Vec<Record>,
    pub(super) seen: Seen,
    pub(super) providers: Scripted,
    pub(super) spent: Spent,
}

/// The journal's clocks, which stand still.
fn still() -> Clock {
    Clock { wall_ms: Arc::new(|| NOW_MS), steady_ms: Arc::new(|| 0) }
}

impl TestGateway {
    pub(super) fn new(scripts: impl IntoIterator<Item = Script>) -> TestGateway {
        TestGateway::with_caps(scripts, Caps::default())
    }

    /// Must be made within a runtime: its clock is the runtime's.
    pub(super) fn with_caps(scripts: impl IntoIterator<Item = Script>, caps: Caps) -> TestGateway {
        let dir = tempfile::tempdir().unwrap();
        let (master, _) = MasterKey::open(None, dir.path(), &mut |key| key.fill(7)).unwrap();
        let hasher = KeyHasher::new(&master);
        let store = Arc::new(SledStore::open(&dir.path().join("store"), &crate::store::Settings::default()).unwrap());
        let shared: Arc<dyn Store> = store.clone();
        let (ledger, _) =
            Ledger::open(&dir.path().join("journal"), shared.clone(), Default::default(), still()).unwrap();
        ledger.journal().create_key(entry(&hasher, caps, None), |_| {}).unwrap();
        let (limiter, metrics) = (Arc::new(Limiter::new()), Metrics::new("test", metrics::Bounds::default()));
        let config = config::build(CONFIG, |_| None).unwrap();
        let snapshot = snapshot::assemble(&config, registry(), &metrics, NOW_MS / 1000).unwrap();
        let (began, ahead_ms) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let step = ahead_ms.clone();
        let clock = move || NOW_MS + step.load(Ordering::Relaxed) + began.elapsed().as_millis() as u64;
        let gateway = Gateway::new(GatewayParts {
            snapshot,
            directory: gateway::directory(&ledger.journal().keys(), &limiter),
            limiter,
            ledger,
            store: shared,
            metrics: Arc::new(metrics),
            connector: Connector::new(1),
            counter: Arc::new(Counter::new()),
            registry: Arc::new(Registry::empty()),
            hasher,
            bounds: Bounds {
                call: call::Bounds::default(),
                answer_bytes_max: 1 << 16,
                answers_bytes_max: 96 << 10,
                frame_bytes_max: 1 << 16,
                calls_max: 2,
                counting_max: 1,
                large_scans_max: 1,
                usage_slack: Slack::default(),
            },
            ids: Ids::new(7),
            clock: Arc::new(clock),
        });
        TestGateway { gateway: Arc::new(gateway), providers: Scripted::new(scripts), ahead_ms, store, _dir: dir }
    }

    /// Sets the wall clock so far ahead of the time that has passed.
    pub(super) fn step_clock_ms(&self, ahead_ms: u64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// Revokes the key of every client, as an administrator would.
    pub(super) fn revocation(&self) -> impl FnOnce() + Send + 'static {
        let gateway = self.gateway.clone();
        let id = gateway.ledger.journal().keys()[0].id.clone();
        move || drop(gateway.revoke_keys(&id).unwrap())
    }

    /// Makes one chat call, to its end.
    pub(super) async fn call(self, client: Client) -> Ended {
        self.operate(Operation::Chat, client).await
    }

    pub(super) async fn operate(self, operation: Operation, mut client: Client) -> Ended {
        let seen = client.seen.clone();
        serve(&self.gateway, &self.providers, Dialect::OpenAi, operation, &mut client).await;
        self.ended(seen)
    }

    /// Makes one chat call that is dropped after so long.
    pub(super) async fn dropped(self, mut client: Client, after: Duration) -> Ended {
        let seen = client.seen.clone();
        let call = serve(&self.gateway, &self.providers, Dialect::OpenAi, Operation::Chat, &mut client);
        assert!(tokio::time::timeout(after, call).await.is_err(), "the call has ended by itself");
        self.ended(seen)
    }

    /// What the calls left behind.
    fn ended(self, seen: Arc<Mutex<Seen>>) -> Ended {
        assert_eq!(self.gateway.in_flight(), 0);
        let spent = self.gateway.limiter.spent("key_1", self.gateway.time());
        assert_eq!((spent.held.tokens, spent.concurrent), (0, 0), "every hold ends");
        self.gateway.ledger.shutdown().unwrap();
        let mut rows = Vec::new();
        self.store
            .each_record(&mut |row| {
                rows.push(row);
                Ok(())
            })
            .unwrap();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        Ended { rows, seen, providers: self.providers, spent }
    }
}

impl Ended {
    /// The call's one row.
    #[track_caller]
    pub(super) fn row(&self) -> &Record {
        let [row] = &self.rows[..] else { panic!("one row, not {:#?}", self.rows) };
        assert_eq!(row.tokens.total(), self.spent.total.tokens, "row and caps agree");
        row
    }

    /// Holds that the client was refused, the row says so, and the call cost nothing.
    #[track_caller]
    pub(super) fn is_refused(&self, status: u16, code: &str) {
        assert_eq!((self.seen.status(), self.seen.code().as_str()), (status, code), "{}", self.seen.text);
        let row = self.row();
        assert_eq!((row.status, row.error_class.as_str(), row.tokens.total()), (status, code, 0));
    }
}

pub(super) fn entry(hasher: &KeyHasher, caps: Caps, revoked_ms: Option<u64>) -> KeyEntry {
    KeyEntry {
        id: "key_1".into(),
        name: "one".into(),
        hash: hasher.hash(KEY.as_bytes()).0,
        prefix: "sk-tg".into(),
        models: vec!["fast".into(), "safe".into(), "wise".into(), "mixed".into()],
        caps,
        created_ms: NOW_MS,
        expires_ms: None,
        revoked_ms,
        user: "someone".into(),
        origin: Origin::Admin,
    }
}

/// The built-in plugins. Compiled code is kept beside the tests' program, so that a second run compiles nothing.
fn registry() -> &'static Registry {
    static LOADED: OnceLock<(Host, Registry)> = OnceLock::new();
    let (_, registry) = LOADED.get_or_init(|| {
        let settings = Settings { calls_max: 8, streams_max: 8, ..Settings::default() };
        let cache: PathBuf = std::env::current_exe().unwrap().with_file_name("engine-tests-compiled");
        let compiler = Compiler::here(&settings);
        let host = Host::new(settings, &cache, compiler, Arc::new(()), Arc::new(())).unwrap();
        let registry = Registry::empty().next(&host, builtins()).unwrap_or_else(|faults| panic!("{faults:?}"));
        (host, registry)
    });
    registry
}

/// A chat call in the client's dialect.
pub(super) fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}","max_tokens":50,"messages":[{{"role":"user","content":"one two three"}}]}}"#)
}

/// The same, streamed and with usage.
pub(super) fn streamed(model: &str) -> String {
    chat(model).replace("\"max_tokens\"", "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\"")
}
