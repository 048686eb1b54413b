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
    /// Each with the file that it stands in.
    pub(super) faults: Vec<(PathBuf, Fault)>,
}

impl fmt::Display for FaultyConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        write!(f, "{} has {count} fault{}", self.file.display(), if count == 1 { "" } else { "s" })?;
        for (file, fault) in &self.faults {
            write!(f, "\n{}:", file.display())?;
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

/// A configuration with all that was found wrong with it so far.
pub(super) struct Examined {
    pub(super) file: PathBuf,
    pub(super) config: Config,
    pub(super) faults: Vec<(PathBuf, Fault)>,
}

impl Examined {
    pub(super) fn push(&mut self, fault: Fault) {
        self.faults.push((self.file.clone(), fault));
    }

    /// The configuration, if it is good.
    pub(super) fn finish(mut self) -> anyhow::Result<Config> {
        if self.faults.is_empty() {
            return Ok(self.config);
        }
        let file = &self.file;
        self.faults.sort_by_key(|(of, fault)| (of != file, fault.line));
        Err(FaultyConfigError { file: self.file, faults: self.faults }.into())
    }
}

/// The configuration that the command is about.
pub(super) fn load(context: &Context) -> anyhow::Result<Config> {
    examine(context)?.finish()
}

/// The configuration that the command is about, with every fault of it and of its prices.
pub(super) fn examine(context: &Context) -> anyhow::Result<Examined> {
    let file = context.config.clone().ok_or_else(|| {
        anyhow!("there is no `{USUAL_CONFIG}` here: name a configuration with --config, or try `tollgate demo`")
    })?;
    let text = match text(read(&file)?) {
        Ok(text) => text,
        Err(fault) => return Err(FaultyConfigError { faults: vec![(file.clone(), fault)], file }.into()),
    };
    let (config, ConfigError(faults)) = config::examine(&text, context.env);
    let faults = faults.into_iter().map(|fault| (file.clone(), fault)).collect();
    let mut examined = Examined { file, config, faults };
    if let Err(message) = log::filter(&examined.config.log) {
        examined.push(examined.config.fault("log.level", message));
    }
    add_prices(&mut examined);
    Ok(examined)
}

/// Reads the prices, if the configuration names any.
fn add_prices(examined: &mut Examined) {
    let Some(prices) = &examined.config.prices_file else { return };
    let prices = examined.file.parent().unwrap_or(Path::new("")).join(prices);
    let faults = match read(&prices).map(text) {
        Ok(Ok(text)) => examined.config.add_prices(&text).err().map_or_else(Vec::new, |ConfigError(faults)| faults),
        Ok(Err(fault)) => vec![fault],
        Err(error) => return examined.push(examined.config.fault("prices.file", format!("{error:#}"))),
    };
    examined.faults.extend(faults.into_iter().map(|fault| (prices.clone(), fault)));
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read `{}`", file.display());
    let bytes = fs::metadata(file).with_context(cannot)?.len();
    if bytes > CONFIG_BYTES_MAX {
        return Err(anyhow!("`{}` has {bytes} bytes; a configuration has at most {CONFIG_BYTES_MAX}", file.display()));
    }
    fs::read(file).with_context(cannot)
}

/// The text of a file; a fault where it is none.
fn text(bytes: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Fault { path: String::new(), line, message: "is not UTF-8".to_owned() }
    })
}
