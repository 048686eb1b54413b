//! The measurement: rounds in which every way has its turn, so that what drifts drifts for all.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::{
    Options,
    gateway::{Bench, Kind, Placement, Way},
    load::{closed_loop, one_by_one, paced},
    process::{keep_awake, own_cpu_ns},
    scale::{Scale, scale},
};

pub(crate) const ROUNDS: usize = 5;
const CONNECTIONS: usize = 16;
/// Where a call waits for all the others, and its time shows the bursts.
const SATURATED_CONNECTIONS: usize = 32;
const ROUND_LENGTH: Duration = Duration::from_millis(1200);
const WARM_UP_LENGTH: Duration = Duration::from_millis(600);
const LATENCY_CALLS: usize = 2000;
const STREAMS: usize = 64;
const STREAM_FRAMES: usize = 50;
const STREAM_SPREAD: Duration = Duration::from_millis(640);
pub(crate) const STREAM_ROUNDS: usize = 4;
const STARTS: usize = 5;
const SETTLING: Duration = Duration::from_secs(3);

/// The ways that have a process to measure.
pub(crate) const PROXIES: [Way; 3] = [Way::Floor, Way::OpenAi, Way::Anthropic];

const KINDS: [Kind; 2] = [Kind::Whole, Kind::Stream];

/// One figure per round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl Series {
    pub(crate) fn median(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    /// The first and the third quartile.
    pub(crate) fn quartiles(&self) -> (f64, f64) {
        (quantile(&self.0, 0.25), quantile(&self.0, 0.75))
    }

    pub(crate) fn largest(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Figures {
    whole: Turns,
    stream: Turns,
    saturated: BTreeMap<usize, Latency>,
    latency: BTreeMap<usize, Latency>,
    paced: BTreeMap<usize, Streams>,
    /// How busy the load's CPU was with the load, in percent, in each turn of a closed loop.
    pub(crate) load_busy: Series,
    /// Calls per second without any proxy: the load and a fake on one CPU, whole and streamed.
    pub(crate) alone: [f64; 2],
    pub(crate) idle_bytes: u64,
    pub(crate) loaded_bytes: u64,
    pub(crate) after_bytes: u64,
    /// From the start of the process to its first answer, in milliseconds.
    pub(crate) cold_start_ms: Series,
    pub(crate) scale: Scale,
}

type Turns = BTreeMap<usize, Turn>;

/// Closed-loop turns of one way.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) calls_per_second: Series,
    pub(crate) cpu_us: Series,
}

/// How long calls took on one way, in microseconds.
#[derive(Default)]
pub(crate) struct Latency {
    pub(crate) p50_us: Series,
    pub(crate) p99_us: Series,
}

impl Latency {
    /// Adds the times of one round.
    fn add(&mut self, times_ns: &[u64]) {
        let times_us: Vec<f64> = times_ns.iter().map(|ns| *ns as f64 / 1e3).collect();
        self.p50_us.0.push(quantile(&times_us, 0.5));
        self.p99_us.0.push(quantile(&times_us, 0.99));
    }
}

/// Paced streams on one way.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) first_frame_p50_us: Series,
    pub(crate) lost_frames: u64,
}

impl Figures {
    pub(crate) fn turn(&self, way: Way, kind: Kind) -> &Turn {
        let turns = if kind == Kind::Whole { &self.whole } else { &self.stream };
        &turns[&(way as usize)]
    }

    pub(crate) fn saturated(&self, way: Way) -> &Latency {
        &self.saturated[&(way as usize)]
    }

    pub(crate) fn latency(&self, way: Way) -> &Latency {
        &self.latency[&(way as usize)]
    }

    pub(crate) fn streams(&self, way: Way) -> &Streams {
        &self.paced[&(way as usize)]
    }
}

