//! Compiled code kept from one start to the next.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::super::{LoadError, settings::PLUGINS_MAX};

const SUFFIX: &str = "cwasm";
/// Writers of one component at one time.
const WRITERS_MAX: usize = 64;
const DIGEST_BYTES: usize = 32;

/// A folder of compiled code, ours alone. One file for each component and engine: a digest, then the code.
pub(in super::super) struct Cache {
    dir: PathBuf,
    /// The engine, its release, its settings and this processor's features.
    engine: [u8; DIGEST_BYTES],
}

/// Names a file and is part of its digest, so that a file renamed is a file refused.
pub(in super::super) struct Key([u8; DIGEST_BYTES]);

impl Cache {
    /// Opens `dir`, made if absent.
    ///
    /// # Errors
    /// [`LoadError::Cache`] if it cannot be made, is no folder, is another user's, or is open to others.
    pub(in super::super) fn open(dir: &Path, engine: &Engine) -> Result<Cache, LoadError> {
        private(dir).map_err(|reason| fault(dir, reason))?;
        let mut identity = Identity(Sha256::new());
        // Covers the exact release, though loading only compares majors: a patch may mend a miscompilation.
        engine.precompile_compatibility_hash().hash(&mut identity);
        Ok(Cache { dir: dir.to_owned(), engine: identity.0.finalize().into() })
    }

    pub(in super::super) fn key(&self, wasm: &[u8]) -> Key {
        Key(Sha256::new().chain_update(self.engine).chain_update(wasm).finalize().into())
    }

    /// The code kept under `key`, if it is whole.
    pub(in super::super) fn find(&self, key: &Key) -> Option<Vec<u8>> {
        let mut file = fs::read(self.path(key)).ok()?;
        let digest = file.first_chunk::<DIGEST_BYTES>()?;
        if *digest != key.digest(&file[DIGEST_BYTES..]) {
            return None;
        }
        Some(file.split_off(DIGEST_BYTES))
    }

    /// Keeps `code` under `key`.
    ///
    /// # Errors
    /// [`LoadError::Cache`] if the folder cannot be written.
    pub(in super::super) fn keep(&self, key: &Key, code: &[u8]) -> Result<(), LoadError> {
        self.write(key, code).and_then(|()| self.prune()).map_err(|error| fault(&self.dir, error.to_string()))
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(format!("{}.{SUFFIX}", key.hex()))
    }

    /// Writes beside and renames: a reader sees a whole file or none.
    fn write(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        let (mut file, beside) = self.beside(key)?;
        file.write_all(&key.digest(code))?;
        file.write_all(code)?;
        drop(file);
        fs::rename(&beside, self.path(key))
    }

    /// A new file that no other writer, of this process or another, has open.
    fn beside(&self, key: &Key) -> io::Result<(File, PathBuf)> {
        let mut last = io::ErrorKind::AlreadyExists.into();
        for attempt in 0..WRITERS_MAX {
            let path = self.dir.join(format!("{}.{}.{attempt}", key.hex(), std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok((file, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Forgets the oldest files beyond the bound, half-written ones of a process that died among them.
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Another process may have renamed or pruned it since.
            if let Ok(written) = entry.metadata().and_then(|metadata| metadata.modified()) {
                files.push((written, entry.path()));
            }
        }
        files.sort_unstable_by(|one, other| other.cmp(one));
        for (_, path) in files.iter().skip(PLUGINS_MAX) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Key {
    fn hex(&self) -> String {
        hex::encode(self.0)
    }

    fn digest(&self, code: &[u8]) -> [u8; DIGEST_BYTES] {
        Sha256::new().chain_update(self.0).chain_update(code).finalize().into()
    }
}

/// Makes `dir` if it is absent, and says what keeps it from being ours alone.
fn private(dir: &Path) -> Result<(), String> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| error.to_string())?;
    let found = fs::symlink_metadata(dir).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Err("is not a folder".to_owned());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err("belongs to another user".to_owned());
    }
    if found.mode() & 0o077 != 0 {
        return Err(format!("is open to other users (mode {:o}); it must be 0700", found.mode() & 0o777));
    }
    Ok(())
}

fn fault(dir: &Path, reason: String) -> LoadError {
    LoadError::Cache { path: dir.display().to_string(), reason }
}

/// Feeds what the engine hashes of itself to a digest that is the same in every process.
struct Identity(Sha256);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is taken whole")
    }
}
