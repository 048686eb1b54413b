//! What is counted of a call: the only door to prometheus.
//!
//! Owns every metric's name, labels and buckets (`table`), and the series a call adds to. A `TargetMetrics` holds the series
//! of one model at one provider, resolved when a snapshot is built, so that counting a call costs a few atomic
//! additions.
//! Invariant: no label takes a value that a client chose, and no label has more values than `Bounds` allows.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use prometheus::{Encoder, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

mod genai;
mod target;
mod plugin;
mod table;
#[cfg(test)]
mod tests;

pub use plugin::PluginSeries;
pub use table::names;
pub use target::TargetMetrics;

/// The content type of what [`Metrics::render`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The label of what is beyond the bounds, and of models nobody configured.
pub const OTHER: &str = "other";

/// The provider's label where a call was refused before it had one.
pub const NO_PROVIDER: &str = "none";

/// How many values a label may take, over the life of the process. What comes later counts as [`OTHER`].
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Pairs of model and provider.
    pub targets_max: usize,
    pub plugins_max: usize,
    /// Error codes, attempt outcomes and kinds of trap, together.
    pub codes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { targets_max: 2000, plugins_max: 200, codes_max: 200 }
    }
}

/// Every metric of one gateway.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    targets: Mutex<HashMap<(String, String), Arc<TargetMetrics>>>,
    plugins: Mutex<HashMap<String, Arc<PluginSeries>>>,
    bounds: Bounds,
}

/// The families behind the series, as `table` describes them.
struct Families {
    calls: IntCounterVec,
    tokens: IntCounterVec,
    charge: IntCounterVec,
    unpriced: IntCounterVec,
    set_aside: IntCounterVec,
    attempts: IntCounterVec,
    first_byte: HistogramVec,
    duration: HistogramVec,
    token_usage: HistogramVec,
    overhead: prometheus::Histogram,
    plugin_call: HistogramVec,
    instantiations: IntCounterVec,
    traps: IntCounterVec,
    in_flight: IntGauge,
    lag_rows: IntGauge,
    journal_bytes: IntGauge,
    store_bytes: IntGauge,
    rows_lost: IntCounter,
    codes: Codes,
}

/// Label values that come from code rather than config. Few, but a bound is a bound.
struct Codes {
    seen: Mutex<HashSet<String>>,
    max: usize,
}

impl Metrics {
    /// `version` is what `tollgate_build_info` shows.
    pub fn new(version: &str, bounds: Bounds) -> Metrics {
        let registry = Registry::new();
        let families = Families::register(&registry, bounds.codes_max);
        table::BUILD_INFO.gauges(&registry).with_label_values(&[version]).set(1);
        let (targets, plugins) = (Mutex::default(), Mutex::default());
        Metrics { registry, families: Arc::new(families), targets, plugins, bounds }
    }

    /// The series of a configured model at a configured provider. Ask when a snapshot is built and keep the answer.
    pub fn target(&self, model: &str, provider: &str) -> Arc<TargetMetrics> {
        let mut targets = self.targets.lock();
        let pair = (model.to_owned(), provider.to_owned());
        if let Some(target) = targets.get(&pair) {
            return Arc::clone(target);
        }
        // The place of the last pair is kept for what is folded together.
        let folds = targets.len() + 1 >= self.bounds.targets_max;
        let pair = if folds { (OTHER.to_owned(), OTHER.to_owned()) } else { pair };
        let made = |pair: &(String, String)| Arc::new(TargetMetrics::new(Arc::clone(&self.families), &pair.0, &pair.1));
        Arc::clone(targets.entry(pair).or_insert_with_key(made))
    }

    /// The series of calls refused before they had a model that is configured.
    pub fn unknown_target(&self) -> Arc<TargetMetrics> {
        self.target(OTHER, NO_PROVIDER)
    }

    /// The series of a plugin. Ask when it is loaded and keep the answer.
    pub fn plugin(&self, name: &str) -> Arc<PluginSeries> {
        let mut plugins = self.plugins.lock();
        if let Some(series) = plugins.get(name) {
            return Arc::clone(series);
        }
        let name = if plugins.len() + 1 >= self.bounds.plugins_max { OTHER } else { name };
        let made = |name: &String| Arc::new(PluginSeries::new(Arc::clone(&self.families), name));
        Arc::clone(plugins.entry(name.to_owned()).or_insert_with_key(made))
    }

    /// Counts a call as in flight until the guard is dropped.
    pub fn enter(&self) -> InFlight {
        self.families.in_flight.inc();
        InFlight(self.families.in_flight.clone())
    }

    /// How many calls are in flight.
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.families.in_flight.get()).unwrap_or(0)
    }

    /// What the journal has yet to bring to the store, and what it takes on disk.
    pub fn set_ledger(&self, lag_rows: u64, journal_bytes: u64) {
        self.families.lag_rows.set(gauge(lag_rows));
        self.families.journal_bytes.set(gauge(journal_bytes));
    }

    pub fn set_store_bytes(&self, bytes: u64) {
        self.families.store_bytes.set(gauge(bytes));
    }

    /// A row found no room in the journal.
    pub fn row_lost(&self) {
        self.families.rows_lost.inc();
    }

    /// Every metric in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut families = self.registry.gather();
        genai::add(&mut families);
        let mut text = Vec::with_capacity(32 * 1024);
        TextEncoder::new()
            .encode(&families, &mut text)
            .expect("a gathered family has a name and metrics, and a vector takes every byte");
        text
    }
}

/// One call in flight.
#[must_use]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Families {
    fn register(registry: &Registry, codes_max: usize) -> Families {
        Families {
            calls: table::CALLS.counters(registry),
            tokens: table::TOKENS.counters(registry),
            charge: table::CHARGE.counters(registry),
            unpriced: table::UNPRICED.counters(registry),
            set_aside: table::SET_ASIDE.counters(registry),
            attempts: table::ATTEMPTS.counters(registry),
            first_byte: table::FIRST_BYTE.histograms(registry),
            duration: table::DURATION.histograms(registry),
            token_usage: table::TOKEN_USAGE.histograms(registry),
            overhead: table::OVERHEAD.histograms(registry).with_label_values::<&str>(&[]),
            plugin_call: table::PLUGIN_CALL.histograms(registry),
            instantiations: table::INSTANTIATIONS.counters(registry),
            traps: table::TRAPS.counters(registry),
            in_flight: table::IN_FLIGHT.gauges(registry).with_label_values::<&str>(&[]),
            lag_rows: table::LAG_ROWS.gauges(registry).with_label_values::<&str>(&[]),
            journal_bytes: table::JOURNAL_BYTES.gauges(registry).with_label_values::<&str>(&[]),
            store_bytes: table::STORE_BYTES.gauges(registry).with_label_values::<&str>(&[]),
            rows_lost: table::ROWS_LOST.counters(registry).with_label_values::<&str>(&[]),
            codes: Codes { seen: Mutex::default(), max: codes_max },
        }
    }
}

impl Codes {
    /// `code`, or [`OTHER`] if too many different ones came before it.
    fn bounded<'c>(&self, code: &'c str) -> &'c str {
        let mut seen = self.seen.lock();
        if seen.contains(code) {
            return code;
        }
        if seen.len() >= self.max {
            return OTHER;
        }
        seen.insert(code.to_owned());
        code
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
