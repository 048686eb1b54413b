//! Secrets that the first start makes and later starts read: one file each, which its owner alone can read.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::Secret;

const FILE_BYTES_MAX: u64 = 4096;

/// Why a kept secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("`{0}` can be read by others: `chmod 600` it")]
    Exposed(PathBuf),
    #[error("cannot read or make `{path}`")]
    Io { path: PathBuf, source: io::Error },
}

/// A secret out of its file.
#[derive(Debug)]
pub struct Kept {
    pub secret: Secret,
    /// Whether this call made the file.
    pub made: bool,
}

/// Makes a directory for its owner alone, and its parents, unless it is there.
pub fn make_private_dir(dir: &Path) -> Result<(), SecretFileError> {
    let io = |source| SecretFileError::Io { path: dir.to_owned(), source };
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
    // The mode above is cut by the umask, and this one is not.
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(io)
}

/// The secret kept in `path`, if the file is there.
pub fn read_kept(path: &Path) -> Result<Option<Secret>, SecretFileError> {
    let io = |source| SecretFileError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    if file.metadata().map_err(io)?.mode() & 0o077 != 0 {
        return Err(SecretFileError::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    Ok(Some(Secret::new(text.trim())))
}

/// The secret kept in `path`, drawn and put there if the file is not.
///
/// The file is made with mode 0600, appears whole or not at all, and is never overwritten: of two processes that
/// start together, both have the secret of the faster. Its directory must exist.
pub fn keep(
    path: &Path,
    fill: &mut dyn FnMut(&mut [u8]),
    generate: impl FnOnce(&mut dyn FnMut(&mut [u8])) -> Secret,
) -> Result<Kept, SecretFileError> {
    if let Some(secret) = read_kept(path)? {
        return Ok(Kept { secret, made: false });
    }
    let io = |source| SecretFileError::Io { path: path.to_owned(), source };
    let secret = generate(fill);
    // Named by chance and not by the process: in containers, every process has the same number.
    let mut suffix = [0; 8];
    fill(&mut suffix);
    let draft = path.with_extension(format!("new-{:016x}", u64::from_be_bytes(suffix)));
    let made = write_private(&draft, &secret).and_then(|()| fs::hard_link(&draft, path));
    // The draft is useless whatever became of it, and a failure to remove it must not hide the cause.
    let _ = fs::remove_file(&draft);
    match made {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let secret = read_kept(path)?.ok_or_else(|| io(error))?;
            return Ok(Kept { secret, made: false });
        }
        Err(error) => return Err(io(error)),
    }
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
    }
    Ok(Kept { secret, made: true })
}

fn write_private(path: &Path, secret: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}