/// Measures the Tollgate at `binary` beside plain Pingora.
pub(crate) fn measure(options: &Options) -> anyhow::Result<Figures> {
    let binary = options.gateway.as_path();
    ensure!(binary.is_file(), "there is no such file; `cargo build --release` makes it");
    let mut figures = Figures::default();
    let mut bench = Bench::start(Placement::alone()).context("two CPUs are needed")?;
    // The first start compiles the plugins and fills the cache; it is not counted.
    bench.start_gateway(binary)?;
    for _ in 0..STARTS {
        let taken = bench.start_gateway(binary)?;
        figures.cold_start_ms.0.push(taken.as_secs_f64() * 1e3);
    }
    figures.idle_bytes = bench.process(Way::OpenAi)?.resident_bytes()?;
    for way in PROXIES {
        for kind in KINDS {
            let (address, call) = bench.call(way, kind)?;
            closed_loop(address, &call, CONNECTIONS, WARM_UP_LENGTH).with_context(|| format!("{way:?} {kind:?}"))?;
        }
    }
    for (kind, alone) in KINDS.into_iter().zip(&mut figures.alone) {
        let (address, call) = bench.call(Way::Direct, kind)?;
        let times_ns = closed_loop(address, &call, CONNECTIONS, ROUND_LENGTH)?;
        *alone = times_ns.len() as f64 / ROUND_LENGTH.as_secs_f64();
    }
    for _ in 0..ROUNDS {
        for way in PROXIES {
            for kind in KINDS {
                turn(&bench, way, kind, &mut figures)?;
            }
            saturated(&bench, way, &mut figures)?;
        }
    }
    {
        let _awake = keep_awake()?;
        for _ in 0..ROUNDS {
            for way in [Way::Direct, Way::Floor, Way::OpenAi, Way::Anthropic] {
                latency(&bench, way, &mut figures)?;
            }
        }
        for _ in 0..STREAM_ROUNDS {
            for way in PROXIES {
                streams(&bench, way, &mut figures)?;
            }
        }
    }
    std::thread::park_timeout(SETTLING);
    figures.after_bytes = bench.process(Way::OpenAi)?.resident_bytes()?;
    figures.scale = scale(bench, options)?;
    Ok(figures)
}

fn turn(bench: &Bench, way: Way, kind: Kind, figures: &mut Figures) -> anyhow::Result<()> {
    let (address, call) = bench.call(way, kind)?;
    let process = bench.process(way)?;
    let (begun, own, used) = (Instant::now(), own_cpu_ns()?, process.cpu_ns()?);
    let calls = closed_loop(address, &call, CONNECTIONS, ROUND_LENGTH)?.len() as f64;
    let (seconds, own, used) = (begun.elapsed().as_secs_f64(), own_cpu_ns()? - own, process.cpu_ns()? - used);
    figures.load_busy.0.push(own as f64 / seconds / 1e7);
    let turns = if kind == Kind::Whole { &mut figures.whole } else { &mut figures.stream };
    let turn = turns.entry(way as usize).or_default();
    turn.calls_per_second.0.push(calls / seconds);
    turn.cpu_us.0.push(used as f64 / 1e3 / calls);
    remember_memory(bench, way, figures)
}

fn saturated(bench: &Bench, way: Way, figures: &mut Figures) -> anyhow::Result<()> {
    let (address, call) = bench.call(way, Kind::Whole)?;
    let times_ns = closed_loop(address, &call, SATURATED_CONNECTIONS, ROUND_LENGTH)?;
    figures.saturated.entry(way as usize).or_default().add(&times_ns);
    Ok(())
}

fn latency(bench: &Bench, way: Way, figures: &mut Figures) -> anyhow::Result<()> {
    let (address, call) = bench.call(way, Kind::Whole)?;
    figures.latency.entry(way as usize).or_default().add(&one_by_one(address, &call, LATENCY_CALLS)?);
    Ok(())
}

fn streams(bench: &Bench, way: Way, figures: &mut Figures) -> anyhow::Result<()> {
    let (address, call) = bench.call(way, Kind::Paced)?;
    let paced = paced(address, &call, STREAMS, STREAM_FRAMES, STREAM_SPREAD)?;
    let times: Vec<f64> = paced.first_frames_ns.iter().map(|ns| *ns as f64 / 1e3).collect();
    let streams = figures.paced.entry(way as usize).or_default();
    streams.first_frame_p50_us.0.push(quantile(&times, 0.5));
    streams.lost_frames += paced.lost_frames;
    remember_memory(bench, way, figures)
}

fn remember_memory(bench: &Bench, way: Way, figures: &mut Figures) -> anyhow::Result<()> {
    if way != Way::Floor {
        figures.loaded_bytes = figures.loaded_bytes.max(bench.process(way)?.resident_bytes()?);
    }
    Ok(())
}

/// The value below which `share` of the values lie.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{Series, quantile};

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let series = Series(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!((series.median(), series.quartiles(), series.largest()), (3.0, (2.0, 4.0), 5.0));
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
