//! The listeners: one for calls, one with TLS, and two on loopback for the operator.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

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

use super::{Error, files::OPERATOR_CONNECTIONS_MAX};
use crate::{
    admin,
    config::{Config, Tls},
    edge::{Edge, Listener, Settings},
    gateway::Gateway,
    metrics,
    plugin::Host,
    secret::Secret,
};

/// Everything that listens, bound and ready to run, and where it listens.
pub(super) struct Doors {
    pub(super) server: Server,
    pub(super) listen: SocketAddr,
    pub(super) admin_listen: Option<SocketAddr>,
    pub(super) metrics_listen: Option<SocketAddr>,
}

/// Binds every address of the configuration. `connections_max` bounds the connections of clients; `cut`
/// becomes true when calls that have not ended are cut.
pub(super) fn doors(
    config: &Config,
    gateway: &Arc<Gateway>,
    host: Arc<Host>,
    admin_token: Secret,
    connections_max: usize,
    cut: &watch::Receiver<bool>,
) -> Result<Doors, Error> {
    let mut server = Server::new_with_opt_and_conf(None, server_conf(config));
    let settings = edge_settings(config);
    let mut calls =
        Listener::new("calls", Edge::calls(gateway.clone(), settings.clone(), cut.clone()), connections_max);
    let listen = bind(&mut calls, config.server.listen, None)?;
    if let Some(tls) = &config.server.tls {
        bind(&mut calls, tls.listen, Some(tls_settings(tls)?))?;
    }
    server.add_service(Calls(Some(calls)));

    let mut pages = Vec::new();
    let mut page = |name, router, address: Option<SocketAddr>, body_bytes_max| {
        let Some(address) = address else { return Ok(None) };
        let settings = Settings { h2c: false, body_bytes_max, ..settings.clone() };
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
    let operator = Operator { gateway: gateway.clone(), listeners: Mutex::new(pages) };
    server.add_service(background_service("operator", operator));
    Ok(Doors { server, listen, admin_listen, metrics_listen })
}

fn server_conf(config: &Config) -> ServerConf {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let in_data_dir = |name: &str| config.server.data_dir.join(name).to_string_lossy().into_owned();
    ServerConf {
        threads: config.server.threads.unwrap_or_else(cores),
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
        headers_max: server.headers_max,
        header_bytes_max: server.header_bytes_max,
    }
}

fn bind(listener: &mut Listener, address: SocketAddr, tls: Option<TlsSettings>) -> Result<SocketAddr, Error> {
    listener.bind(address, tls).map_err(|source: io::Error| Error::Listen { address, source })
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
struct Calls(Option<Listener>);

#[async_trait]
impl Service for Calls {
    async fn start_service(&mut self, _: Option<ListenFds>, shutdown: ShutdownWatch, _: usize) {
        if let Some(listener) = self.0.take() {
            listener.run(shutdown).await;
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
