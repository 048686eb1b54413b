//! The listeners: one for calls, one with TLS, and two on loopback for the operator.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, http::header, routing::get};
use parking_lot::Mutex;
use pingora::{
    listeners::{L4BufferSettings, ListenerConfig, tls::TlsSettings},
    server::{Server, ShutdownWatch, configuration::ServerConf},
    services::{
        background::{BackgroundService, background_service},
        listening::Service,
    },
};

use super::Error;
use crate::{
    admin,
    config::{Config, Tls},
    edge::{Edge, Settings},
    gateway::Gateway,
    metrics,
    plugin::Host,
    secret::Secret,
};

/// Everything that listens, bound or found to be free, and ready to run.
pub(super) fn doors(
    config: &Config,
    gateway: &Arc<Gateway>,
    host: Arc<Host>,
    admin_token: Secret,
) -> Result<Server, Error> {
    let mut server = Server::new_with_opt_and_conf(None, server_conf(config));
    // Pingora would end the process from within if it cannot bind: find out first.
    drop(bind(config.server.listen)?);
    let edge = Edge::new(gateway.clone(), edge_settings(config));
    let mut proxy = Service::new("proxy".to_owned(), edge);
    proxy.add_listener(ListenerConfig::tcp(config.server.listen.to_string()).l4_buffer(buffers()));
    if let Some(tls) = &config.server.tls {
        drop(bind(tls.listen)?);
        let listener = ListenerConfig::tcp(tls.listen.to_string()).l4_buffer(buffers());
        proxy.add_listener(listener.tls(tls_settings(tls)?));
    }
    server.add_service(proxy);
    let router = |router: Router, address: Option<SocketAddr>| {
        address.map(|address| Ok::<_, Error>((bind(address)?, router))).transpose()
    };
    let live = Arc::new(admin::LiveControl { gateway: gateway.clone(), host });
    let admin = admin::router(live, admin_token, config.plugins.sandbox.component_bytes_max);
    let operator = Operator {
        gateway: gateway.clone(),
        listeners: Mutex::new(
            [
                router(admin, config.server.admin_listen)?,
                router(metrics_router(gateway.clone()), config.server.metrics_listen)?,
            ]
            .into_iter()
            .flatten()
            .collect(),
        ),
    };
    server.add_service(background_service("operator", operator));
    Ok(server)
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
    Settings {
        h2c: config.server.h2c,
        keep_idle: Duration::from_secs(config.server.keepalive_s),
        read: Duration::from_secs(config.server.read_timeout_s),
        write: Duration::from_secs(config.server.write_timeout_s),
        body: Duration::from_secs(config.server.read_timeout_s),
        headers_max: config.server.headers_max,
        header_bytes_max: config.server.header_bytes_max,
    }
}

/// Pingora's own are 64 KiB a connection and direction, zeroed for each.
fn buffers() -> L4BufferSettings {
    L4BufferSettings { read: Some(BUFFER_BYTES), write: Some(BUFFER_BYTES) }
}

const BUFFER_BYTES: usize = 16 << 10;

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| Error::Listen { address, source })
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

/// Serves the operator's listeners, and ticks.
struct Operator {
    gateway: Arc<Gateway>,
    listeners: Mutex<Vec<(TcpListener, Router)>>,
}

const TICK_EVERY: Duration = Duration::from_secs(1);

#[async_trait]
impl BackgroundService for Operator {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        for (listener, router) in std::mem::take(&mut *self.listeners.lock()) {
            match tokio::net::TcpListener::from_std(listener) {
                // It ends with its runtime, which ends with the process.
                Ok(listener) => drop(tokio::spawn(async move { axum::serve(listener, router).await })),
                Err(error) => tracing::error!(%error, "a listener for the operator cannot be served"),
            }
        }
        let mut tick = tokio::time::interval(TICK_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => self.gateway.tick(),
                _ = shutdown.changed() => return,
            }
        }
    }
}
