//! Every metric of one gateway, and the text that Prometheus reads.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use prometheus::{Encoder, IntGauge, Registry, TextEncoder};

use super::{
    Bounds, NO_PROVIDER, OTHER, families::Families, genai, plugin::PluginSeries, table, target::TargetMetrics,
};
use crate::plugin::{Observer, Watch};

/// Every metric of one gateway.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    targets: Mutex<HashMap<(String, String), Arc<TargetMetrics>>>,
    plugins: Mutex<HashMap<String, Arc<PluginSeries>>>,
    bounds: Bounds,
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

    /// Counts a client's connection as open until the guard is dropped.
    pub fn connect(&self) -> OpenConnection {
        self.families.connections.inc();
        OpenConnection(self.families.connections.clone())
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

/// One open connection of a client.
#[must_use]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Observer for Metrics {
    fn watch(&self, plugin: &str) -> Arc<dyn Watch> {
        self.plugin(plugin)
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
