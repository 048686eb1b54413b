//! sled's snapshots, put right before sled sees them.
//!
//! sled 0.34.7 takes every file `snap.*` for a snapshot, the newest by name first, one that it was still writing when
//! it died among them, and gives up on a store whose newest snapshot is torn. A snapshot only shortens the start: the
//! log has everything. So one that cannot be read is taken out of the way, and sled goes back to the last whole one,
//! or to the log alone.

use std::{fs, io, path::Path};

/// What follows a snapshot's bytes: their length in eight bytes, their CRC-32 in four.
const TAIL_BYTES: usize = 12;
const UNFINISHED: &str = ".generating";

/// Removes unfinished snapshots, and moves damaged ones to `damaged-…`, where they can be looked at.
pub(super) fn set_torn_aside(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str().filter(|name| name.starts_with("snap.")) else { continue };
        if name.ends_with(UNFINISHED) {
            fs::remove_file(&path)?;
            tracing::warn!(file = name, "removed a snapshot of the store that was never finished: nothing is lost");
        } else if !is_whole(&path)? {
            fs::rename(&path, dir.join(format!("damaged-{name}")))?;
            tracing::error!(
                file = name,
                "a snapshot of the store is damaged and was set aside: the store is read from its log, nothing is lost"
            );
        }
    }
    Ok(())
}

fn is_whole(path: &Path) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    let Some((body, tail)) = bytes.split_last_chunk::<TAIL_BYTES>().map(|(body, tail)| (body, *tail)) else {
        return Ok(false);
    };
    let (length, crc) = tail.split_at(8);
    let whole =
        !body.is_empty() && length == (body.len() as u64).to_le_bytes() && crc == crc32fast::hash(body).to_le_bytes();
    Ok(whole)
}
