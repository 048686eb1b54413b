//! The door of the binary: arguments, the environment, exit codes.
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

fn main() -> ExitCode {
    cli::run(std::env::args_os(), variable)
}
