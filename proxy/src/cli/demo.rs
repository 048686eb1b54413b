//! `tollgate demo`: a gateway and the providers behind it, all made up.

use std::{
    fs::{self, DirEntry, File},
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use tollgate::{
    config,
    secret::{fill_from_system, make_private_dir},
};

use super::{args::DemoArgs, context::Context, serve};

/// The short configuration, whose providers are all without keys here.
const CONFIG: &str = include_str!("../../../config/tollgate.toml");

/// A directory that is gone when the demo is.
struct Temporary {
    dir: PathBuf,
    /// Locked as long as the process lives, however it ends.
    _alive: File,
}

/// How the directories are named, before 16 hexadecimal digits.
const PREFIX: &str = "tollgate-demo-";
/// The file that tells whether a directory's process still lives.
const ALIVE: &str = "alive";
/// A directory without that file is left alone for this long: its process may just have made it.
const YOUNG: Duration = Duration::from_secs(3600);

impl Temporary {
    fn make(parent: &Path) -> anyhow::Result<Temporary> {
        let mut random = [0; 8];
        fill_from_system(&mut random);
        let dir = parent.join(format!("{PREFIX}{:016x}", u64::from_be_bytes(random)));
        make_private_dir(&dir)?;
        let alive = File::create_new(dir.join(ALIVE)).and_then(|alive| alive.lock().map(|()| alive));
        let alive = alive.with_context(|| format!("cannot lock `{}`", dir.display()))?;
        Ok(Temporary { dir, _alive: alive })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The next demo removes what cannot be removed now.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes what demos of this user left that were killed.
pub(super) fn remove_left(parent: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| is_left(entry, now).unwrap_or(false)) {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// Whether this is the directory of a demo of this user whose process has ended.
fn is_left(entry: &DirEntry, now: SystemTime) -> io::Result<bool> {
    let name = entry.file_name();
    let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).unwrap_or_default();
    if digits.len() != 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(false);
    }
    // Of the entry itself: a link is nobody's directory.
    let about = entry.metadata()?;
    if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() {
        return Ok(false);
    }
    match File::open(entry.path().join(ALIVE)) {
        Ok(alive) => Ok(alive.try_lock().is_ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(now.duration_since(about.modified()?).is_ok_and(|age| age > YOUNG))
        }
        Err(error) => Err(error),
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
            let parent = std::env::temp_dir();
            remove_left(&parent, SystemTime::now());
            let temporary = Temporary::make(&parent)?;
            config.server.data_dir.clone_from(&temporary.dir);
            Some(temporary)
        }
    };
    let served = serve::serve(config, true, serve::demo_greeting, context);
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
