//! Files that are allocated ahead and mapped: what is written to them outlives the process from the moment the copy
//! is made, without a system call.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    ops::{Deref, DerefMut, Range},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use memmap2::{Advice, MmapMut};
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

/// A file of fixed length in memory. All of it has room on the disk.
pub(super) struct Mapped {
    file: Arc<File>,
    map: MmapMut,
}

/// Makes a new file of zeros.
pub(super) fn create(path: &Path, bytes: usize) -> io::Result<Mapped> {
    let file = OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(path)?;
    let made = allocate(&file, bytes).and_then(|()| map(file));
    if made.is_err() {
        // It holds nothing; should it stay behind, the next start removes it.
        let _ = std::fs::remove_file(path);
    }
    made
}

fn allocate(mut file: &File, bytes: usize) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes as u64) {
        Ok(()) => Ok(()),
        // A file system that cannot allocate gives blocks to what is written.
        Err(Errno::OPNOTSUPP) => {
            let zeros = vec![0; bytes];
            file.write_all(&zeros)?;
            file.sync_data()
        }
        Err(error) => Err(error.into()),
    }
}

fn map(file: File) -> io::Result<Mapped> {
    // SAFETY: the mapping must not change under a reference to it, and an access must not fault. The file was made
    // by `create` with `create_new`, in a directory of mode 0700 whose lock this process holds, under a name that no
    // other code of it writes or truncates: the bytes change through this mapping alone. Its blocks are allocated,
    // and its pages are made by `populate` before they are written, where a disk that fails shows as an error and not
    // as SIGBUS.
    #[allow(unsafe_code, reason = "mapping a file is unsafe whatever the file")]
    let map = unsafe { MmapMut::map_mut(&file) }?;
    Ok(Mapped { file: Arc::new(file), map })
}

impl Mapped {
    /// Makes pages writable ahead, so that a write waits for nothing and cannot fail.
    pub(super) fn populate(&self, bytes: Range<usize>) -> io::Result<()> {
        match self.map.advise_range(Advice::PopulateWrite, bytes.start, bytes.len()) {
            // Kernels before 5.14 do not know it; the blocks are allocated all the same.
            Err(error) if error.raw_os_error() != Some(Errno::INVAL.raw_os_error()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Flushes go to a pipe, which can do none.
    #[cfg(test)]
    pub(super) fn unable_to_flush(self) -> Mapped {
        let (_reader, pipe) = io::pipe().unwrap();
        Mapped { file: Arc::new(File::from(std::os::fd::OwnedFd::from(pipe))), ..self }
    }

    /// The file, for a flush that nobody is kept waiting by.
    pub(super) fn file(&self) -> Arc<File> {
        self.file.clone()
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl DerefMut for Mapped {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}
