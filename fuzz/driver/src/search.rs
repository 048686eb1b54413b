//! The search: changes inputs, keeps those whose outcome is new, and stops at the first that a target does not bear.
//!
//! Each input is in a file before it is tried, so that one that ends the process, by an abort, the stack or the clock, is
//! kept.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{
    mutate::{INPUT_BYTES_MAX, mutate},
    random::Random,
    targets::Target,
};

/// A single run may take this long; more is a finding.
const RUN_MAX: Duration = Duration::from_secs(10);
/// Inputs kept to change further.
const POOL_MAX: usize = 4096;
/// Attempts at making a finding smaller.
const SHORTENINGS_MAX: usize = 2000;

/// How long a search goes on, once it has been through the committed inputs.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    Passed(Duration),
    /// So many runs in all: on every machine the same.
    Runs(u64),
}

/// What a search came to.
#[derive(Debug)]
pub struct Searched {
    pub runs: u64,
    /// Inputs with an outcome of their own.
    pub kept: usize,
    /// The file that holds the input which the target did not bear.
    pub found: Option<PathBuf>,
}

impl Until {
    fn is_over(self, begun: Instant, runs: u64) -> bool {
        match self {
            Until::Passed(length) => begun.elapsed() >= length,
            Until::Runs(count) => runs >= count,
        }
    }
}

/// The inputs committed for `target`, sorted by name.
///
/// # Errors
/// Where they cannot be read.
pub fn corpus(target: &Target) -> anyhow::Result<Vec<Vec<u8>>> {
    let dir = root().join("corpus").join(target.name);
    let entries = fs::read_dir(&dir).with_context(|| format!("reading `{}`", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    files.iter().map(|file| fs::read(file).with_context(|| format!("reading `{}`", file.display()))).collect()
}

/// Tries the committed inputs and then others, `until` it is enough. Equal seeds take equal steps.
///
/// # Errors
/// Where files cannot be read or written.
pub fn search(target: &Target, until: Until, seed: u64) -> anyhow::Result<Searched> {
    let mut random = Random::new(seed);
    let artifacts = root().join("artifacts").join(target.name);
    fs::create_dir_all(&artifacts)?;
    let current = Current::new(artifacts.join(format!("current-{}", std::process::id())))?;
    let begun = Instant::now();
    let mut committed = corpus(target)?.into_iter();
    let mut pool: Vec<Vec<u8>> = Vec::new();
    let mut outcomes = HashSet::new();
    let mut runs = 0;
    loop {
        let (input, is_committed) = match committed.next() {
            Some(input) => (input, true),
            None if until.is_over(begun, runs) => break,
            None => {
                let (input, other): (&Vec<u8>, &Vec<u8>) = (random.choose(&pool), random.choose(&pool));
                (mutate(input, other, target.words, &mut random), false)
            }
        };
        let Some(outcome) = current.run(target, &input)? else {
            let found = artifacts.join(format!("found-{seed}-{runs}"));
            fs::write(&found, shorten(target, input))?;
            return Ok(Searched { runs, kept: outcomes.len(), found: Some(found) });
        };
        runs += 1;
        if outcomes.insert(outcome) && pool.len() < POOL_MAX || is_committed {
            pool.push(input);
        }
    }
    Ok(Searched { runs, kept: outcomes.len(), found: None })
}

/// Where corpus and findings lie: the folder `fuzz`.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the driver lies in `fuzz`")
}

/// The input that is being tried, in a file, under a watch.
struct Current {
    path: PathBuf,
    file: File,
    begun: Instant,
    /// Milliseconds from `begun` to the start of the run; 0 between two.
    started_ms: Arc<AtomicU64>,
}

impl Current {
    fn new(path: PathBuf) -> anyhow::Result<Current> {
        let file = File::create(&path).with_context(|| format!("making `{}`", path.display()))?;
        let current = Current { path, file, begun: Instant::now(), started_ms: Arc::default() };
        current.watch();
        Ok(current)
    }

    /// Ends the process when a run takes too long: nothing else stops a loop without an end.
    fn watch(&self) {
        let (begun, started_ms, path) = (self.begun, Arc::downgrade(&self.started_ms), self.path.clone());
        std::thread::spawn(move || {
            while let Some(started_ms) = started_ms.upgrade() {
                let started = Duration::from_millis(started_ms.load(Ordering::Relaxed));
                if !started.is_zero() && begun.elapsed() > started + RUN_MAX {
                    // Nowhere is left to say it where standard error is closed.
                    let _ = io::Write::write_all(
                        &mut io::stderr(),
                        format!("a run takes longer than {RUN_MAX:?}: see `{}`\n", path.display()).as_bytes(),
                    );
                    std::process::abort();
                }
                drop(started_ms);
                std::thread::park_timeout(Duration::from_millis(500));
            }
        });
    }

    /// The outcome of one run, or none where the target panicked.
    fn run(&self, target: &Target, input: &[u8]) -> anyhow::Result<Option<u64>> {
        self.file.set_len(input.len() as u64)?;
        self.file.write_all_at(input, 0)?;
        let now_ms = u64::try_from(self.begun.elapsed().as_millis())?;
        self.started_ms.store(now_ms.max(1), Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        self.started_ms.store(0, Ordering::Relaxed);
        Ok(outcome.ok())
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // What cannot be removed is overwritten by the next search.
        let _ = fs::remove_file(&self.path);
    }
}

/// A shorter input that the target does not bear either.
fn shorten(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut size = (input.len() / 2).clamp(1, INPUT_BYTES_MAX);
    let mut at = 0;
    for _ in 0..SHORTENINGS_MAX {
        if at >= input.len() {
            if size == 1 {
                break;
            }
            (size, at) = (size / 2, 0);
            continue;
        }
        let mut shorter = input.clone();
        shorter.drain(at..(at + size).min(input.len()));
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&shorter))).is_err() {
            input = shorter;
        } else {
            at += size;
        }
    }
    std::panic::set_hook(hook);
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragile(data: &[u8]) -> u64 {
        let prefix = data.iter().zip(b"[fuzz").take_while(|(a, b)| a == b).count();
        assert!(prefix < 5, "that was it");
        prefix as u64
    }

    #[test]
    fn a_search_finds_what_lies_behind_several_steps_and_shortens_it() {
        let target = Target { name: "json", run: fragile, words: &["f", "u", "z"] };
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let searched = search(&target, Until::Runs(1_000_000), 1).expect("the corpus can be read");
        std::panic::set_hook(hook);
        let found = searched.found.expect("it is found well within a minute");
        let input = fs::read(&found).expect("it was written");
        fs::remove_file(found).expect("it is there");
        assert_eq!(input, b"[fuzz", "after {} runs", searched.runs);
    }
}
