//! Opening the doors: what a process does from its configuration to its end.
//!
//! Owns start-up, listeners, the tick, and the drain. Serves nothing itself: `edge` and `admin` do.

mod bootstrap;
mod fakes;
mod files;
mod listen;
mod open;
mod stop;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use pingora::server::{RunArgs, Server};
use tokio::sync::watch;

use crate::{
    admin,
    config::Config,
    gateway::Gateway,
    journal, plugin,
    secret::{self, Secret},
    snapshot, store, usage,
};

pub use self::bootstrap::{ADMIN_TOKEN_FILE, CLIENT_KEYS_DIR, master_key};

/// What a process is given by whoever starts it, beside its configuration.
pub struct Given {
    /// The variable `TOLLGATE_MASTER_KEY`.
    pub master_key: Option<String>,
    /// The program that compiles plugins when called with `compile-plugin`: this one.
    pub program: PathBuf,
    /// Whether providers without a key are served by fakes on loopback.
    pub fakes: bool,
}

/// What there is to tell once the doors are open.
pub struct Started {
    pub listen: SocketAddr,
    pub admin_listen: Option<SocketAddr>,
    pub metrics_listen: Option<SocketAddr>,
    /// A client key to try the gateway with, and the file that holds it.
    pub client_key: Option<ClientKey>,
    /// A model to try it with.
    pub model: Option<String>,
    /// Providers that fakes stand in for, with the variables that would make them real.
    pub faked: Vec<(String, Vec<String>)>,
}

/// A client key that the gateway drew itself.
pub struct ClientKey {
    /// Only on the start that drew it.
    pub drawn: Option<Secret>,
    pub file: PathBuf,
}

/// Why a gateway did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Kept(#[from] secret::SecretFileError),
    #[error(transparent)]
    MasterKey(#[from] secret::MasterKeyError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Keys(#[from] journal::KeyError),
    #[error("the sandbox cannot start: {0}")]
    Sandbox(plugin::LoadError),
    #[error("plugins cannot be loaded:{}", listed(.0))]
    Plugins(Vec<plugin::NotLoadedError>),
    #[error(transparent)]
    PluginFiles(#[from] admin::AdminError),
    #[error("the configuration cannot be put together:{}", snapshot::listed(faults))]
    Config { faults: Vec<snapshot::AssembleError> },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the certificate or key of the TLS listener cannot be used: {0}")]
    Tls(String),
    #[error("a fake provider cannot start: {0}")]
    Fake(io::Error),
    #[error("provider `{provider}` has no key, and {cause}: set {variables}")]
    Keyless { provider: String, cause: &'static str, variables: String },
    #[error("the proxy ended by itself")]
    Ended,
}

fn listed(faults: &[plugin::NotLoadedError]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

/// Serves until a signal ends it. `announce` is told when the doors are open.
///
/// # Errors
/// [`Error`] where something is missing at the start, or the ledger cannot be drained at the end.
pub fn serve(mut config: Config, given: &Given, announce: impl FnOnce(&Started)) -> Result<(), Error> {
    let fakes = fakes::stand_in(&mut config, given.fakes)?;
    let counter = Arc::new(usage::Counter::new());
    let shares = share_files(&config);
    let opened = open::open(&config, given, &counter, shares)?;
    let gateway = Arc::new(opened.gateway);
    let (cut, is_cut) = watch::channel(false);
    let doors = listen::doors(&config, &gateway, opened.host, opened.admin_token, shares.clients, &is_cut)?;
    let (stop, stopping) = mpsc::channel();
    let watch = stop::Watch::new(gateway.clone(), stop.clone());
    let server = run(doors.server, watch, stop)?;
    announce(&Started {
        listen: doors.listen,
        admin_listen: doors.admin_listen,
        metrics_listen: doors.metrics_listen,
        client_key: opened.client_key,
        model: config.models.keys().next().cloned(),
        faked: fakes.named.clone(),
    });
    let ended_early = matches!(stopping.recv(), Ok(stop::Event::Ended) | Err(_));
    drain(&gateway, Duration::from_secs(config.server.drain_timeout_s), &stopping);
    // Those that go on are told so, and given the moment that it takes.
    let _ = cut.send(true);
    wait_until_idle(&gateway, CUT_WAIT);
    gateway.ledger.shutdown()?;
    gateway.store.flush()?;
    // Pingora's own thread sleeps through its grace period; the process does not wait for it.
    drop(server);
    if ended_early { Err(Error::Ended) } else { Ok(()) }
}

/// Shares out the files that this process may open, and says so where they are too few.
fn share_files(config: &Config) -> files::Shares {
    let files = files::raise_limit();
    let (calls_max, connections_max) = (config.limits.calls_max, config.server.connections_max);
    let shares = files::shares(files, calls_max, connections_max);
    if shares.calls < calls_max || connections_max.is_some_and(|wanted| shares.clients < wanted) {
        tracing::info!(
            files,
            calls = shares.calls,
            connections = shares.clients,
            "fewer calls and connections are taken than configured, because the process may open only so many files \
             (`ulimit -n`)"
        );
    }
    shares
}

/// Runs Pingora on a thread of its own, so that the end of the process is decided here.
fn run(
    server: Server,
    watch: stop::Watch,
    stop: mpsc::Sender<stop::Event>,
) -> Result<std::thread::JoinHandle<()>, Error> {
    let body = move || {
        server.run(RunArgs { shutdown_signal: Box::new(watch) });
        let _ = stop.send(stop::Event::Ended);
    };
    std::thread::Builder::new().name("pingora".to_owned()).spawn(body).map_err(|_| Error::Ended)
}

/// Waits for the calls in flight, until the deadline or a second signal.
fn drain(gateway: &Gateway, timeout: Duration, stopping: &mpsc::Receiver<stop::Event>) {
    gateway.drain();
    let deadline = Instant::now() + timeout;
    while gateway.in_flight() > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tracing::warn!(calls = gateway.in_flight(), "the deadline of the drain has passed");
            return;
        }
        match stopping.recv_timeout(left.min(DRAIN_LOOK_EVERY)) {
            Ok(stop::Event::Signal) => return,
            Ok(stop::Event::Ended) | Err(_) => {}
        }
    }
}

/// Waits until no call is in flight, or for `timeout`.
fn wait_until_idle(gateway: &Gateway, timeout: Duration) {
    let (_nobody, told) = mpsc::channel::<()>();
    let deadline = Instant::now() + timeout;
    while gateway.in_flight() > 0 && Instant::now() < deadline {
        let _ = told.recv_timeout(DRAIN_LOOK_EVERY);
    }
}

/// How long calls that are cut may take to say so to their clients.
const CUT_WAIT: Duration = Duration::from_secs(2);
/// How often a draining process looks whether its calls have ended.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);
