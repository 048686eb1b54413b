//! What grows: rows in the ledger, open streams, worker threads.

use std::{collections::BTreeMap, path::Path, thread::available_parallelism, time::Duration};

use anyhow::Context;

use crate::{
    Options,
    gateway::{Bench, Kind, Placement, WORDS_HELD, Way},
    load::{closed_loop, held},
    rounds::{PROXIES, Series},
};

const ROUNDS: usize = 5;
const STARTS: usize = 5;
const CONNECTIONS: usize = 32;
const ROUND_LENGTH: Duration = Duration::from_millis(1200);
const SETTLING: Duration = Duration::from_millis(1500);

/// All that was measured.
#[derive(Default)]
pub(crate) struct Scale {
    /// Rows in the ledger at the second cold start.
    pub(crate) rows: u64,
    pub(crate) cold_start_ms: Series,
    /// Streams that were open together.
    pub(crate) streams: usize,
    /// Resident bytes for each of them, by way.
    pub(crate) stream_bytes: BTreeMap<usize, f64>,
    /// With two worker threads on two CPUs, by way.
    pub(crate) two_workers: BTreeMap<usize, Workers>,
    /// Whether the load had CPUs of its own meanwhile.
    pub(crate) load_apart: bool,
}

/// Rounds with a number of worker threads.
#[derive(Default)]
pub(crate) struct Workers {
    /// Ratio of calls per second to those with one worker on one CPU.
    pub(crate) throughput: Series,
    /// Ratio of the CPU time of a call.
    pub(crate) cpu: Series,
}

/// Measures with the processes of `bench`, which it ends.
pub(crate) fn scale(mut bench: Bench, options: &Options) -> anyhow::Result<Scale> {
    let binary = options.gateway.as_path();
    let mut scale = Scale { rows: options.rows, streams: options.streams, ..Scale::default() };
    for way in [Way::OpenAi, Way::Anthropic] {
        bench.start_gateway(binary)?;
        let bytes = stream_bytes(&bench, way, options.streams).with_context(|| format!("{way:?}, open streams"))?;
        scale.stream_bytes.insert(way as usize, bytes);
    }
    two_workers(&bench, binary, &mut scale).context("two workers")?;
    bench.fill(options.rows)?;
    for _ in 0..STARTS {
        scale.cold_start_ms.0.push(bench.start_gateway(binary)?.as_secs_f64() * 1e3);
    }
    Ok(scale)
}

/// Resident bytes of each of `count` open streams that have said [`WORDS_HELD`] words, above the idle process.
fn stream_bytes(bench: &Bench, way: Way, count: usize) -> anyhow::Result<f64> {
    let (process, (address, call)) = (bench.process(way)?, bench.call(way, Kind::Held)?);
    let word = format!("\" {WORDS_HELD}\"");
    // Once before, so that what is made for the first streams is not laid at their door.
    held(address, &call, count.min(16), &word, || Ok(()))?;
    std::thread::park_timeout(SETTLING);
    let idle = process.resident_bytes()?;
    let held = held(address, &call, count, &word, || {
        std::thread::park_timeout(SETTLING);
        process.resident_bytes()
    })?;
    Ok(held.saturating_sub(idle) as f64 / count as f64)
}

/// One worker beside two, in turns.
fn two_workers(one: &Bench, binary: &Path, scale: &mut Scale) -> anyhow::Result<()> {
    let cpus = available_parallelism()?.get();
    scale.load_apart = cpus >= 4;
    let load = if scale.load_apart { vec![2, 3] } else { vec![0, 1] };
    for _ in 0..ROUNDS {
        for way in PROXIES {
            // The calling thread goes with the load of each.
            let mut two = Bench::start(Placement { subject: vec![0, 1], load: load.clone() })?;
            two.start_gateway(binary)?;
            let [(calls, cpu), (base_calls, base_cpu)] = [turn(&two, way)?, turn(one, way)?];
            drop(two);
            let workers = scale.two_workers.entry(way as usize).or_default();
            workers.throughput.0.push(calls / base_calls);
            workers.cpu.0.push(cpu / base_cpu);
        }
    }
    Ok(())
}

/// Calls and nanoseconds of CPU a call, in one round of a warm process.
fn turn(bench: &Bench, way: Way) -> anyhow::Result<(f64, f64)> {
    bench.pin_load()?;
    let (process, (address, call)) = (bench.process(way)?, bench.call(way, Kind::Whole)?);
    closed_loop(address, &call, CONNECTIONS, ROUND_LENGTH / 2)?;
    let used = process.cpu_ns()?;
    let calls = closed_loop(address, &call, CONNECTIONS, ROUND_LENGTH)?.len() as f64;
    Ok((calls, (process.cpu_ns()? - used) as f64 / calls))
}
