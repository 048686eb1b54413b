//! How the process speaks to its operator.

use std::io::{self, IsTerminal, Write};

use tollgate::config::{Log, LogFormat};
use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

use super::args::Command;

/// What is worth a line.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(&log.level).map_err(|error| format!("`{}` is not a log level: {error}", log.level))
}

/// A command that works on a store may have to repair it, and says what it repairs. A gateway speaks as its
/// configuration has it, and the compiler's stderr is its parent's.
pub(super) fn start_for(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(_) | Command::Demo(_) | Command::CompilePlugin { .. } => Ok(()),
        _ => start(&Log { format: LogFormat::Text, level: "warn".to_owned() }),
    }
}

/// Speaks from now on, on stderr.
pub(super) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = filter(log).map_err(anyhow::Error::msg)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Stderr).log_internal_errors(false);
    let harmless = filter_fn(|line| is_harmless(line.target(), *line.level()));
    match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).finish().with(harmless).init(),
        LogFormat::Json => lines.json().finish().with(harmless).init(),
    }
    Ok(())
}

/// Crates that write whole requests and answers into their most talkative lines, credentials among them.
const TALKATIVE: &[&str] = &["pingora", "h2", "hyper", "rustls", "ureq"];

/// Whether a line of this target may be written, whatever level the operator asks for: those of other crates may hold
/// what we keep secret.
pub(super) fn is_harmless(target: &str, level: tracing::Level) -> bool {
    let most = match target {
        own if own.starts_with("tollgate") => tracing::Level::TRACE,
        other if TALKATIVE.iter().any(|name| other.starts_with(name)) => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    level <= most
}

/// Stderr, which may be a full disk or have lost its reader: a line that it does not take is dropped, and whoever
/// wrote it goes on.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
