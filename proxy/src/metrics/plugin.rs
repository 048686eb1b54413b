//! The series of one plugin.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::{Families, seconds};

/// What of a plugin is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Describe,
    Encode,
    Decode,
    Classify,
    Push,
    Finish,
    Check,
    Render,
}

impl Function {
    /// Every function, in the order of their numbers.
    pub const ALL: [Function; 8] = [
        Function::Describe,
        Function::Encode,
        Function::Decode,
        Function::Classify,
        Function::Push,
        Function::Finish,
        Function::Check,
        Function::Render,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Function::Describe => "describe",
            Function::Encode => "encode",
            Function::Decode => "decode",
            Function::Classify => "classify",
            Function::Push => "push",
            Function::Finish => "finish",
            Function::Check => "check",
            Function::Render => "render",
        }
    }
}

/// The series of one plugin.
pub struct PluginSeries {
    families: Arc<Families>,
    name: String,
    instantiations: IntCounter,
    calls: [std::sync::OnceLock<Histogram>; Function::ALL.len()],
}

impl PluginSeries {
    pub(super) fn new(families: Arc<Families>, name: &str) -> PluginSeries {
        let instantiations = families.instantiations.with_label_values(&[name]);
        PluginSeries { families, name: name.to_owned(), instantiations, calls: Default::default() }
    }

    /// Counts one call of `function` that took `time`.
    pub fn called(&self, function: Function, time: Duration) {
        let series = || self.families.plugin_call.with_label_values(&[self.name.as_str(), function.as_str()]);
        self.calls[function as usize].get_or_init(series).observe(seconds(time));
    }

    pub fn instantiated(&self) {
        self.instantiations.inc();
    }

    /// Counts a call that the sandbox ended. `kind` is the name of the broken rule.
    pub fn trapped(&self, kind: &str) {
        let kind = self.families.codes.bounded(kind);
        self.families.traps.with_label_values(&[self.name.as_str(), kind]).inc();
    }
}
