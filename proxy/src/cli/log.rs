//! How the process speaks to its operator.

use std::io::{self, IsTerminal};

use tollgate::config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// What is worth a line.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(&log.level).map_err(|error| format!("`{}` is not a log level: {error}", log.level))
}

/// Speaks from now on, on stderr.
pub(super) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = filter(log).map_err(anyhow::Error::msg)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
