//! The table: figures beside their budgets, and what makes them doubtful.

use std::fmt::Write;

use crate::{
    gateway::{Kind, WORDS_HELD, Way},
    rounds::{Figures, PROXIES, ROUNDS, STREAM_ROUNDS, Series},
};

/// The load must leave its CPU idle for the rest, or it is what is measured.
const LOAD_BUSY_MAX: f64 = 70.0;

/// The budgets of the design, for calls that pass as they are and for calls that are translated.
struct Budget {
    passed: f64,
    translated: f64,
}

const WHOLE_RATIO: Budget = Budget { passed: 1.35, translated: 1.7 };
const STREAM_RATIO: Budget = Budget { passed: 0.9, translated: 1.7 };
const SATURATED_P99_RATIO: Budget = Budget { passed: 2.0, translated: 2.5 };
const ADDED_P50_US: Budget = Budget { passed: 75.0, translated: 95.0 };
const ADDED_P99_US: Budget = Budget { passed: 110.0, translated: 150.0 };
const FIRST_FRAME_US: Budget = Budget { passed: 50.0, translated: 50.0 };
const MEMORY_MIB: [f64; 3] = [30.0, 60.0, 40.0];
const STREAM_KIB: Budget = Budget { passed: 20.0, translated: 20.0 };
const COLD_START_MS: f64 = 100.0;

/// One markdown table, and the notes below it.
pub(crate) fn markdown(figures: &Figures) -> String {
    let mut rows = vec![
        row("", |way| match way {
            Way::Direct => "direct".to_owned(),
            Way::Floor => "plain Pingora".to_owned(),
            Way::OpenAi => "Tollgate, openai → openai".to_owned(),
            Way::Anthropic => "Tollgate, openai → anthropic".to_owned(),
        }),
        "|---|---|---|---|\n".to_owned(),
    ];
    for (kind, name, budget) in [(Kind::Whole, "whole", WHOLE_RATIO), (Kind::Stream, "50 frames", STREAM_RATIO)] {
        rows.push(row(&format!("{name}: calls/s"), |way| plain(&figures.turn(way, kind).calls_per_second, 0)));
        rows.push(row(&format!("{name}: CPU µs per call"), |way| plain(&figures.turn(way, kind).cpu_us, 1)));
        rows.push(row(&format!("{name}: ratio to plain Pingora"), |way| {
            let floor = figures.turn(Way::Floor, kind).cpu_us.median();
            judged(way, figures.turn(way, kind).cpu_us.median() / floor, 2, &budget)
        }));
    }
    rows.push(row("32 connections, saturated: p99, µs", |way| plain(&figures.saturated(way).p99_us, 0)));
    rows.push(row("32 connections, saturated: p99, ratio to plain Pingora", |way| {
        let floor = figures.saturated(Way::Floor).p99_us.median();
        judged(way, figures.saturated(way).p99_us.median() / floor, 2, &SATURATED_P99_RATIO)
    }));
    rows.push(row("added latency p50, µs", |way| {
        let added = figures.latency(way).p50_us.median() - figures.latency(Way::Direct).p50_us.median();
        judged(way, added, 0, &ADDED_P50_US)
    }));
    rows.push(row("added latency p99, µs", |way| {
        let added = figures.latency(way).p99_us.median() - figures.latency(Way::Direct).p99_us.median();
        judged(way, added, 0, &ADDED_P99_US)
    }));
    rows.push(row("64 streams paced 20 ms: added first frame p50, µs", |way| {
        let floor = figures.streams(Way::Floor).first_frame_p50_us.median();
        judged(way, figures.streams(way).first_frame_p50_us.median() - floor, 0, &FIRST_FRAME_US)
    }));
    rows.push(row("64 streams paced 20 ms: lost frames", |way| {
        let lost = figures.streams(way).lost_frames;
        if way == Way::Floor { lost.to_string() } else { format!("{lost} (budget 0)") }
    }));
    let two = |way: Way| &figures.scale.two_workers[&(way as usize)];
    rows.push(row("two workers on two CPUs: calls/s, ratio to one worker", |way| plain(&two(way).throughput, 2)));
    rows.push(row("two workers on two CPUs: CPU per call, ratio to one worker", |way| plain(&two(way).cpu, 2)));
    rows.push(row("an open stream, KiB", |way| match figures.scale.stream_bytes.get(&(way as usize)) {
        Some(bytes) => judged(way, bytes / 1024.0, 1, &STREAM_KIB),
        None => String::new(),
    }));
    let mut text = rows.concat();
    text += &process_rows(figures);
    text += &notes(figures);
    text
}

