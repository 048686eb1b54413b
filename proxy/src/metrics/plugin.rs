//! The series of one plugin.

use std::sync::{Arc, OnceLock};

use prometheus::{Histogram, IntCounter};

use super::families::{Families, seconds};
use crate::plugin::{Called, Function, Watch};

/// As many as there are functions today; those beyond are looked up on each call.
const FUNCTIONS: usize = 8;

/// What the sandbox says when it had no room to make an instance.
const BUSY: &str = "busy";

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

    fn call(&self, function: Function) -> Histogram {
        self.families.plugin_call.with_label_values(&[self.name.as_str(), function.as_str()])
    }
}

impl Watch for PluginSeries {
    fn called(&self, called: &Called) {
        let time = seconds(called.took);
        match self.calls.get(called.function as usize) {
            Some(series) => series.get_or_init(|| self.call(called.function)).observe(time),
            None => self.call(called.function).observe(time),
        }
        if called.function.instantiates() && called.fault != Some(BUSY) {
            self.instantiations.inc();
        }
        if let Some(fault) = called.fault {
            let kind = self.families.codes.bounded(fault);
            self.families.traps.with_label_values(&[self.name.as_str(), kind]).inc();
        }
    }
}
