//! The series of one plugin.

use std::sync::{Arc, OnceLock};

use prometheus::{Histogram, IntCounter};

use super::{Families, Metrics, seconds};
use crate::plugin::{Called, Function, Observer, Watch};

/// The series of one plugin.
pub struct PluginSeries {
    families: Arc<Families>,
    name: String,
    instantiations: IntCounter,
    calls: [OnceLock<Histogram>; FUNCTIONS],
}

impl PluginSeries {
    pub(super) fn new(families: Arc<Families>, name: &str) -> PluginSeries {
        let instantiations = families.instantiations.with_label_values(&[name]);
        PluginSeries { families, name: name.to_owned(), instantiations, calls: Default::default() }
    }
}

/// As many as [`Function`] has.
const FUNCTIONS: usize = Function::Render as usize + 1;

impl Watch for PluginSeries {
    fn called(&self, called: &Called) {
        let function = called.function;
        let series = || self.families.plugin_call.with_label_values(&[self.name.as_str(), function.as_str()]);
        self.calls[function as usize].get_or_init(series).observe(seconds(called.took));
        if function.instantiates() {
            self.instantiations.inc();
        }
        if let Some(kind) = called.fault {
            let kind = self.families.codes.bounded(kind);
            self.families.traps.with_label_values(&[self.name.as_str(), kind]).inc();
        }
    }
}

impl Observer for Metrics {
    fn watch(&self, plugin: &str) -> Arc<dyn Watch> {
        self.plugin(plugin)
    }
}
