//! What a guest can reach while it runs: three imports, and the walls around it.
//!
//! One state belongs to one store, and one store to one unit of work. Nothing here outlives it but the plugin's
//! context, which holds no word of any call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hmac::{Hmac, Mac};
use rustix::time::{ClockId, clock_gettime};
use sha2::Sha256;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use zeroize::Zeroizing;

use super::{
    Settings, Tokenize, Watch,
    bindings::adapter::tollgate::plugin::{log, sign, tokenize, types},
    engine,
    health::{Health, RestRule},
    memory::{MemoryBudget, MemoryShare},
    printable::printable,
    share::CpuShare,
};

const LOG_LINE_BYTES_MAX: usize = 1024;
const TOKENIZE_BYTES_MAX: usize = 64 << 10;
const TOKENIZE_BYTES_PER_WORK: usize = 256 << 10;
const SIGN_BYTES_MAX: usize = 1 << 20;
const SIGNATURES_PER_WORK: u32 = 16;

/// What all units of work of one plugin share.
pub(super) struct PluginContext {
    /// Tells plugins apart; counts from 1.
    pub(super) id: u32,
    /// The operator's name for the plugin.
    pub(super) name: String,
    tokenize: Arc<dyn Tokenize>,
    pub(super) watch: Arc<dyn Watch>,
    memory: MemoryShare,
    pub(super) cpu: CpuShare,
    pub(super) health: Health,
    log: LogPace,
}

impl PluginContext {
    pub(super) fn new(
        id: u32,
        name: &str,
        settings: &Settings,
        memory: &Arc<MemoryBudget>,
        tokenize: Arc<dyn Tokenize>,
        watch: Arc<dyn Watch>,
    ) -> Arc<PluginContext> {
        let rule = RestRule {
            faults_max: settings.faults_max,
            callers_min: settings.rest_callers_min,
            rest_ms: settings.rest_ms,
            rest_ms_max: settings.rest_ms_max,
        };
        Arc::new(PluginContext {
            id,
            name: name.to_owned(),
            tokenize,
            watch,
            memory: MemoryShare::new(memory),
            cpu: CpuShare::new(settings.cpu_share_percent),
            health: Health::new(rule),
            log: LogPace::new(settings.log_lines_per_s_max),
        })
    }
}

/// How fast one plugin may log, across all its calls.
struct LogPace {
    began: Instant,
    lines_per_s_max: u32,
    /// The second above the count of its lines.
    window: AtomicU64,
}

impl LogPace {
    fn new(lines_per_s_max: u32) -> LogPace {
        LogPace { began: Instant::now(), lines_per_s_max, window: AtomicU64::new(0) }
    }

    /// Whether one more line may be logged `now`.
    fn admit(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.began).as_secs();
        let advance = |window: u64| {
            let count = if window >> 32 == second { window & u64::from(u32::MAX) } else { 0 };
            (count < u64::from(self.lines_per_s_max)).then_some((second << 32) | (count + 1))
        };
        self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance).is_ok()
    }
}

/// The data of a guest's store.
pub(super) struct State {
    pub(super) limiter: Limiter,
    pub(super) deadline: Deadline,
    context: Arc<PluginContext>,
    /// The attempt's credential; only there when the plugin may sign.
    secret: Option<Zeroizing<Vec<u8>>>,
    log_lines_left: u32,
    tokenized_bytes: usize,
    signatures: u32,
}

impl State {
    /// For a unit of work that began at `began`.
    pub(super) fn new(
        settings: &Settings,
        context: &Arc<PluginContext>,
        reserved: Option<ReservedMemory>,
        secret: Option<&[u8]>,
        began: Instant,
    ) -> State {
        State {
            limiter: Limiter::new(settings.memory_bytes_max, reserved.map_or(0, ReservedMemory::hand_over)),
            deadline: Deadline::new(Duration::ZERO, began),
            context: Arc::clone(context),
            secret: secret.map(|secret| Zeroizing::new(secret.to_vec())),
            log_lines_left: settings.log_lines_per_call_max,
            tokenized_bytes: 0,
            signatures: 0,
        }
    }

    /// Starts the clock of a call that began at `began`, and returns after how many ticks `at_deadline` first looks
    /// at it.
    pub(super) fn begin(&mut self, budget: Duration, began: Instant) -> u64 {
        self.deadline = Deadline::new(budget, began);
        Deadline::STEP_TICKS
    }

    /// Called by the engine when a call has run for a while: decides whether it may go on.
    pub(super) fn at_deadline(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
        let deadline = &mut store.data_mut().deadline;
        let wall = deadline.began.elapsed();
        Ok(deadline.look(thread_cpu(), wall))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.context.memory.give_back(self.limiter.memory_bytes + self.limiter.reserved_bytes);
    }
}

/// Memory charged to a plugin for an instance to come. Given back when dropped, unless it was handed over.
pub(super) struct ReservedMemory {
    context: Arc<PluginContext>,
    bytes: usize,
}

