//! What is counted of a call: the only door to prometheus.
//!
//! Owns every metric's name, labels and buckets (`table`), and the series a call adds to. A `TargetMetrics` holds the series
//! of one model at one provider, resolved when a snapshot is built, so that counting a call costs a few atomic
//! additions.
//! Invariant: no label takes a value that a client chose, and no label has more values than `Bounds` allows.

mod all;
mod families;
mod genai;
mod plugin;
mod table;
mod target;
#[cfg(test)]
mod tests;

pub use all::{InFlight, Metrics, OpenConnection};
pub use genai::names;
pub use plugin::PluginSeries;
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
