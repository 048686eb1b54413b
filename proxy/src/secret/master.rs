//! The master key: from the environment, else from a file that the first start makes.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::Mac;
use zeroize::Zeroizing;

use super::hash::mac;

const KEY_BYTES: usize = 32;
const FILE_NAME: &str = "master-key";
const FILE_BYTES_MAX: u64 = 4096;
const PASSPHRASE_CHARS_MIN: usize = 16;
/// What OWASP asks of PBKDF2 with SHA-256; about a tenth of a second, once, and for passphrases alone.
const PASSPHRASE_ROUNDS: u32 = 600_000;
/// One salt for all: the key must be the same on every machine that is given the passphrase.
const PASSPHRASE_SALT: &[u8] = b"tollgate master key v1";

/// The key above all others. Every use takes a subkey of its own, so none can stand in for another.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

/// Where a master key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Environment,
    /// Read from this file.
    Kept(PathBuf),
    /// Drawn now and written to this file. Without it nothing in the store can be read.
    Made(PathBuf),
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("TOLLGATE_MASTER_KEY must be 32 bytes in base64 or hex, or a passphrase of at least 16 characters")]
    Weak,
    #[error("`{0}` does not hold a master key: 32 bytes in base64")]
    Broken(PathBuf),
    #[error("`{0}` can be read by others: `chmod 600` it")]
    Exposed(PathBuf),
    #[error("cannot read or make `{path}`")]
    Io { path: PathBuf, source: io::Error },
}

impl MasterKey {
    /// The key given in the environment, else the one kept in `dir`, else a new one put there.
    ///
    /// `dir` must exist. The file is made with mode 0600, appears whole or not at all, and is never overwritten:
    /// of two processes that start together, both use the key of the faster.
    pub fn open(
        given: Option<&str>,
        dir: &Path,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(MasterKey, Origin), Refused> {
        if let Some(text) = given {
            return Ok((MasterKey::parse(text)?, Origin::Environment));
        }
        let path = dir.join(FILE_NAME);
        if let Some(key) = read(&path)? {
            return Ok((key, Origin::Kept(path)));
        }
        let made = make(&path, fill).map_err(|source| Refused::Io { path: path.clone(), source })?;
        let key = read(&path)?.ok_or_else(|| Refused::Broken(path.clone()))?;
        Ok((key, if made { Origin::Made(path) } else { Origin::Kept(path) }))
    }

    /// Reads 32 bytes in hex or base64; any other text of 16 characters or more is a passphrase.
    pub fn parse(text: &str) -> Result<MasterKey, Refused> {
        let text = text.trim();
        if let Some(key) = decode(text) {
            return Ok(key);
        }
        if text.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(Refused::Weak);
        }
        Ok(MasterKey(Zeroizing::new(stretch(text.as_bytes(), PASSPHRASE_SALT, PASSPHRASE_ROUNDS))))
    }

    /// A key for one purpose, from which neither this key nor another purpose's can be found.
    pub fn subkey(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut state = mac(&*self.0);
        state.update(b"tollgate v1: ");
        state.update(purpose.as_bytes());
        Zeroizing::new(state.finalize().into_bytes().into())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

fn decode(text: &str) -> Option<MasterKey> {
    let whole = |bytes: &[u8]| <[u8; KEY_BYTES]>::try_from(bytes).ok().map(|key| MasterKey(Zeroizing::new(key)));
    if text.len() == 2 * KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let digit = |byte: u8| char::from(byte).to_digit(16).map_or(0, |digit| digit as u8);
        let bytes: Zeroizing<Vec<u8>> =
            Zeroizing::new(text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect());
        return whole(&bytes);
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok().map(Zeroizing::new).and_then(|bytes| whole(&bytes)))
}

/// PBKDF2-HMAC-SHA256 for one block of output, which is all that a key needs.
pub(super) fn stretch(passphrase: &[u8], salt: &[u8], rounds: u32) -> [u8; KEY_BYTES] {
    let state = mac(passphrase);
    let round = |input: &[u8]| -> [u8; KEY_BYTES] { state.clone().chain_update(input).finalize().into_bytes().into() };
    let mut last = round(&[salt, &1u32.to_be_bytes()].concat());
    let mut key = last;
    for _ in 1..rounds {
        last = round(&last);
        key.iter_mut().zip(last).for_each(|(key, last)| *key ^= last);
    }
    key
}

fn read(path: &Path) -> Result<Option<MasterKey>, Refused> {
    let io = |source| Refused::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    if file.metadata().map_err(io)?.mode() & 0o077 != 0 {
        return Err(Refused::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    decode(text.trim()).map(Some).ok_or_else(|| Refused::Broken(path.to_owned()))
}

/// Whether this process made the file; `false` if another was faster.
fn make(path: &Path, fill: &mut dyn FnMut(&mut [u8])) -> io::Result<bool> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    fill(&mut *key);
    let text = Zeroizing::new(STANDARD.encode(*key) + "\n");
    let mut suffix = [0; 8];
    fill(&mut suffix);
    let draft = path.with_extension(format!("new-{:016x}", u64::from_be_bytes(suffix)));
    let linked = write_private(&draft, text.as_bytes()).and_then(|()| fs::hard_link(&draft, path));
    // The draft is useless whatever became of it, and a failure to remove it must not hide the cause.
    let _ = fs::remove_file(&draft);
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => return Ok(false),
        Err(error) => return Err(error),
    }
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(true)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
