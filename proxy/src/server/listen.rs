//! The listeners: one for calls, one with TLS, and two on loopback for the operator.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, http::header, routing::get};
use parking_lot::Mutex;
use pingora::{
    listeners::tls::TlsSettings,
    server::{ListenFds, Server, ShutdownWatch, configuration::ServerConf},
    services::{
        Service,
        background::{BackgroundService, background_service},
    },
};
use tokio::{sync::watch, task::JoinSet};

use super::{fault::Error, files::OPERATOR_CONNECTIONS_MAX, folders::Folders, give_back::GiveBack};
use crate::{
    admin,
    config::{self, Config, Tls},
    edge::{Edge, Listener, Settings},
    gateway::Gateway,
    metrics,
    plugin::{self, Host},
    secret::Secret,
};

/// Everything that listens, bound and ready to run, and where it listens.
pub(super) struct Listeners {
    pub(super) server: Server,
    pub(super) listen: SocketAddr,
    pub(super) admin_listen: Option<SocketAddr>,
    pub(super) metrics_listen: Option<SocketAddr>,
}

/// As [`bind_all`], and names every address that is taken.
pub(super) fn listeners(
    config: &Config,
    gateway: &Arc<Gateway>,
    host: Arc<Host>,
    admin_token: Secret,
    connections_max: usize,
    cut: &watch::Receiver<bool>,
    collect: fn(),
) -> Result<Listeners, Error> {
    bind_all(config, gateway, host, admin_token, connections_max, cut, collect)
        .map_err(|error| with_all_taken(error, &config.server))
}

/// Binds every address of the configuration. `connections_max` bounds the connections of clients; `cut`
/// becomes true when calls that have not ended are cut; `collect` gives back what the calling thread holds free.
fn bind_all(
    config: &Config,
    gateway: &Arc<Gateway>,
    host: Arc<Host>,
    admin_token: Secret,
    connections_max: usize,
    cut: &watch::Receiver<bool>,
    collect: fn(),
) -> Result<Listeners, Error> {
    let mut server = Server::new_with_opt_and_conf(None, server_conf(config));
    let settings = edge_settings(config);
    let mut calls =
        Listener::new("calls", Edge::calls(gateway.clone(), settings.clone(), cut.clone()), connections_max);
    let listen = bind(&mut calls, config.server.listen, None)?;
    if let Some(tls) = &config.server.tls {
        bind(&mut calls, tls.listen, Some(tls_settings(tls)?))?;
    }
    let give_back = Arc::new(GiveBack { gateway: gateway.clone(), threads: threads(config), collect });
    server.add_service(Calls { listener: Some(calls), give_back });

    let mut pages = Vec::new();
    let mut page = |name, router, address: Option<SocketAddr>, body_bytes_max| {
        let Some(address) = address else { return Ok(None) };
        let settings = Settings { h2c: false, body_bytes_max, bodies_bytes_max: usize::MAX, ..settings.clone() };
        let mut listener = Listener::new(name, Edge::pages(router, settings, cut.clone()), OPERATOR_CONNECTIONS_MAX);
        let bound = bind(&mut listener, address, None)?;
        pages.push(listener);
        Ok::<_, Error>(Some(bound))
    };
    let component_bytes_max = config.plugins.sandbox.component_bytes_max;
    let live = Arc::new(admin::LiveControl { gateway: gateway.clone(), host });
    let admin = admin::router(live, admin_token, component_bytes_max);
    let admin_listen = page("admin", admin, config.server.admin_listen, component_bytes_max)?;
    let metrics_listen = page("metrics", metrics_router(gateway.clone()), config.server.metrics_listen, 0)?;
    let folders = Folders::open([config.server.store_dir(), config.server.journal_dir()]).map_err(Error::Folders)?;
    let operator = Operator { gateway: gateway.clone(), listeners: Mutex::new(pages), folders: Arc::new(folders) };
    server.add_service(background_service("operator", operator));
    Ok(Listeners { server, listen, admin_listen, metrics_listen })
}

/// Threads that serve calls.
fn threads(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.server.threads.unwrap_or_else(cores)
}

