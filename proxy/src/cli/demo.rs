//! `tollgate demo`: a gateway and the providers behind it, all made up.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Context as _;
use tollgate::config;
use tollgate::secret::{fill_from_system, make_private_dir};

use super::args::DemoArgs;
use super::{context::Context, serve};

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
    anyhow::ensure!(
        cfg!(feature = "fakes"),
        "`tollgate demo` needs the fake providers, and this build has none: build it with the cargo feature `fakes`"
    );
    let mut config = config::build(CONFIG, |_| None).context("the built-in configuration has faults")?;
    let server = &mut config.server;
    match args.listen {
        Some(address) => server.listen = address,
        None => take_free("calls", &mut server.listen)?,
    }
    for (what, address) in [("admin", &mut server.admin_listen), ("metrics", &mut server.metrics_listen)] {
        if let Some(address) = address {
            take_free(what, address)?;
        }
    }
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

/// Moves `address` to a free port where its own is taken, and says so.
fn take_free(what: &str, address: &mut SocketAddr) -> anyhow::Result<()> {
    if let Err(error) = TcpListener::bind(*address)
        && error.kind() == io::ErrorKind::AddrInUse
    {
        let any = SocketAddr::new(address.ip(), 0);
        let free = TcpListener::bind(any).and_then(|listener| listener.local_addr());
        let free = free.with_context(|| format!("no port of {} is free", address.ip()))?;
        // Nobody may be reading, and the demo runs all the same.
        let _ = writeln!(io::stdout(), "{address} is taken: {what} listens on {free} instead.");
        *address = free;
    }
    Ok(())
}
