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

mod administrator;
mod args;
mod backend;
mod backup;
mod check;
mod context;
mod demo;
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
mod unread;
#[cfg(test)]
mod tests;
mod usage;

use args::{Args, Command};
use context::{Context, Env};
use load::FaultyConfigError;
use unread::is_unread;

const FAILED: u8 = 1;
const FAULTY: u8 = 2;

const DEMO_CONFIG: &str =
    "`tollgate demo` has a configuration of its own and takes no --config: use `tollgate serve --config`";

/// Runs the command that `args` ask for. `collect` gives free memory back to the system.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>, env: Env, collect: fn()) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(asked) => {
            // Help is asked for and goes to stdout, a mistake goes to stderr; both may have nobody to read them.
            let _ = asked.print();
            return if asked.use_stderr() { ExitCode::from(FAULTY) } else { ExitCode::SUCCESS };
        }
    };
    if let (Some(_), Command::Demo(_)) = (&args.config, &args.command) {
        let _ = writeln!(io::stderr(), "error: {DEMO_CONFIG}");
        return ExitCode::from(FAULTY);
    }
    let usual = Path::new(args::USUAL_CONFIG);
    let config = args.config.or_else(|| usual.is_file().then(|| usual.to_owned()));
    let command = args.command;
    match log::start_for(&command).and_then(|()| dispatch(command, &Context { env, collect, config })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Each cause on its own line, the last one being the system's own words.
            let text: Vec<String> = error.chain().map(ToString::to_string).collect();
            let _ = writeln!(io::stderr(), "error: {}", printable(&text.join("\n  because: ")));
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

/// A text for a terminal: what arguments and files bring along moves no cursor.
fn printable(text: &str) -> String {
    let is_harmless = |letter: &char| *letter == '\n' || !letter.is_control();
    let shown =
        |letter: char| if is_harmless(&letter) { letter.to_string() } else { letter.escape_default().to_string() };
    if text.chars().all(|letter| is_harmless(&letter)) { text.to_owned() } else { text.chars().map(shown).collect() }
}
