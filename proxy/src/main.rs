//! The binary: arguments, the environment, the signals it ignores, exit codes.
//!
//! The environment is read here and nowhere else. What a command does is in `cli`.

use std::process::ExitCode;

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Gives back to the system what the allocator holds free: for the calling thread, and for those that have ended.
#[expect(unsafe_code, reason = "the allocator is C")]
fn collect() {
    // SAFETY: takes no pointer, and may be called on any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Lets a file that may not grow (`ulimit -f`) be an error as a full disk is one. Unasked, the system ends the process.
#[expect(unsafe_code, reason = "the library knows no safe way to ignore a signal")]
fn ignore_file_size_signal() {
    // SAFETY: no other thread runs yet, and an ignored signal runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn main() -> ExitCode {
    ignore_file_size_signal();
    cli::run(std::env::args_os(), variable, collect)
}
