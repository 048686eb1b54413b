//! Start and end: what a process does from its configuration to its end.
//!
//! Owns start-up, listeners, the tick, and the drain. Serves nothing itself: `edge` and `admin` do.

mod bootstrap;
mod fakes;
mod fault;
mod files;
mod folders;
mod give_back;
mod listen;
mod open;
mod options;
mod stop;

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use pingora::server::{RunArgs, Server};
use tokio::sync::watch;

use crate::{config::Config, gateway::Gateway, usage};

pub use self::{
    bootstrap::{ClientKey, master_key},
    fault::Error,
    listen::check_tls,
    options::ServeOptions,
};

/// What there is to tell once the listeners are open.
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

/// Serves until a signal ends it. `announce` is told when the listeners are open.
///
/// # Errors
/// [`Error`] where something is missing at the start, or the ledger cannot be drained at the end.
pub fn serve(mut config: Config, options: &ServeOptions, announce: impl FnOnce(&Started)) -> Result<(), Error> {
    let shares = share_files(&config)?;
    let fakes = fakes::stand_in(&mut config, options.fakes)?;
    let counter = Arc::new(usage::Counter::new());
    let opened = open::open(&config, options, &counter, shares)?;
    let gateway = Arc::new(opened.gateway);
    let (cut, is_cut) = watch::channel(false);
    let listeners = listen::listeners(
        &config,
        &gateway,
        opened.host,
        opened.admin_token,
        shares.clients,
        &is_cut,
        options.collect,
    )?;
    let (stop, stopping) = mpsc::channel();
    let told = stop::watch_signals(gateway.clone(), stop.clone()).map_err(Error::Signals)?;
    let server = run(listeners.server, told, stop)?;
    announce(&Started {
        listen: listeners.listen,
        admin_listen: listeners.admin_listen,
        metrics_listen: listeners.metrics_listen,
        client_key: opened.client_key,
        model: config.models.keys().next().cloned(),
        faked: fakes.named.clone(),
    });
    let ended_early = matches!(stopping.recv(), Ok(stop::Event::Ended) | Err(_));
    let was_idle = gateway.in_flight() == 0;
    drain(&gateway, Duration::from_secs(config.server.drain_timeout_s), &stopping);
    // Those that go on are told so, and given the moment that it takes.
    let _ = cut.send(true);
    wait_until_idle(&gateway, CUT_WAIT);
    if !was_idle {
        std::thread::park_timeout(LAST_WRITES_WAIT);
    }
    gateway.ledger.shutdown()?;
    gateway.store.flush()?;
    // Pingora's own thread sleeps through its grace period; the process does not wait for it.
    drop(server);
    if ended_early { Err(Error::Ended) } else { Ok(()) }
}

/// Shares out the files that this process may open, and says so where they are too few.
fn share_files(config: &Config) -> Result<files::Shares, Error> {
    let files = files::raise_limit();
    if files < files::FILES_MIN {
        return Err(Error::Files { files });
    }
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
    Ok(shares)
}

/// Runs Pingora on a thread of its own, so that the end of the process is decided here.
fn run(
    server: Server,
    told: stop::Told,
    stop: mpsc::Sender<stop::Event>,
) -> Result<std::thread::JoinHandle<()>, Error> {
    let body = move || {
        server.run(RunArgs { shutdown_signal: Box::new(told) });
        let _ = stop.send(stop::Event::Ended);
    };
    std::thread::Builder::new().name("pingora".to_owned()).spawn(body).map_err(|_| Error::Ended)
}

/// Waits for the calls in flight, until the deadline or a second signal.
fn drain(gateway: &Gateway, timeout: Duration, stopping: &mpsc::Receiver<stop::Event>) {
    gateway.drain();
    let deadline = Instant::now() + timeout;
    while gateway.unanswered() > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tracing::warn!(calls = gateway.unanswered(), "the deadline of the drain has passed");
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
    while gateway.unanswered() > 0 && Instant::now() < deadline {
        let _ = told.recv_timeout(DRAIN_LOOK_EVERY);
    }
}

/// How long calls that are cut may take to say so to their clients.
const CUT_WAIT: Duration = Duration::from_secs(2);
/// How long connections have for what calls wrote last: those of HTTP/2 write beside their calls.
const LAST_WRITES_WAIT: Duration = Duration::from_millis(100);
/// How often a draining process looks whether its calls have ended.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);
