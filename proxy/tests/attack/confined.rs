//! The process that compiles plugins: what it can still reach when it reads a component.

use std::{
    fs::{self, File},
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{guest::Guest, support::*};

#[test]
fn the_compiler_has_given_everything_up_before_it_reads_a_component() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    // Open in this process without the mark that closes it in children: as careless as a library can be.
    let _careless = rustix::io::dup(File::open(secret.path()).unwrap()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["compile-plugin", "2147483648", "60"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let proc = format!("/proc/{}", child.id());
    let until = Instant::now() + SOON * 6;
    let status = loop {
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        if status.contains("Seccomp:\t2") {
            break status;
        }
        assert!(Instant::now() < until, "the filter was never taken: {status}");
        thread::park_timeout(Duration::from_millis(5));
    };
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let mut files: Vec<_> =
        fs::read_dir(format!("{proc}/fd")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["0", "1", "2"]);
    assert_eq!(fs::read(format!("{proc}/environ")).unwrap(), b"");
    let limits = fs::read_to_string(format!("{proc}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max open files"), "3");
    assert_eq!(limit("Max address space"), "2147483648");
    // Confined as it is, it compiles.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&Guest::good().component()).unwrap();
    drop(stdin);
    let mut code = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut code).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(code.starts_with(b"\x7fELF"));
}
