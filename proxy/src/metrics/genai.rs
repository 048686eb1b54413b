//! The names that OpenTelemetry's conventions for generative AI give to what is measured already.
//!
//! Made when somebody asks, from the same series: a call pays for neither.

use prometheus::proto::MetricFamily;

use super::table;

/// A family shown a second time.
struct Copied {
    name: &'static str,
    of: &'static str,
    help: &'static str,
}

const COPIES: &[Copied] = &[
    Copied {
        name: "gen_ai_server_request_duration_seconds",
        of: table::DURATION.name,
        help: "OpenTelemetry: time to serve a call.",
    },
    Copied {
        name: "gen_ai_server_time_to_first_token_seconds",
        of: table::FIRST_BYTE.name,
        help: "OpenTelemetry: time to the first byte of a good answer.",
    },
];

const LABELS: &[(&str, &str)] =
    &[("model", "gen_ai_request_model"), ("provider", "gen_ai_provider_name"), ("operation", "gen_ai_operation_name")];

/// Adds the copies of those families that are there.
pub(super) fn add(families: &mut Vec<MetricFamily>) {
    for copied in COPIES {
        let Some(mut family) = families.iter().find(|family| family.name() == copied.of).cloned() else { continue };
        family.set_name(copied.name.to_owned());
        family.set_help(copied.help.to_owned());
        for label in family.mut_metric().iter_mut().flat_map(|metric| metric.mut_label()) {
            if let Some((_, name)) = LABELS.iter().find(|(ours, _)| *ours == label.name()) {
                label.set_name((*name).to_owned());
            }
        }
        families.push(family);
    }
}

/// The name of every metric, those for OpenTelemetry included.
pub fn names() -> impl Iterator<Item = &'static str> {
    table::ALL.iter().map(|family| family.name).chain(COPIES.iter().map(|copy| copy.name))
}
