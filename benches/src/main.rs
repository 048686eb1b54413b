//! What Tollgate costs, measured beside plain Pingora on the same machine in the same run.
//!
//! `table` starts fake providers, a plain Pingora and the built Tollgate, and prints one markdown table. The other
//! commands are the processes it measures with; they are of no use by themselves.

mod fill;
mod floor;
mod gateway;
mod load;
mod process;
mod report;
mod rounds;
mod scale;

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};

/// The gateway's own allocator, so that the floor is not held back by another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: tollgate-benches table [--gateway PATH] [--rows N] [--streams N]\n\
    \x20      tollgate-benches fill DIR ROWS\n\
    \n\
    `fill` fills the store in DIR, which no gateway may use meanwhile. `table`:\n\
    Prints what Tollgate costs beside plain Pingora, in about five minutes.\n\
    --gateway PATH   the release build to measure; by default `tollgate` beside this program\n\
    --rows N         rows that the ledger holds for the second cold start, of 1 000 keys over a year; 100000 by default\n\
    --streams N      streams held open together to weigh one of them; 400 by default\n";

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
        ["table", ref options @ ..] => table(&Options::read(options)?),
        ["fill", dir, rows] => Ok(fill::fill(Path::new(dir), rows.parse()?, fill::now_ms())?),
        ["floor", listen, upstream, threads] => floor::serve(listen, upstream.parse()?, threads.parse()?),
        ["spin", cpu] => process::spin(cpu.parse()?),
        ["--help" | "-h"] | [] => Ok(std::io::stdout().write_all(USAGE.as_bytes())?),
        _ => bail!("unknown arguments\n{USAGE}"),
    }
}

/// What to measure.
struct Options {
    gateway: PathBuf,
    rows: u64,
    streams: usize,
}

impl Options {
    fn read(arguments: &[&str]) -> anyhow::Result<Options> {
        let gateway = env::current_exe()?.with_file_name("tollgate");
        let mut options = Options { gateway, rows: 100_000, streams: 400 };
        for option in arguments.chunks(2) {
            match option {
                ["--gateway", path] => options.gateway = PathBuf::from(path),
                ["--rows", count] => options.rows = count.parse()?,
                ["--streams", count] => options.streams = count.parse()?,
                _ => bail!("unknown option {option:?}\n{USAGE}"),
            }
        }
        Ok(options)
    }
}

fn table(options: &Options) -> anyhow::Result<()> {
    let figures = rounds::measure(options).with_context(|| format!("measuring `{}`", options.gateway.display()))?;
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{}", report::markdown(&figures))?;
    Ok(())
}
