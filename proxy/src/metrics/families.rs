//! The families behind the series, and the bound of labels that come from code.

use std::{collections::HashSet, time::Duration};

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};

use super::{OTHER, table};

/// The families behind the series, as `table` describes them.
pub(super) struct Families {
    pub(super) calls: IntCounterVec,
    pub(super) tokens: IntCounterVec,
    pub(super) charge: IntCounterVec,
    pub(super) unpriced: IntCounterVec,
    pub(super) set_aside: IntCounterVec,
    pub(super) overrun: IntCounterVec,
    pub(super) attempts: IntCounterVec,
    pub(super) first_byte: HistogramVec,
    pub(super) duration: HistogramVec,
    pub(super) token_usage: HistogramVec,
    pub(super) overhead: Histogram,
    pub(super) plugin_call: HistogramVec,
    pub(super) instantiations: IntCounterVec,
    pub(super) traps: IntCounterVec,
    pub(super) in_flight: IntGauge,
    pub(super) connections: IntGauge,
    pub(super) lag_rows: IntGauge,
    pub(super) journal_bytes: IntGauge,
    pub(super) store_bytes: IntGauge,
    pub(super) rows_lost: IntCounter,
    pub(super) codes: Codes,
}

/// Label values that come from code rather than config. Few, but a bound is a bound.
pub(super) struct Codes {
    seen: Mutex<HashSet<String>>,
    max: usize,
}

impl Families {
    pub(super) fn register(registry: &Registry, codes_max: usize) -> Families {
        Families {
            calls: table::CALLS.counters(registry),
            tokens: table::TOKENS.counters(registry),
            charge: table::CHARGE.counters(registry),
            unpriced: table::UNPRICED.counters(registry),
            set_aside: table::SET_ASIDE.counters(registry),
            overrun: table::OVERRUN.counters(registry),
            attempts: table::ATTEMPTS.counters(registry),
            first_byte: table::FIRST_BYTE.histograms(registry),
            duration: table::DURATION.histograms(registry),
            token_usage: table::TOKEN_USAGE.histograms(registry),
            overhead: table::OVERHEAD.histograms(registry).with_label_values::<&str>(&[]),
            plugin_call: table::PLUGIN_CALL.histograms(registry),
            instantiations: table::INSTANTIATIONS.counters(registry),
            traps: table::TRAPS.counters(registry),
            in_flight: table::IN_FLIGHT.gauges(registry).with_label_values::<&str>(&[]),
            connections: table::CONNECTIONS.gauges(registry).with_label_values::<&str>(&[]),
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
    pub(super) fn bounded<'c>(&self, code: &'c str) -> &'c str {
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

/// As Prometheus counts time.
pub(super) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
