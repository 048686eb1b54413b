use std::{
    fs::File,
    io,
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    process::Command,
    thread,
};

use super::*;

/// What `work` says in a thread that has given its system calls up.
fn confined<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let confined = move || {
        filter_calls().unwrap();
        work()
    };
    thread::spawn(confined).join().unwrap()
}

fn is_denied<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS))
}

#[test]
fn a_confined_thread_opens_no_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    assert!(File::open(&path).is_ok());
    let denied = confined(move || {
        [is_denied(File::open(&path)), is_denied(File::create(&path)), is_denied(fs::read("/proc/self/environ"))]
    });
    assert_eq!(denied, [true; 3]);
}

#[test]
fn a_confined_thread_reaches_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert!(TcpStream::connect(address).is_ok());
    let denied = confined(move || {
        [
            is_denied(TcpStream::connect(address)),
            is_denied(UdpSocket::bind("127.0.0.1:0")),
            is_denied(UnixStream::connect("/nowhere")),
        ]
    });
    assert_eq!(denied, [true; 3]);
}

#[test]
fn a_confined_thread_starts_no_process_and_reads_none() {
    assert!(Command::new("/bin/true").status().is_ok());
    let denied = confined(|| {
        let parent = fs::read("/proc/1/mem");
        [Command::new("/bin/true").status().is_err(), is_denied(parent)]
    });
    assert_eq!(denied, [true; 2]);
}

#[test]
fn a_confined_thread_still_computes_and_starts_threads() {
    let sum = confined(|| {
        let large = vec![1_u64; 4 << 20];
        let halves = large.chunks(2 << 20).map(<[u64]>::to_vec);
        let threads: Vec<_> = halves.map(|half| thread::spawn(move || half.iter().sum::<u64>())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    assert_eq!(sum, 4 << 20);
}