/// Figures of the gateway's process, whatever it serves.
fn process_rows(figures: &Figures) -> String {
    let bytes = [figures.idle_bytes, figures.loaded_bytes, figures.after_bytes];
    let mut text = String::new();
    for (name, (bytes, budget)) in ["idle", "under load", "after"].into_iter().zip(bytes.into_iter().zip(MEMORY_MIB)) {
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        let mark = mark(mebibytes, budget);
        let _ = writeln!(text, "| memory {name}, MiB | | {mebibytes:.0} (budget {budget:.0}{mark}) | same process |");
    }
    for (rows, starts) in
        [("few".to_owned(), &figures.cold_start_ms), (figures.scale.rows.to_string(), &figures.scale.cold_start_ms)]
    {
        let mark = mark(starts.median(), COLD_START_MS);
        let _ = writeln!(
            text,
            "| cold start to first answer, compiled code cached, {rows} rows, ms | | {} (budget {COLD_START_MS:.0}{mark}) \
             | same process |",
            plain(starts, 0),
        );
    }
    text
}

fn notes(figures: &Figures) -> String {
    let direct = figures.latency(Way::Direct);
    let busy = figures.load_busy.largest();
    let mut text = format!(
        "\nMedians over {ROUNDS} interleaved rounds, {STREAM_ROUNDS} of paced streams, with their quartiles in brackets; cold \
         starts follow one another. One worker thread and all others of its \
         process on CPU 0, load and fakes on CPU 1, loopback. Calls carry 1 KB. A call without any proxy takes {:.0} µs (p50) and {:.0} µs (p99); added \
         latency is what comes on top at concurrency 1, with both CPUs kept awake. The load and the fakes kept their CPU \
         {busy:.0} % busy at most; alone they manage {:.0} calls/s, and {:.0} streams/s.\n",
        direct.p50_us.median(),
        direct.p99_us.median(),
        figures.alone[0],
        figures.alone[1],
    );
    let _ = writeln!(
        text,
        "An open stream has said {WORDS_HELD} words and waits, {} of them together. With two workers the load {}.",
        figures.scale.streams,
        if figures.scale.load_apart {
            "has CPUs of its own"
        } else {
            "shares their two CPUs: CPU per call says more then"
        },
    );
    if busy > LOAD_BUSY_MAX {
        text += &format!(
            "Above {LOAD_BUSY_MAX:.0} % the load holds back what it measures: calls/s are a lower bound then; CPU per call, \
             taken from the kernel's account of the process alone, still holds.\n"
        );
    }
    text
}

fn row(name: &str, cell: impl Fn(Way) -> String) -> String {
    let cells: Vec<String> = PROXIES.into_iter().map(cell).collect();
    format!("| {name} | {} |\n", cells.join(" | "))
}

fn plain(series: &Series, digits: usize) -> String {
    let (low, high) = series.quartiles();
    format!("{:.digits$} [{low:.digits$} – {high:.digits$}]", series.median())
}

/// A figure beside its budget. The floor has none.
fn judged(way: Way, figure: f64, digits: usize, budget: &Budget) -> String {
    let most = match way {
        Way::Direct | Way::Floor => return format!("{figure:.digits$}"),
        Way::OpenAi => budget.passed,
        Way::Anthropic => budget.translated,
    };
    format!("{figure:.digits$} (budget {most}{})", mark(figure, most))
}

fn mark(figure: f64, most: f64) -> &'static str {
    if figure > most { ", missed" } else { "" }
}
