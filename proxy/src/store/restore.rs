//! A store made from a dump: whole, or not at all.

use std::{
    fs::{self, File},
    io::{self, BufRead},
    path::Path,
};

use super::{
    Error, Settings,
    backup::{Loaded, check_empty, fill},
    sled_store::SledStore,
};

/// Makes the store in `dir` from a dump. It is filled beside `dir` and moved there when it is whole, so that a load
/// which fails, or is killed, leaves no part of one behind.
///
/// # Errors
/// [`Error::NotEmpty`] where `dir` has a store with something in it, [`Error::Locked`] where it is in use, and
/// [`Error::Dump`] where the dump is not whole.
pub fn load(dir: &Path, settings: &Settings, input: &mut dyn BufRead) -> Result<Loaded, Error> {
    if dir.exists() {
        check_empty(&SledStore::open(dir, settings)?)?;
    }
    let loading = dir.with_extension("loading");
    discard_old(&loading, settings)?;
    let loaded = SledStore::open(&loading, settings).and_then(|store| fill(&store, input));
    let moved = loaded.and_then(|loaded| {
        move_to(&loading, dir).map_err(|source| Error::Io { path: dir.to_owned(), source })?;
        Ok(loaded)
    });
    if moved.is_err() {
        // The next load removes what cannot be removed now, and nothing else looks at it.
        let _ = fs::remove_dir_all(&loading);
    }
    moved
}

/// Removes what a load left that was killed.
fn discard_old(loading: &Path, settings: &Settings) -> Result<(), Error> {
    if !loading.exists() {
        return Ok(());
    }
    // Opened only to see that no other load is under way. What a killed one left may be past opening.
    if let Err(error @ Error::Locked { .. }) = SledStore::open(loading, settings) {
        return Err(error);
    }
    fs::remove_dir_all(loading).map_err(|source| Error::Io { path: loading.to_owned(), source })
}

fn move_to(loading: &Path, dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(loading, dir)?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
