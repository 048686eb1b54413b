//! What a guest can reach while it runs: three imports, and the walls around it.
//!
//! One state belongs to one store, and one store to one unit of work. Nothing here outlives it but the log's
//! counters, which hold no word of any call.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use zeroize::Zeroizing;

use super::{
    Settings, Tokenize, Watch,
    bindings::adapter::tollgate::plugin::{log, sign, tokenize, types},
    engine,
    fault::printable,
};

const LOG_LINES_PER_WORK: u32 = 16;
const LOG_LINES_PER_SECOND: u64 = 50;
const LOG_LINE_BYTES_MAX: usize = 1024;
const TOKENIZE_BYTES_MAX: usize = 64 << 10;
const TOKENIZE_BYTES_PER_WORK: usize = 256 << 10;
const SIGN_BYTES_MAX: usize = 1 << 20;
const SIGNATURES_PER_WORK: u32 = 16;

/// What a guest may be interrupted by, at most, in wall time: its deadline of processor time, this many times over.
const WALL_FACTOR: u64 = 10;

/// What all units of work of one plugin share.
pub(super) struct PluginContext {
    /// The operator's name for the plugin.
    name: String,
    tokenize: Arc<dyn Tokenize>,
    pub(super) watch: Arc<dyn Watch>,
    window: AtomicU64,
}

impl PluginContext {
    pub(super) fn new(name: &str, tokenize: Arc<dyn Tokenize>, watch: Arc<dyn Watch>) -> Arc<PluginContext> {
        Arc::new(PluginContext { name: name.to_owned(), tokenize, watch, window: AtomicU64::new(0) })
    }

    /// Whether one more line may be logged in `second`. The window packs the second above a count of 16 bits.
    fn may_log(&self, second: u64) -> bool {
        let advance = |window: u64| {
            let count = if window >> 16 == second { window & 0xffff } else { 0 };
            (count < LOG_LINES_PER_SECOND).then_some((second << 16) | (count + 1))
        };
        self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance).is_ok()
    }
}

/// The data of a guest's store.
pub(super) struct State {
    pub(super) limiter: Limiter,
    deadline: Deadline,
    context: Arc<PluginContext>,
    /// The attempt's credential; only there when the plugin may sign.
    secret: Option<Zeroizing<Vec<u8>>>,
    now_ms: u64,
    lines: u32,
    tokenized_bytes: usize,
    signatures: u32,
}

impl State {
    /// `now_ms` is the call's own time: it paces the log, and nothing else reads it.
    pub(super) fn new(settings: &Settings, context: &Arc<PluginContext>, secret: Option<&[u8]>, now_ms: u64) -> State {
        State {
            limiter: Limiter::new(settings.memory_bytes_max),
            deadline: Deadline::default(),
            context: Arc::clone(context),
            secret: secret.map(|secret| Zeroizing::new(secret.to_vec())),
            now_ms,
            lines: 0,
            tokenized_bytes: 0,
            signatures: 0,
        }
    }

    /// Starts a call's clock and returns after how many ticks `at_deadline` first looks at it.
    pub(super) fn begin(&mut self, deadline_ms: u64) -> u64 {
        self.deadline = Deadline { budget_ms: deadline_ms, ..Deadline::default() };
        Deadline::STEP_MS
    }

    /// The most processor time that the call since `begin` can have had, as far as it was looked at.
    pub(super) fn charged_at_most(&self) -> Duration {
        Duration::from_millis(self.deadline.used_ms + Deadline::STEP_MS)
    }

    /// Called by the engine when a call has run for a while: decides whether it may go on.
    pub(super) fn at_deadline(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
        Ok(store.data_mut().deadline.advance(cpu_ms()))
    }
}

/// A budget of processor time. A call pays for what it computes, not for its thread waiting behind a neighbour's:
/// on a busy machine wall time would kill innocent calls.
#[derive(Default)]
struct Deadline {
    budget_ms: u64,
    wall_ms: u64,
    used_ms: u64,
    /// Processor time of the thread when the call was first looked at.
    first_cpu_ms: Option<u64>,
}

impl Deadline {
    /// Ordinary calls end before the first look, which is the only one they could be charged for.
    const STEP_MS: u64 = 2;

    fn advance(&mut self, cpu_ms: Option<u64>) -> UpdateDeadline {
        self.wall_ms += Self::STEP_MS;
        self.used_ms = match cpu_ms {
            Some(cpu_ms) => cpu_ms.saturating_sub(*self.first_cpu_ms.get_or_insert(cpu_ms)) + Self::STEP_MS,
            None => self.wall_ms,
        };
        if self.used_ms >= self.budget_ms || self.wall_ms >= self.budget_ms.saturating_mul(WALL_FACTOR) {
            return UpdateDeadline::Interrupt;
        }
        UpdateDeadline::Continue(Self::STEP_MS)
    }
}

/// Processor time this thread has had, if the kernel says. Only calls that are already slow come here.
fn cpu_ms() -> Option<u64> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let running_ns: u64 = statistics.split(' ').next()?.parse().ok()?;
    Some(running_ns / 1_000_000)
}

/// Sums all memories and tables of one store: the engine's own limits are for each.
pub(super) struct Limiter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    /// Whether the guest was ever refused.
    pub(super) starved: bool,
}

impl Limiter {
    fn new(memory_bytes_max: usize) -> Limiter {
        Limiter { memory_bytes: 0, memory_bytes_max, table_elements: 0, starved: false }
    }

    /// The most memory the guest has held so far, in bytes: memories never shrink.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        let granted = total <= self.memory_bytes_max;
        if granted {
            self.memory_bytes = total;
        } else {
            self.starved = true;
        }
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.starved = true;
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        let granted = total <= engine::TABLE_ELEMENTS_MAX;
        if granted {
            self.table_elements = total;
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        engine::CORE_INSTANCES_MAX as usize
    }
}

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) {
        if self.lines >= LOG_LINES_PER_WORK || !self.context.may_log(self.now_ms / 1000) {
            return;
        }
        self.lines += 1;
        let plugin = self.context.name.as_str();
        let line = printable(&message, LOG_LINE_BYTES_MAX);
        match level {
            log::Level::Debug => tracing::debug!(target: "tollgate::plugin", plugin, "{line}"),
            log::Level::Info => tracing::info!(target: "tollgate::plugin", plugin, "{line}"),
            log::Level::Warn => tracing::warn!(target: "tollgate::plugin", plugin, "{line}"),
            log::Level::Error => tracing::error!(target: "tollgate::plugin", plugin, "{line}"),
        }
    }
}

impl tokenize::Host for State {
    fn count(&mut self, model: String, text: String) -> Option<u32> {
        // Counting is host code, which no deadline interrupts: the bound on bytes is the bound on time.
        let total = self.tokenized_bytes.saturating_add(text.len());
        if text.len() > TOKENIZE_BYTES_MAX || total > TOKENIZE_BYTES_PER_WORK {
            return None;
        }
        self.tokenized_bytes = total;
        self.context.tokenize.count(&model, &text)
    }
}

impl sign::Host for State {
    fn hmac_sha256(&mut self, slot: String, data: Vec<u8>) -> Result<Vec<u8>, String> {
        // One answer for an unknown slot and an absent credential: a guest learns nothing of what there is.
        let (Some(secret), "key") = (&self.secret, slot.as_str()) else {
            return Err("no such slot".to_owned());
        };
        if data.len() > SIGN_BYTES_MAX || self.signatures >= SIGNATURES_PER_WORK {
            return Err("too much to sign".to_owned());
        }
        self.signatures += 1;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| "no such slot".to_owned())?;
        mac.update(&data);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests;
