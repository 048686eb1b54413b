//! Reading a configuration, with what it includes.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use tollgate::config::{self, Config, ConfigError, Fault};

use super::{args::USUAL_CONFIG, context::Context, log};

/// Files longer than this are no configuration.
const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// A configuration with faults, each on a line as compilers write them.
#[derive(Debug)]
pub(super) struct FaultyConfigError {
    pub(super) file: PathBuf,
    pub(super) faults: ConfigError,
}

impl fmt::Display for FaultyConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.0.len();
        write!(f, "{} has {count} fault{}", self.file.display(), if count == 1 { "" } else { "s" })?;
        for fault in &self.faults.0 {
            write!(f, "\n{}:", self.file.display())?;
            // A fault that lies outside the file has no line in it.
            if fault.line > 0 {
                write!(f, "{}:", fault.line)?;
            }
            write!(f, " {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FaultyConfigError {}

/// The configuration that the command is about.
pub(super) fn load(context: &Context) -> anyhow::Result<Config> {
    let file = context.config.as_deref().ok_or_else(|| {
        anyhow!("there is no `{USUAL_CONFIG}` here: name a configuration with --config, or try `tollgate demo`")
    })?;
    parse(file, &read(file)?, context)
}

fn parse(file: &Path, text: &str, context: &Context) -> anyhow::Result<Config> {
    let faulty = |file: &Path, faults| FaultyConfigError { file: file.to_owned(), faults };
    let mut config = config::build(text, context.env).map_err(|faults| faulty(file, faults))?;
    if let Err(message) = log::filter(&config.log) {
        let line = text.lines().position(|line| line.trim_start().starts_with("level")).map_or(0, |line| line + 1);
        return Err(faulty(file, ConfigError(vec![Fault { path: "log.level".into(), line, message }])).into());
    }
    if let Some(prices) = &config.prices_file {
        let prices = file.parent().unwrap_or(Path::new("")).join(prices);
        let text = read(&prices)?;
        config.add_prices(&text).map_err(|faults| faulty(&prices, faults))?;
    }
    Ok(config)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read `{}`", file.display());
    let bytes = fs::metadata(file).with_context(cannot)?.len();
    if bytes > CONFIG_BYTES_MAX {
        return Err(anyhow!("`{}` has {bytes} bytes; a configuration has at most {CONFIG_BYTES_MAX}", file.display()));
    }
    fs::read_to_string(file).with_context(cannot)
}
