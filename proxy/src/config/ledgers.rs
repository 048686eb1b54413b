//! `[ledger]`: how rows come to rest, and how long they stay.

use super::{Limits, written::Section};
use crate::{journal, store};

const MIB: u64 = 1 << 20;

pub(super) fn read(root: &Section<'_, '_>, limits: &Limits) -> (journal::Settings, store::Settings) {
    let section = root.section("ledger");
    let mut journal = journal::Settings::default();
    let number = |name: &str, default: usize, range| section.number_or(name, default as u64, range) as usize;
    journal.segment_bytes = number("segment_bytes", journal.segment_bytes, MIB..=256 * MIB);
    journal.batch_rows_max = number("batch_rows_max", journal.batch_rows_max, 1..=100_000);
    journal.interval_ms = section.number_or("interval_ms", journal.interval_ms, 1..=60_000);
    journal.flush_interval_ms = section.number_or("flush_interval_ms", journal.flush_interval_ms, 1..=60_000);
    journal.store_interval_ms = section.number_or("store_interval_ms", journal.store_interval_ms, 1..=600_000);
    journal.keys_max = number("keys_max", journal.keys_max, 1..=100_000_000);
    journal.retention_days = section.number("retention_days", 1..=36_500).map(|days| days as u32);
    journal.calls_max = u32::try_from(limits.calls_max).unwrap_or(u32::MAX);
    let mut store = store::Settings::default();
    store.cache_bytes = section.number_or("cache_bytes", store.cache_bytes, MIB..=65_536 * MIB);
    store.logged_bytes_max = section.number_or("logged_bytes_max", store.logged_bytes_max, MIB..=1_024 * MIB);
    section.finish();
    (journal, store)
}
