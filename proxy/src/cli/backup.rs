//! `tollgate dump` and `tollgate load`: everything in the store as JSON lines, and back.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context as _, anyhow, ensure};
use tollgate::{
    journal::Journal,
    secret::make_private_dir,
    store::{self, SledStore},
};

use super::{
    args::{DumpArgs, LoadArgs},
    backend::ensure_no_gateway_without_store,
    context::Context,
    load::load,
    offline::Offline,
    unread::is_unread,
};

/// Writes the store of a gateway that does not run, with what its journal has, to stdout or to a new file.
pub(super) fn dump(args: DumpArgs, context: &Context) -> anyhow::Result<()> {
    let config = load(context)?;
    let store_dir = config.server.store_dir();
    ensure!(store_dir.is_dir(), "there is no store at `{}`: nothing was written", store_dir.display());
    let offline = Offline::open(&config, context.master_key()).map_err(in_use)?;
    let store = offline.into_store()?;
    let Some(path) = args.file.filter(|path| path != Path::new(STDIO)) else {
        return write(&store, io::stdout().lock()).map_err(unread);
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot make `{}`", path.display()))?;
    let written = write(&store, &file).and_then(|()| Ok(file.sync_all()?));
    if written.is_err() {
        // A part of a dump is of no use, and would be refused.
        let _ = fs::remove_file(&path);
    }
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

fn write(store: &SledStore, out: impl Write) -> anyhow::Result<()> {
    let mut out = BufWriter::new(out);
    store::dump(store, &mut out)?;
    Ok(out.flush()?)
}

/// A reader that leaves is no matter for a list, and is for a backup.
fn unread(error: anyhow::Error) -> anyhow::Error {
    if is_unread(&error) { anyhow!("stdout was closed before the dump was whole") } else { error }
}

/// Makes the store of a configuration that has none yet.
pub(super) fn restore(args: LoadArgs, context: &Context) -> anyhow::Result<()> {
    let config = load(context)?;
    ensure_no_gateway_without_store(&config)?;
    let (store_dir, journal_dir) = (config.server.store_dir(), config.server.journal_dir());
    // The journal of a running gateway is its own; `store::load` refuses that store.
    ensure!(
        store::is_in_use(&store_dir) || !Journal::has_entries(&journal_dir)?,
        "the journal in `{}` has entries of another store, which a gateway of the loaded one would delete: move it away \
         first, and bring it back with the store that it belongs to",
        journal_dir.display()
    );
    let load = |input: &mut dyn io::BufRead| {
        make_private_dir(&config.server.data_dir)?;
        store::load(&store_dir, &config.store, input).map_err(|error| in_use(error.into()))
    };
    let store::Loaded { keys, records, rollups } = if args.file == Path::new(STDIO) {
        load(&mut io::stdin().lock())?
    } else {
        let cannot = || format!("cannot read `{}`", args.file.display());
        let file = File::open(&args.file).with_context(cannot)?;
        ensure!(!file.metadata().with_context(cannot)?.is_dir(), "{}: it is a directory", cannot());
        load(&mut BufReader::new(file))?
    };
    Ok(writeln!(io::stdout(), "Loaded {keys} keys, {records} rows and {rollups} hourly sums.")?)
}

/// Names stdin or stdout in the place of a file.
const STDIO: &str = "-";

/// Says what to do where the store is in use; every other error speaks for itself.
fn in_use(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(store::Error::Locked { .. }) => error.context("a gateway that runs on the store must be stopped first"),
        _ => error,
    }
}
