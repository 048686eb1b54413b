//! The series of one model at one provider.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{Histogram, IntCounter};

use super::families::{Families, seconds};
use crate::{call::Tokens, store::Record};

const OK: &str = "ok";
const KINDS: [&str; 5] = ["input", "output", "cached", "cache_write", "reasoning"];
const SOURCES: [&str; 3] = ["provider", "counted", "estimated"];
const OPERATIONS: [&str; 2] = ["chat", "embeddings"];

/// The series of one model at one provider. Series appear with the first call that needs them.
pub struct TargetMetrics {
    families: Arc<Families>,
    model: String,
    provider: String,
    calls_ok: OnceLock<IntCounter>,
    attempts_ok: OnceLock<IntCounter>,
    /// By source, then by kind.
    tokens: [OnceLock<[IntCounter; KINDS.len()]>; SOURCES.len()],
    /// The first currency seen. A model's price hardly ever changes its currency.
    charge: OnceLock<(String, IntCounter)>,
    unpriced: OnceLock<IntCounter>,
    operations: [OnceLock<Measured>; OPERATIONS.len()],
}

/// What is measured of each operation.
struct Measured {
    first_byte: Histogram,
    duration: Histogram,
    input: Histogram,
    output: Histogram,
}

impl TargetMetrics {
    pub(super) fn new(families: Arc<Families>, model: &str, provider: &str) -> TargetMetrics {
        TargetMetrics {
            families,
            model: model.to_owned(),
            provider: provider.to_owned(),
            calls_ok: OnceLock::new(),
            attempts_ok: OnceLock::new(),
            tokens: Default::default(),
            charge: OnceLock::new(),
            unpriced: OnceLock::new(),
            operations: Default::default(),
        }
    }

    /// The label under which the model counts.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The label under which the provider counts.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Counts a call that ended. Once per record, at the target that answered or was tried last.
    pub fn count(&self, record: &Record) {
        self.count_ending(record.status, &record.error_class);
        self.count_tokens(&record.tokens, record.usage_source.as_str());
        if record.priced || record.charge_nanos > 0 {
            self.count_charge(&record.currency, record.charge_nanos);
        }
        if !record.priced && record.tokens.total() > 0 {
            self.unpriced.get_or_init(|| self.families.unpriced.with_label_values(&[&self.model])).inc();
        }
        self.families.overhead.observe(micros(record.overhead_us));
        let Some(at) = OPERATIONS.iter().position(|operation| *operation == record.operation) else { return };
        let measured = self.operations[at].get_or_init(|| self.measured(OPERATIONS[at]));
        measured.duration.observe(micros(record.total_us));
        if let Some(first_byte_us) = record.first_byte_us {
            measured.first_byte.observe(micros(first_byte_us));
        }
        if record.tokens.total() > 0 {
            measured.input.observe(record.tokens.input as f64);
            measured.output.observe(record.tokens.output as f64);
        }
    }

    /// Counts one request sent to the provider. `outcome` is `ok` or one of the names of what goes wrong.
    pub fn attempt(&self, outcome: &str) {
        if outcome == OK {
            self.attempts_ok
                .get_or_init(|| self.families.attempts.with_label_values::<&str>(&[&self.provider, OK]))
                .inc();
            return;
        }
        let outcome = self.families.codes.bounded(outcome);
        self.families.attempts.with_label_values::<&str>(&[&self.provider, outcome]).inc();
    }

    /// Counts a report of usage that nobody believes.
    pub fn set_aside(&self) {
        self.families.set_aside.with_label_values::<&str>(&[&self.model, &self.provider]).inc();
    }

    /// Counts tokens that the provider reported beyond what was held for the call.
    pub fn overrun(&self, tokens: u64) {
        self.families.overrun.with_label_values::<&str>(&[&self.model, &self.provider]).inc_by(tokens);
    }

    fn count_ending(&self, status: u16, code: &str) {
        if code.is_empty() && (200..300).contains(&status) {
            let labels: [&str; 4] = [&self.model, &self.provider, "2xx", OK];
            self.calls_ok.get_or_init(|| self.families.calls.with_label_values(&labels)).inc();
            return;
        }
        let class = match status {
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        let code = if code.is_empty() { OK } else { self.families.codes.bounded(code) };
        self.families.calls.with_label_values::<&str>(&[&self.model, &self.provider, class, code]).inc();
    }

    fn count_tokens(&self, tokens: &Tokens, source: &str) {
        let Some(at) = SOURCES.iter().position(|known| *known == source) else { return };
        let counts = [tokens.input, tokens.output, tokens.cached, tokens.cache_write, tokens.reasoning];
        if counts == [0; KINDS.len()] {
            return;
        }
        let series =
            |kind| self.families.tokens.with_label_values::<&str>(&[&self.model, &self.provider, kind, source]);
        let counters = self.tokens[at].get_or_init(|| KINDS.map(series));
        for (counter, count) in counters.iter().zip(counts).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
    }

    fn count_charge(&self, currency: &str, nanos: u64) {
        let series = || self.families.charge.with_label_values::<&str>(&[&self.model, &self.provider, currency]);
        let (first, counter) = self.charge.get_or_init(|| (currency.to_owned(), series()));
        if first == currency { counter.inc_by(nanos) } else { series().inc_by(nanos) }
    }

    fn measured(&self, operation: &str) -> Measured {
        let labels: [&str; 3] = [&self.model, &self.provider, operation];
        let tokens =
            |kind| self.families.token_usage.with_label_values::<&str>(&[&self.model, &self.provider, operation, kind]);
        Measured {
            first_byte: self.families.first_byte.with_label_values(&labels),
            duration: self.families.duration.with_label_values(&labels),
            input: tokens("input"),
            output: tokens("output"),
        }
    }
}

fn micros(us: u64) -> f64 {
    seconds(Duration::from_micros(us))
}
