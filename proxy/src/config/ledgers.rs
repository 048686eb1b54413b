//! `[ledger]`: how rows come to rest, and how long they stay.

use super::written::Section;
use crate::{ledger, store};

const MIB: u64 = 1 << 20;

pub(super) fn read(root: &Section<'_, '_>) -> (ledger::Settings, store::Settings) {
    let section = root.section("ledger");
    let mut ledger = ledger::Settings::default();
    let number = |name: &str, default: usize, range| section.number_or(name, default as u64, range) as usize;
    ledger.segment_bytes_max = section.number_or("segment_bytes_max", ledger.segment_bytes_max, 65_536..=1024 * MIB);
    ledger.batch_rows_max = number("batch_rows_max", ledger.batch_rows_max, 1..=100_000);
    ledger.interval_ms = section.number_or("interval_ms", ledger.interval_ms, 1..=60_000);
    ledger.flush_interval_ms = section.number_or("flush_interval_ms", ledger.flush_interval_ms, 1..=60_000);
    ledger.open_after_ms = section.number_or("open_after_ms", ledger.open_after_ms, 0..=60_000);
    ledger.queue_bytes_max = number("queue_bytes_max", ledger.queue_bytes_max, MIB..=1024 * MIB);
    ledger.retention_days = section.number("retention_days", 1..=36_500).map(|days| days as u32);
    let mut store = store::Settings::default();
    store.cache_bytes = section.number_or("cache_bytes", store.cache_bytes, MIB..=65_536 * MIB);
    section.finish();
    (ledger, store)
}
