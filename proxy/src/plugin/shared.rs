//! What all guests of the process share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Instant,
};

use tokio::sync::Semaphore;

use super::{
    Observer, Settings, Tokenize,
    engine::Engines,
    memory::{self, MemoryBudget},
    place::Places,
    share::Demand,
    state::PluginContext,
};

/// What all guests of the process share.
pub(super) struct HostShared {
    pub(super) settings: Settings,
    pub(super) engines: Engines,
    pub(super) calls: Arc<Places>,
    pub(super) streams: Arc<Places>,
    pub(super) memory: Arc<MemoryBudget>,
    pub(super) long_work: Semaphore,
    /// A permit for each beginning of a call that waits for one of those.
    pub(super) long_work_queue: Semaphore,
    pub(super) demand: Demand,
    pub(super) began: Instant,
    pub(super) plugins: AtomicU32,
    pub(super) tokenize: Arc<dyn Tokenize>,
    pub(super) observer: Arc<dyn Observer>,
}

impl HostShared {
    pub(super) fn new(
        settings: Settings,
        engines: Engines,
        tokenize: Arc<dyn Tokenize>,
        observer: Arc<dyn Observer>,
    ) -> HostShared {
        let processors = thread::available_parallelism().map_or(1, |processors| processors.get());
        let long_work = settings.long_work_max.map_or((processors / 2).max(1), |most| most as usize);
        HostShared {
            engines,
            calls: Places::new(settings.calls_max),
            streams: Places::new(settings.streams_max),
            memory: MemoryBudget::new(settings.memory_total_bytes_max.unwrap_or_else(memory::default_bytes_max)),
            long_work: Semaphore::new(long_work),
            long_work_queue: Semaphore::new(settings.long_work_queue_max as usize),
            demand: Demand::default(),
            began: Instant::now(),
            plugins: AtomicU32::new(0),
            settings,
            tokenize,
            observer,
        }
    }

    pub(super) fn context(&self, name: &str) -> Arc<PluginContext> {
        let id = self.plugins.fetch_add(1, Ordering::Relaxed) + 1;
        let watch = self.observer.watch(name);
        PluginContext::new(id, name, &self.settings, &self.memory, Arc::clone(&self.tokenize), watch)
    }

    /// `now` as the shares of the processors count it.
    pub(super) fn ns_at(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}
