//! The command line: what an operator can ask of the binary, and what it answers.
//!
//! Owns texts, tables and exit codes: 0 for done, 1 for failed, 2 for a command or configuration with faults.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Parser;

mod args;
mod administrator;
mod backup;
mod check;
mod context;
mod demo;
mod door;
mod duration;
mod http;
mod key;
mod load;
mod log;
mod offline;
mod plugin;
mod remote;
mod sandbox;
mod serve;
mod table;
#[cfg(test)]
mod tests;
mod usage;

use args::{Args, Command};
use context::{Context, Env};
use load::FaultyConfigError;

const FAILED: u8 = 1;
const FAULTY: u8 = 2;

/// Runs the command that `args` ask for.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>, env: Env) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(asked) => {
            // Help is asked for and goes to stdout, a mistake goes to stderr; both may have nobody to read them.
            let _ = asked.print();
            return if asked.use_stderr() { ExitCode::from(FAULTY) } else { ExitCode::SUCCESS };
        }
    };
    let usual = Path::new(args::USUAL_CONFIG);
    let config = args.config.or_else(|| usual.is_file().then(|| usual.to_owned()));
    match dispatch(args.command, &Context { env, config }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Each cause on its own line, the last one being the system's own words.
            let text: Vec<String> = error.chain().map(ToString::to_string).collect();
            let _ = writeln!(io::stderr(), "error: {}", text.join("\n  because: "));
            ExitCode::from(if error.is::<FaultyConfigError>() { FAULTY } else { FAILED })
        }
    }
}

fn dispatch(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(args, context),
        Command::Check => check::run(context),
        Command::Demo(args) => demo::run(args, context),
        Command::Key(args) => key::run(args, context),
        Command::Usage(args) => usage::run(args, context),
        Command::Plugin(args) => plugin::run(args, context),
        Command::Dump(args) => backup::dump(args, context),
        Command::Load(args) => backup::restore(args, context),
        Command::CompilePlugin { bounds } => {
            tollgate::plugin::compile_child(&bounds).map_err(|reason| anyhow::anyhow!(reason))
        }
    }
}

/// Whether the reader of our output has gone, as in `tollgate key list | head -1`.
fn is_unread(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}
