//! `tollgate demo`: a gateway and the providers behind it, all made up.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use tollgate::config;
use tollgate::secret::{fill_from_system, make_private_dir};

use super::args::DemoArgs;
use super::{Context, serve};

/// The short configuration, whose providers are all without keys here.
const CONFIG: &str = include_str!("../../../config/tollgate.toml");

/// A directory that is gone when the demo is.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is the system's to clean up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(args: DemoArgs, context: &Context) -> anyhow::Result<()> {
    let mut config = config::build(CONFIG, |_| None).context("the built-in configuration has faults")?;
    config.server.listen = args.listen;
    // The fakes answer at once and know no limits; neither should the demo.
    for key in config.keys.values_mut() {
        key.caps = tollgate::limit::Caps::default();
    }
    let temporary = match args.data_dir {
        Some(dir) => {
            config.server.data_dir = dir;
            None
        }
        None => {
            let mut random = [0; 8];
            fill_from_system(&mut random);
            let dir = std::env::temp_dir().join(format!("tollgate-demo-{:016x}", u64::from_be_bytes(random)));
            make_private_dir(&dir)?;
            config.server.data_dir.clone_from(&dir);
            Some(Temporary(dir))
        }
    };
    let served = serve::serve(config, true, context);
    drop(temporary);
    served
}
