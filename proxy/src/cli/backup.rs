//! `tollgate dump` and `tollgate load`: everything in the store as JSON lines, and back.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::Path,
};

use anyhow::Context as _;
use tollgate::{
    secret::make_private_dir,
    store::{self, SledStore},
};

use super::{
    args::{DumpArgs, LoadArgs},
    context::Context,
    load::load,
    offline::Offline,
    serve,
};

/// Writes the store of a gateway that does not run, with what its journal has, to stdout or to a new file.
pub(super) fn dump(args: DumpArgs, context: &Context) -> anyhow::Result<()> {
    let config = load(context)?;
    let offline = Offline::open(&config, (context.env)(serve::MASTER_KEY)).context(IN_USE)?;
    let store = offline.into_store()?;
    let Some(path) = args.file else { return write(&store, io::stdout().lock()) };
    let file = File::create_new(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    write(&store, &file)?;
    file.sync_all().with_context(|| format!("cannot write `{}`", path.display()))
}

fn write(store: &SledStore, out: impl Write) -> anyhow::Result<()> {
    let mut out = BufWriter::new(out);
    store::dump(store, &mut out)?;
    Ok(out.flush()?)
}

/// Fills the store of a configuration that has none yet.
pub(super) fn restore(args: LoadArgs, context: &Context) -> anyhow::Result<()> {
    let config = load(context)?;
    make_private_dir(&config.server.data_dir)?;
    let store = SledStore::open(&config.server.store_dir(), &config.store).context(IN_USE)?;
    let loaded = if args.file == Path::new("-") {
        store::load(&store, &mut io::stdin().lock())?
    } else {
        let file = File::open(&args.file).with_context(|| format!("cannot read `{}`", args.file.display()))?;
        store::load(&store, &mut BufReader::new(file))?
    };
    let store::Loaded { keys, records, rollups } = loaded;
    Ok(writeln!(io::stdout(), "Loaded {keys} keys, {records} rows and {rollups} hourly sums.")?)
}

const IN_USE: &str = "the store cannot be opened; a gateway that runs on it must be stopped first";
