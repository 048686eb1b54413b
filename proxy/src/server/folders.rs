//! Whether the data directory is still the one that this process opened.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

/// Directories that this process has opened.
pub(super) struct Folders(Vec<Folder>);

struct Folder {
    path: PathBuf,
    /// Kept open, so that the system gives its number to no other directory.
    opened: File,
}

impl Folders {
    pub(super) fn open(paths: impl IntoIterator<Item = PathBuf>) -> io::Result<Folders> {
        let open = |path: PathBuf| Ok(Folder { opened: File::open(&path)?, path });
        paths.into_iter().map(open).collect::<io::Result<_>>().map(Folders)
    }

    /// Whether one of them was removed, or another one stands in its place.
    pub(super) fn are_gone(&self) -> bool {
        self.0.iter().any(Folder::is_gone)
    }
}

impl Folder {
    fn is_gone(&self) -> bool {
        let identity = |about: fs::Metadata| (about.dev(), about.ino());
        match fs::metadata(&self.path) {
            Ok(found) => self.opened.metadata().is_ok_and(|opened| identity(opened) != identity(found)),
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_moved_or_replaced_is_gone_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("data"), dir.path().join("aside"));
        fs::create_dir(&path).unwrap();
        let folders = Folders::open([path.clone()]).unwrap();
        assert!(!folders.are_gone());
        fs::rename(&path, &aside).unwrap();
        assert!(folders.are_gone());
        fs::create_dir(&path).unwrap();
        assert!(folders.are_gone(), "another one of the same name");
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert!(!folders.are_gone());
        fs::remove_dir(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(folders.are_gone(), "removed and made again");
    }
}