fn server_conf(config: &Config) -> ServerConf {
    let in_data_dir = |name: &str| config.server.data_dir.join(name).to_string_lossy().into_owned();
    ServerConf {
        threads: threads(config),
        work_stealing: true,
        pid_file: in_data_dir("pid"),
        upgrade_sock: in_data_dir("upgrade.sock"),
        // The drain is decided in `serve`, which ends the process before this has passed.
        grace_period_seconds: Some(config.server.drain_timeout_s.saturating_add(60)),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

fn edge_settings(config: &Config) -> Settings {
    let server = &config.server;
    Settings {
        h2c: server.h2c,
        keep_idle: Duration::from_secs(server.keepalive_s),
        head_timeout: Duration::from_secs(server.head_timeout_s),
        read: Duration::from_secs(server.read_timeout_s),
        write: Duration::from_secs(server.write_timeout_s),
        body: Duration::from_secs(server.read_timeout_s),
        body_bytes_max: server.body_bytes_max,
        // Room for the largest one at least, or it could never be served.
        bodies_bytes_max: config
            .limits
            .bodies_bytes_max
            .unwrap_or_else(|| plugin::usable_memory_bytes() / 8)
            .max(server.body_bytes_max),
        decoding_max: config.limits.large_scans_max,
        headers_max: server.headers_max,
        header_bytes_max: server.header_bytes_max,
    }
}

fn bind(listener: &mut Listener, address: SocketAddr, tls: Option<TlsSettings>) -> Result<SocketAddr, Error> {
    listener.bind(address, tls).map_err(|source: io::Error| Error::Listen { addresses: vec![address], source })
}

/// Names every address of the configuration that is taken, where one was found to be.
fn with_all_taken(error: Error, server: &config::Server) -> Error {
    match error {
        Error::Listen { addresses, source } if source.kind() == io::ErrorKind::AddrInUse => {
            let tls = server.tls.as_ref().map(|tls| tls.listen);
            let wanted = [Some(server.listen), tls, server.admin_listen, server.metrics_listen];
            let is_taken = |address: &SocketAddr| {
                addresses.contains(address)
                    || TcpListener::bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
            };
            Error::Listen { addresses: wanted.into_iter().flatten().filter(is_taken).collect(), source }
        }
        other => other,
    }
}

/// Whether the TLS listener can be opened with its certificate and key.
///
/// # Errors
/// [`Error::Tls`]
pub fn check_tls(tls: &Tls) -> Result<(), Error> {
    tls_settings(tls).map(drop)
}

fn tls_settings(tls: &Tls) -> Result<TlsSettings, Error> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| Error::Tls(format!("`{}` is not UTF-8", path.display())))
    };
    let (cert, key) = (text(&tls.cert)?, text(&tls.key)?);
    check_certificate(&cert, &key)?;
    let mut settings = TlsSettings::intermediate(&cert, &key).map_err(|error| Error::Tls(error.to_string()))?;
    settings.enable_h2();
    Ok(settings)
}

/// Pingora would panic on these only once it runs.
#[cfg(feature = "rustls")]
fn check_certificate(cert: &str, key: &str) -> Result<(), Error> {
    match pingora::tls::load_certs_and_key_files(cert, key) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Error::Tls(format!("`{cert}` or `{key}` holds no PEM of its kind"))),
        Err(error) => Err(Error::Tls(error.to_string())),
    }
}

#[cfg(not(feature = "rustls"))]
fn check_certificate(_: &str, _: &str) -> Result<(), Error> {
    Ok(())
}

fn metrics_router(gateway: Arc<Gateway>) -> Router {
    let shown = move || async move { ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], gateway.metrics.render()) };
    Router::new().route("/metrics", get(shown))
}

/// Serves clients' calls until the process stops.
struct Calls {
    listener: Option<Listener>,
    give_back: Arc<GiveBack>,
}

#[async_trait]
impl Service for Calls {
    async fn start_service(&mut self, _: Option<ListenFds>, shutdown: ShutdownWatch, _: usize) {
        let Some(listener) = self.listener.take() else { return };
        tokio::select! {
            () = listener.run(shutdown) => {}
            () = self.give_back.run() => {}
        }
    }

    fn name(&self) -> &str {
        "calls"
    }
}

/// Serves the operator's listeners, and ticks.
struct Operator {
    gateway: Arc<Gateway>,
    listeners: Mutex<Vec<Listener>>,
    folders: Arc<Folders>,
}

const TICK_EVERY: Duration = Duration::from_secs(1);

#[async_trait]
impl BackgroundService for Operator {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        // An operator is served until the process ends, while the last calls drain as well.
        let (_never_told, going_on) = watch::channel(false);
        let mut serving = JoinSet::new();
        for listener in std::mem::take(&mut *self.listeners.lock()) {
            serving.spawn(listener.run(going_on.clone()));
        }
        serving.spawn(watch_folders(self.gateway.clone(), self.folders.clone()));
        let mut tick = tokio::time::interval(TICK_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => self.gateway.tick(),
                _ = shutdown.changed() => break,
            }
        }
        serving.join_all().await;
    }
}

/// Looks after the data directory until the process ends. A disk that does not answer holds up this alone.
async fn watch_folders(gateway: Arc<Gateway>, folders: Arc<Folders>) {
    let mut tick = tokio::time::interval(TICK_EVERY);
    loop {
        tick.tick().await;
        let folders = folders.clone();
        if let Ok(are_gone) = tokio::task::spawn_blocking(move || folders.are_gone()).await {
            gateway.set_data_gone(are_gone);
        }
    }
}
