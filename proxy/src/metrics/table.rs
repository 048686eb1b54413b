//! Every metric: name, meaning, labels, buckets. No other file spells one.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector};

/// One metric family.
pub(super) struct Family {
    pub(super) name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    buckets: &'static [f64],
}

const fn family(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, help, labels, buckets: &[] }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    buckets: &'static [f64],
    help: &'static str,
) -> Family {
    Family { name, help, labels, buckets }
}

/// From a gateway's own answer to a long reasoning run. From 10 ms on, the buckets OpenTelemetry advises.
const CALL_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    163.84, 327.68,
];
const OVERHEAD_BUCKETS: &[f64] = &[
    0.00001, 0.00002, 0.00003, 0.00005, 0.000075, 0.0001, 0.00015, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05,
    0.25,
];
const PLUGIN_BUCKETS: &[f64] =
    &[0.000005, 0.00001, 0.00002, 0.00004, 0.00008, 0.00016, 0.00032, 0.00064, 0.00128, 0.0025, 0.005, 0.01, 0.05];
/// The buckets OpenTelemetry advises for this metric.
const TOKEN_BUCKETS: &[f64] = &[
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0,
    67108864.0,
];

pub(super) const CALLS: Family = family(
    "tollgate_calls_total",
    &["model", "provider", "status_class", "code"],
    "Client calls that ended; `code` is `ok` or the stable name of the refusal.",
);
pub(super) const TOKENS: Family = family(
    "tollgate_tokens_total",
    &["model", "provider", "kind", "source"],
    "Tokens used. `cached` and `cache_write` are part of `input`, `reasoning` of `output`; `source` says whether the \
     provider reported them or they were counted or estimated here.",
);
pub(super) const CHARGE: Family = family(
    "tollgate_charge_nanos_total",
    &["model", "provider", "currency"],
    "What the calls cost, in thousand-millionths of the currency.",
);
pub(super) const UNPRICED: Family =
    family("tollgate_unpriced_calls_total", &["model"], "Calls that used tokens of a model without a price.");
pub(super) const SET_ASIDE: Family = family(
    "tollgate_usage_set_aside_total",
    &["model", "provider"],
    "Counts that a provider reported and the call does not explain: the tokens were counted here instead.",
);
pub(super) const OVERRUN: Family = family(
    "tollgate_overrun_tokens_total",
    &["model", "provider"],
    "Tokens that providers reported beyond what calls had set aside: prompts above their bound, answers above what the \
     provider was told. They are counted and charged like all others.",
);
pub(super) const IN_FLIGHT: Family = family("tollgate_calls_in_flight", &[], "Client calls being served now.");
pub(super) const CONNECTIONS: Family =
    family("tollgate_connections_open", &[], "Clients' connections that are open now.");
pub(super) const ATTEMPTS: Family = family(
    "tollgate_upstream_attempts_total",
    &["provider", "outcome"],
    "Requests sent to providers; `outcome` is `ok` or what went wrong.",
);
pub(super) const FIRST_BYTE: Family = histogram(
    "tollgate_first_byte_seconds",
    &["model", "provider", "operation"],
    CALL_BUCKETS,
    "From the client's first byte to the first byte of a good answer.",
);
pub(super) const DURATION: Family = histogram(
    "tollgate_call_duration_seconds",
    &["model", "provider", "operation"],
    CALL_BUCKETS,
    "From the client's first byte to the last byte of the answer.",
);
pub(super) const OVERHEAD: Family = histogram(
    "tollgate_gateway_overhead_seconds",
    &[],
    OVERHEAD_BUCKETS,
    "The gateway's own share of a call: neither waiting for the provider nor for the client.",
);
pub(super) const PLUGIN_CALL: Family = histogram(
    "tollgate_plugin_call_seconds",
    &["plugin", "function"],
    PLUGIN_BUCKETS,
    "Time spent in one call into a plugin, its instantiation included.",
);
pub(super) const INSTANTIATIONS: Family =
    family("tollgate_plugin_instantiations_total", &["plugin"], "Fresh instances made of a plugin.");
pub(super) const TRAPS: Family = family(
    "tollgate_plugin_traps_total",
    &["plugin", "kind"],
    "Calls into a plugin that the sandbox refused or ended; `kind` says why.",
);
pub(super) const LAG_ROWS: Family =
    family("tollgate_ledger_lag_rows", &[], "Rows written to the journal and not yet in the store.");
pub(super) const JOURNAL_BYTES: Family =
    family("tollgate_ledger_journal_bytes", &[], "What the journal takes on disk, allocated ahead included.");
pub(super) const ROWS_LOST: Family = family(
    "tollgate_ledger_rows_lost_total",
    &[],
    "Rows of refused calls that were not kept: the disk is full, or the data directory gone.",
);
pub(super) const STORE_BYTES: Family = family("tollgate_store_size_bytes", &[], "What the store takes on disk.");
pub(super) const BUILD_INFO: Family =
    family("tollgate_build_info", &["version"], "Always 1; the label says which Tollgate this is.");
pub(super) const TOKEN_USAGE: Family = histogram(
    "gen_ai_client_token_usage",
    &["gen_ai_request_model", "gen_ai_provider_name", "gen_ai_operation_name", "gen_ai_token_type"],
    TOKEN_BUCKETS,
    "OpenTelemetry: tokens used per call.",
);

pub(super) const ALL: &[&Family] = &[
    &CALLS,
    &TOKENS,
    &CHARGE,
    &UNPRICED,
    &SET_ASIDE,
    &OVERRUN,
    &IN_FLIGHT,
    &CONNECTIONS,
    &ATTEMPTS,
    &FIRST_BYTE,
    &DURATION,
    &OVERHEAD,
    &PLUGIN_CALL,
    &INSTANTIATIONS,
    &TRAPS,
    &LAG_ROWS,
    &JOURNAL_BYTES,
    &ROWS_LOST,
    &STORE_BYTES,
    &BUILD_INFO,
    &TOKEN_USAGE,
];

impl Family {
    pub(super) fn counters(&self, registry: &Registry) -> IntCounterVec {
        let made =
            IntCounterVec::new(Opts::new(self.name, self.help), self.labels).expect("the table's names are valid");
        registered(registry, made)
    }

    pub(super) fn gauges(&self, registry: &Registry) -> IntGaugeVec {
        let made = IntGaugeVec::new(Opts::new(self.name, self.help), self.labels).expect("the table's names are valid");
        registered(registry, made)
    }

    pub(super) fn histograms(&self, registry: &Registry) -> HistogramVec {
        let options = HistogramOpts::new(self.name, self.help).buckets(self.buckets.to_vec());
        registered(registry, HistogramVec::new(options, self.labels).expect("the table's names and buckets are valid"))
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect("each family of the table is registered once");
    collector
}
