//! Runs the fuzz targets on a stable toolchain.

use std::{
    env, fs,
    io::{self, Write},
    process::{Child, Command, ExitCode},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use tollgate_fuzz::{
    search::{Until, search},
    targets::{TARGETS, Target},
};

const USAGE: &str = "usage: tollgate-fuzz TARGET [--seconds N] [--seed N]\n\
    \u{20}      tollgate-fuzz all [--seconds N]   each target for N seconds, as many at once as there are processors\n\
    \u{20}      tollgate-fuzz TARGET FILE         one input again\n\
    \n\
    An input that a target does not bear is kept in fuzz/artifacts/TARGET, and the exit code is 1.\n";

/// All targets together take no longer than this, whatever each is given.
const ALL_SECONDS_MAX: u64 = 280;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            // Nowhere is left to report to where standard error is closed.
            let _ = writeln!(io::stderr(), "tollgate-fuzz: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the targets bore everything.
fn run() -> anyhow::Result<bool> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (name, options) = arguments.split_first().with_context(|| format!("which target?\n{USAGE}"))?;
    let (mut seconds, mut seed) = (60, None);
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        let mut number =
            || rest.next().and_then(|it| it.parse::<u64>().ok()).with_context(|| format!("{option} takes a number"));
        match option.as_str() {
            "--seconds" => seconds = number()?,
            "--seed" => seed = Some(number()?),
            file if !file.starts_with('-') => return again(target(name)?, file),
            _ => bail!("unknown option `{option}`\n{USAGE}"),
        }
    }
    let seed = seed.map_or_else(chance, Ok)?;
    match name.as_str() {
        "--help" | "-h" => say(USAGE).map(|()| true),
        "all" => all(seconds, seed),
        name => one(target(name)?, seconds, seed),
    }
}

fn target(name: &str) -> anyhow::Result<&'static Target> {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.with_context(|| format!("no target `{name}`: there are {}", names.join(", ")))
}

fn one(target: &Target, seconds: u64, seed: u64) -> anyhow::Result<bool> {
    say(&format!("{}: searching for {seconds} s with --seed {seed}\n", target.name))?;
    let searched = search(target, Until::Passed(Duration::from_secs(seconds)), seed)?;
    say(&format!("{}: {} runs, {} outcomes\n", target.name, searched.runs, searched.kept))?;
    if let Some(file) = &searched.found {
        say(&format!("{}: does not bear `{}`\n", target.name, file.display()))?;
    }
    Ok(searched.found.is_none())
}

/// Each target in a process of its own, so that none takes the others with it.
fn all(seconds: u64, seed: u64) -> anyhow::Result<bool> {
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let turns = TARGETS.len().div_ceil(at_once) as u64;
    let seconds = seconds.min(ALL_SECONDS_MAX / turns);
    let program = env::current_exe()?;
    let mut bore = true;
    for some in TARGETS.chunks(at_once) {
        let start = |target: &Target| {
            let arguments = [target.name, "--seconds", &seconds.to_string(), "--seed", &seed.to_string()];
            Command::new(&program).args(arguments).spawn()
        };
        let children = some.iter().map(start).collect::<io::Result<Vec<Child>>>()?;
        for mut child in children {
            bore &= child.wait()?.success();
        }
    }
    Ok(bore)
}

fn again(target: &Target, file: &str) -> anyhow::Result<bool> {
    let input = fs::read(file).with_context(|| format!("reading `{file}`"))?;
    ensure!(!input.is_empty(), "`{file}` is empty");
    (target.run)(&input);
    say(&format!("{}: bears `{file}`\n", target.name)).map(|()| true)
}

/// A seed that nobody chose.
fn chance() -> anyhow::Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64 % 1_000_000_007)
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}
