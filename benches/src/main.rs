//! What Tollgate costs, measured beside plain Pingora on the same machine in the same run.
//!
//! `table` starts fake providers, a plain Pingora and the built Tollgate, and prints one markdown table. The other
//! commands are the processes it measures with; they are of no use by themselves.

mod floor;
mod gateway;
mod load;
mod process;
mod report;
mod rounds;

use std::{env, io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};

/// The gateway's own allocator, so that the floor is not held back by another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: tollgate-benches table [--gateway PATH]\n\
    \n\
    Prints what Tollgate costs beside plain Pingora, in less than four minutes.\n\
    --gateway PATH   the release build to measure; by default `tollgate` beside this program\n";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Nowhere is left to report to where standard error is closed.
            let _ = writeln!(std::io::stderr(), "tollgate-benches: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["table"] => table(env::current_exe()?.with_file_name("tollgate")),
        ["table", "--gateway", path] => table(PathBuf::from(path)),
        ["floor", listen, upstream] => floor::serve(listen, upstream.parse()?),
        ["spin", cpu] => process::spin(cpu.parse()?),
        ["--help" | "-h"] | [] => Ok(std::io::stdout().write_all(USAGE.as_bytes())?),
        _ => bail!("unknown arguments\n{USAGE}"),
    }
}

fn table(binary: PathBuf) -> anyhow::Result<()> {
    let figures = rounds::measure(&binary).with_context(|| format!("measuring `{}`", binary.display()))?;
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{}", report::markdown(&figures))?;
    Ok(())
}
