//! The process's engines: what guests may use, how much, and the clock that interrupts them.
//!
//! The settings trade nothing for speed that isolation needs: no threads, no collector, no 64-bit memory, no
//! concurrency of the component model. The clock is a thread, so engines must be made after the last fork.
//!
//! There are two, alike but for what a pool does with an instance's memory when it is done. Calls are many and short,
//! and few at one time: their slots are cleared by writing, which costs no system call and keeps all their memory.
//! Streams are long and may be many: their slots are given back to the kernel, so that an open stream costs what it
//! touched and a closed one nothing. Invariant: nothing made by one engine ever meets the other.

use std::{
    num::NonZeroUsize,
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmFeatures,
};

use super::{LoadError, Settings};

/// A deadline is counted in ticks of this length.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// What a guest of the kit starts with: five pages. A slot that keeps less pays two system calls a call; one that
/// keeps more pays for clearing what was never written.
const CALL_KEEPS_BYTES: usize = 384 << 10;
const TABLE_KEEPS_BYTES: usize = 64 << 10;
pub(super) const TABLE_ELEMENTS_MAX: usize = 20_000;
pub(super) const CORE_INSTANCES_MAX: u32 = 8;
pub(super) const MEMORIES_MAX: u32 = 2;
const TABLES_MAX: u32 = 4;

/// Where instances live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allocation {
    /// Slots mapped once and reused, their memory kept.
    Calls,
    /// Slots mapped once and reused, their memory given back.
    Streams,
    /// Mapped for each instance: slow, for address spaces too small for a pool, and for compiling.
    OnDemand,
}

/// The engines of a process.
pub(super) struct Engines {
    pub(super) calls: Engine,
    pub(super) streams: Engine,
    /// Whether instances live in pools.
    pub(super) pooled: bool,
}

/// Engines, their clock running.
///
/// # Errors
/// [`LoadError::Engine`] if this processor or kernel cannot run guests at all.
pub(super) fn start(settings: &Settings) -> Result<Engines, LoadError> {
    let pool = |allocation| Engine::new(&config(settings, allocation));
    let engines = match (pool(Allocation::Calls), pool(Allocation::Streams)) {
        (Ok(calls), Ok(streams)) => Engines { calls, streams, pooled: true },
        // A pool reserves terabytes of addresses; 39-bit kernels and `ulimit -v` refuse that.
        _ => Engines { calls: without_pool(settings)?, streams: without_pool(settings)?, pooled: false },
    };
    // The clock ends by itself, when the engines do.
    drop(tick([engines.calls.weak(), engines.streams.weak()])?);
    Ok(engines)
}

/// An engine that compiles and never runs anything: no pool, no clock.
pub(super) fn without_pool(settings: &Settings) -> Result<Engine, LoadError> {
    Engine::new(&config(settings, Allocation::OnDemand)).map_err(|error| LoadError::Engine(error.to_string()))
}

fn config(settings: &Settings, allocation: Allocation) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .consume_fuel(false)
        .max_wasm_stack(settings.stack_bytes_max)
        .wasm_backtrace_max_frames(NonZeroUsize::new(8))
        .native_unwind_info(false)
        .signals_based_traps(true)
        .memory_init_cow(true)
        .concurrency_support(false);
    // Multi-memory stays on: without it a composed component panics the compiler before the pool can refuse it.
    for feature in [
        WasmFeatures::THREADS,
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        WasmFeatures::MEMORY64,
        WasmFeatures::GC,
        WasmFeatures::FUNCTION_REFERENCES,
        WasmFeatures::EXCEPTIONS,
        WasmFeatures::LEGACY_EXCEPTIONS,
        WasmFeatures::RELAXED_SIMD,
        WasmFeatures::TAIL_CALL,
        WasmFeatures::STACK_SWITCHING,
    ] {
        config.wasm_features(feature, false);
    }
    config.allocation_strategy(match allocation {
        Allocation::Calls => InstanceAllocationStrategy::Pooling({
            let mut pool = pool(settings, settings.calls_max);
            pool.linear_memory_keep_resident(CALL_KEEPS_BYTES);
            pool
        }),
        Allocation::Streams => InstanceAllocationStrategy::Pooling(pool(settings, settings.streams_max)),
        Allocation::OnDemand => InstanceAllocationStrategy::OnDemand,
    });
    config
}

/// A pool with room for `instances` of them at their largest, so that who holds a place finds a slot. Keeps no memories.
fn pool(settings: &Settings, instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(instances.saturating_mul(MEMORIES_MAX))
        .total_tables(instances.saturating_mul(TABLES_MAX))
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .max_memory_size(settings.memory_bytes_max)
        .table_elements(TABLE_ELEMENTS_MAX)
        .table_keep_resident(TABLE_KEEPS_BYTES)
        .max_unused_warm_slots(settings.warm_slots_max)
        // On wasmtime 48 the scan misses pages that were swapped out, and the next guest would read them.
        .pagemap_scan(Enabled::No);
    pool
}

impl Engines {
    /// Memory that unused slots keep, in bytes.
    pub(super) fn idle_bytes(&self) -> usize {
        let pools = [&self.calls, &self.streams].map(Engine::pooling_allocator_metrics);
        pools.into_iter().flatten().map(|pool| pool.unused_memory_bytes_resident()).sum()
    }
}

/// Advances the engines' epochs each tick, on a thread of its own: with every worker inside a guest, a task would
/// never run. Ends when the engines do.
fn tick(engines: [EngineWeak; 2]) -> Result<JoinHandle<()>, LoadError> {
    let clock = move || {
        loop {
            let engines = engines.each_ref().map(EngineWeak::upgrade);
            if engines.iter().all(Option::is_none) {
                return;
            }
            engines.iter().flatten().for_each(Engine::increment_epoch);
            drop(engines);
            thread::park_timeout(TICK);
        }
    };
    thread::Builder::new()
        .name("tollgate-epoch".into())
        .spawn(clock)
        .map_err(|error| LoadError::Engine(format!("no thread for the guests' clock: {error}")))
}

#[cfg(test)]
mod tests;