impl ReservedMemory {
    /// None if the plugin may not have so much now.
    pub(super) fn take(context: &Arc<PluginContext>, bytes: usize) -> Option<ReservedMemory> {
        context.memory.take(bytes, bytes).then(|| ReservedMemory { context: Arc::clone(context), bytes })
    }

    /// The bytes, which are now the caller's to give back.
    fn hand_over(mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for ReservedMemory {
    fn drop(&mut self) {
        self.context.memory.give_back(self.bytes);
    }
}

/// A budget of processor time. A call pays for what it computes, not for its thread waiting behind another: on a busy
/// machine wall time would end innocent calls.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    budget: Duration,
    began: Instant,
    first_look: Option<Look>,
}

#[derive(Clone, Copy)]
struct Look {
    /// Processor time of the thread; none where the kernel does not tell it.
    cpu: Option<Duration>,
    wall: Duration,
}

impl Deadline {
    /// Ordinary calls end before the first look, and so never read the thread's clock.
    const STEP_TICKS: u64 = 2;
    const STEP: Duration = Duration::from_millis(Self::STEP_TICKS * engine::TICK.as_millis() as u64);
    /// The bound on wall time, as a multiple of the budget and at least.
    const WALL_FACTOR: u32 = 20;
    const WALL_MIN: Duration = Duration::from_secs(1);

    fn new(budget: Duration, began: Instant) -> Deadline {
        Deadline { budget, began, first_look: None }
    }

    /// Looks at a call that has taken `wall` and whose thread has had `cpu`.
    fn look(&mut self, cpu: Option<Duration>, wall: Duration) -> UpdateDeadline {
        let first = *self.first_look.get_or_insert(Look { cpu, wall });
        // Before the first look, nobody knows: it may all have been waiting, so that the guest is given it.
        let used = match (cpu, first.cpu) {
            (Some(now), Some(before)) => now.saturating_sub(before),
            _ => wall,
        };
        if used >= self.budget || wall >= (self.budget * Self::WALL_FACTOR).max(Self::WALL_MIN) {
            return UpdateDeadline::Interrupt;
        }
        UpdateDeadline::Continue(Self::STEP_TICKS)
    }

    /// The processor time of a call that took `took` by the wall and has just ended, on this thread.
    pub(super) fn cost(&self, took: Duration) -> Duration {
        // Only a call that was looked at can have waited for long, and only then is the clock worth reading.
        self.cost_at(took, self.first_look.and_then(|_| thread_cpu()))
    }

    fn cost_at(&self, took: Duration, cpu: Option<Duration>) -> Duration {
        let Some(first) = self.first_look else { return took };
        match (cpu, first.cpu) {
            (Some(now), Some(before)) => (first.wall.min(Self::STEP) + now.saturating_sub(before)).min(took),
            _ => took,
        }
    }
}

/// Processor time that this thread has had, exact to the microsecond, if the kernel tells.
fn thread_cpu() -> Option<Duration> {
    clock_gettime(ClockId::ThreadCPUTime).try_into().ok()
}

/// Sums all memories and tables of one store: the engine's own limits are for each.
pub(super) struct Limiter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    /// Charged already, and not yet grown into.
    reserved_bytes: usize,
    /// The growth granted last, which the engine may still fail to make.
    granted_bytes: usize,
    table_elements: usize,
    /// Whether the guest was ever refused memory, and by which bound.
    pub(super) refused: Option<MemoryBound>,
}

/// A bound on memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemoryBound {
    Instance,
    /// That of all instances together.
    Total,
}

impl Limiter {
    fn new(memory_bytes_max: usize, reserved_bytes: usize) -> Limiter {
        Limiter {
            memory_bytes: 0,
            memory_bytes_max,
            reserved_bytes,
            granted_bytes: 0,
            table_elements: 0,
            refused: None,
        }
    }

    /// The most memory the guest has held so far, in bytes: memories never shrink.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn grow(&mut self, share: &MemoryShare, bytes: usize) -> bool {
        let total = self.memory_bytes.saturating_add(bytes);
        let reserved = self.reserved_bytes.min(bytes);
        let more = bytes - reserved;
        self.refused = if total > self.memory_bytes_max {
            Some(MemoryBound::Instance)
        } else if more > 0 && !share.take(more, total) {
            Some(MemoryBound::Total)
        } else {
            self.memory_bytes = total;
            self.reserved_bytes -= reserved;
            self.granted_bytes = bytes;
            return true;
        };
        false
    }

    /// The engine could not make the growth granted last.
    fn failed(&mut self, share: &MemoryShare) {
        let bytes = std::mem::take(&mut self.granted_bytes);
        self.memory_bytes -= bytes;
        share.give_back(bytes);
        self.refused.get_or_insert(MemoryBound::Instance);
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.limiter.grow(&self.context.memory, desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.limiter.failed(&self.context.memory);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.limiter.table_elements.saturating_add(desired.saturating_sub(current));
        let granted = total <= engine::TABLE_ELEMENTS_MAX;
        if granted {
            self.limiter.table_elements = total;
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
        if self.log_lines_left == 0 || !self.context.log.admit(Instant::now()) {
            return;
        }
        self.log_lines_left -= 1;
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
