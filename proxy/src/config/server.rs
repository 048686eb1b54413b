//! `[server]` and `[log]`: the doors of the process and how it speaks.

use std::{net::SocketAddr, path::PathBuf};

use super::written::{Located, Section};

const OFF: &str = "off";
const HOUR_S: u64 = 3600;

/// Listeners, bounds and clocks towards the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub listen: SocketAddr,
    /// None: no metrics listener.
    pub metrics_listen: Option<SocketAddr>,
    /// None: no admin listener.
    pub admin_listen: Option<SocketAddr>,
    /// A second listener, with TLS.
    pub tls: Option<Tls>,
    /// Relative to the directory that the process was started in.
    pub data_dir: PathBuf,
    /// None: one a core.
    pub threads: Option<usize>,
    /// Whether `listen` takes HTTP/2 without TLS beside HTTP/1.1.
    pub h2c: bool,
    pub body_bytes_max: usize,
    pub headers_max: usize,
    pub header_bytes_max: usize,
    /// Connections of clients at one time. None: as many as the process may have files for.
    pub connections_max: Option<usize>,
    /// How long a connection may wait for its next call.
    pub keepalive_s: u64,
    /// How long a client may take from connecting to the end of its first request's head.
    pub head_timeout_s: u64,
    /// How long a client may take to send one body.
    pub read_timeout_s: u64,
    /// How long a client may take nothing of its answer.
    pub write_timeout_s: u64,
    /// How long calls in flight may go on after SIGTERM.
    pub drain_timeout_s: u64,
}

impl Server {
    /// Where the store is kept.
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Where the journal is kept.
    pub fn journal_dir(&self) -> PathBuf {
        self.data_dir.join("journal")
    }

    /// Where compiled plugins are kept.
    pub fn plugin_cache_dir(&self) -> PathBuf {
        self.data_dir.join("compiled")
    }

    /// What the admin listener asks for.
    pub fn admin_token_file(&self) -> PathBuf {
        self.data_dir.join("admin-token")
    }
}

/// A listener with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub listen: SocketAddr,
    /// PEM: the certificate and its chain.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// How the process speaks to its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or such directives as `info,tollgate::plugin=debug`.
    pub level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

pub(super) fn read(root: &Section<'_, '_>) -> Server {
    let section = root.section("server");
    let mut taken = Vec::new();
    let listen = listener(&section, "listen", &mut taken);
    let metrics_listen = listener(&section, "metrics_listen", &mut taken);
    let admin_listen = listener(&section, "admin_listen", &mut taken);
    if let Some(at @ Located { value: None, .. }) = &listen {
        section.reading().fault(at, "must be an address and port: only the other listeners can be \"off\"");
    }
    let port = |at: Option<Located<Option<SocketAddr>>>, port: u16| {
        at.map_or(Some(SocketAddr::from(([127, 0, 0, 1], port))), |at| at.value)
    };
    let bytes_max = |name: &str, default, range| section.number_or(name, default, range) as usize;
    let server = Server {
        listen: port(listen, 8080).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
        metrics_listen: port(metrics_listen, 9464),
        admin_listen: port(admin_listen, 9465),
        tls: read_tls(&section, &mut taken),
        data_dir: section.text("data_dir").map_or("data".into(), |at| {
            if at.value.is_empty() {
                section.reading().fault(&at, "must name a directory");
            }
            at.value.into()
        }),
        threads: section.number("threads", 1..=1024).map(|threads| threads as usize),
        h2c: section.flag("h2c", true),
        body_bytes_max: bytes_max("body_bytes_max", 32 << 20, 1024..=(1 << 30)),
        headers_max: bytes_max("headers_max", 200, 16..=4096),
        header_bytes_max: bytes_max("header_bytes_max", 64 << 10, 1024..=(1 << 20)),
        connections_max: section.number("connections_max", 1..=10_000_000).map(|connections| connections as usize),
        keepalive_s: section.number_or("keepalive_s", 75, 0..=24 * HOUR_S),
        head_timeout_s: section.number_or("head_timeout_s", 30, 1..=HOUR_S),
        read_timeout_s: section.number_or("read_timeout_s", 60, 1..=HOUR_S),
        write_timeout_s: section.number_or("write_timeout_s", 60, 1..=HOUR_S),
        drain_timeout_s: section.number_or("drain_timeout_s", 30, 0..=HOUR_S),
    };
    section.finish();
    server
}

pub(super) fn read_log(root: &Section<'_, '_>) -> Log {
    let section = root.section("log");
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let log = Log {
        format: section.choice("format", &formats, LogFormat::Text),
        level: section.text("level").map_or("info".into(), |at| at.value),
    };
    section.finish();
    log
}

fn read_tls(server: &Section<'_, '_>, taken: &mut Vec<SocketAddr>) -> Option<Tls> {
    let section = server.section("tls");
    let listen = listener(&section, "listen", taken);
    let (cert, key) = (section.text("cert"), section.text("key"));
    if section.is_there() {
        for name in ["listen", "cert", "key"].into_iter().filter(|name| !section.has(name)) {
            section.missing(name);
        }
    }
    section.finish();
    Some(Tls { listen: listen?.value?, cert: cert?.value.into(), key: key?.value.into() })
}

/// The address of a listener, if it is given and good; none within for `off`.
fn listener(section: &Section<'_, '_>, name: &str, taken: &mut Vec<SocketAddr>) -> Option<Located<Option<SocketAddr>>> {
    let text = section.text(name)?;
    if text.value == OFF {
        return Some(text.with(None));
    }
    let Ok(address) = text.value.parse::<SocketAddr>() else {
        let message = format!("`{}` is not an address and port such as `127.0.0.1:8080`", text.value);
        section.reading().fault(&text, message);
        return None;
    };
    // Port 0 is a fresh port each time.
    if address.port() != 0 && taken.contains(&address) {
        section.reading().fault(&text, format!("`{address}` is taken by another listener"));
    }
    taken.push(address);
    Some(text.with(Some(address)))
}
