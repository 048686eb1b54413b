//! When a plugin may work, and where: work beyond its share waits without a worker, and long work runs beside the
//! workers, so much of it at once.

use std::time::{Duration, Instant};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::SemaphorePermit,
    task::block_in_place,
    time::sleep,
};

use super::{PluginError, Scarce, share::Kind, shared::HostShared, state::PluginContext};

/// Work that is given more text than this is long, in bytes.
const LONG_BYTES: usize = 256 << 10;
/// Work that usually takes more processor time than this is long.
const LONG_COST: Duration = Duration::from_millis(1);

/// What a call wants of a plugin next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The beginning of a call. Refused while the plugin rests, before anything is sent that would be paid for.
    Encode {
        streaming: bool,
        /// [`Context::caller`](super::Context::caller).
        caller: u64,
    },
    Decode,
    Classify,
    /// A stream's next frames, or its end.
    Push,
    Template {
        caller: u64,
    },
}

impl Work {
    fn kind(self) -> Kind {
        match self {
            Work::Encode { .. } => Kind::Encode,
            Work::Decode => Kind::Decode,
            Work::Classify => Kind::Classify,
            Work::Push => Kind::Stream,
            Work::Template { .. } => Kind::Template,
        }
    }

    /// The work that a call which begins with this must be able to rely on. Nothing for work in the middle of a call.
    fn relies_on(self) -> &'static [Kind] {
        match self {
            Work::Encode { streaming: true, .. } => &[Kind::Encode, Kind::Stream, Kind::Classify],
            Work::Encode { streaming: false, .. } => &[Kind::Encode, Kind::Decode, Kind::Classify],
            Work::Template { .. } => &[Kind::Template],
            Work::Decode | Work::Classify | Work::Push => &[],
        }
    }

    /// Whose call begins with this. None of work in the middle of a call.
    fn beginner(self) -> Option<u64> {
        match self {
            Work::Encode { caller, .. } | Work::Template { caller } => Some(caller),
            Work::Decode | Work::Classify | Work::Push => None,
        }
    }
}

/// A plugin's turn to do one piece of work. Dropping it ends the turn.
pub struct Turn<'a> {
    context: &'a PluginContext,
    advance_ns: u64,
    /// There for long work.
    permit: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// Does the work: beside the worker, whose other tasks go on, where it is long.
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        // A runtime of one thread has nowhere to move its other tasks to.
        let beside = self.permit.is_some() && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
        if beside { block_in_place(work) } else { work() }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.context.cpu.give_back(self.advance_ns);
    }
}

/// Waits for the plugin's turn to do `work` on `bytes` of text.
pub(super) async fn turn<'a>(
    shared: &'a HostShared,
    context: &'a PluginContext,
    work: Work,
    bytes: usize,
) -> Result<Turn<'a>, PluginError> {
    let now_ns = shared.ns_at(Instant::now());
    let now_ms = now_ns / 1_000_000;
    let resting = |retry_after_ms| PluginError::Resting { retry_after_ms };
    if let Some(caller) = work.beginner() {
        context.health.admit(work.relies_on(), caller, now_ms).map_err(resting)?;
    }
    let wanted_by_others = shared.demand.note(context.id, now_ms);
    let admitted = context.cpu.admit(work.kind(), now_ns, wanted_by_others, work.beginner().is_none());
    let admitted = admitted.ok_or(PluginError::Busy(Scarce::Processor))?;
    let mut turn = Turn { context, advance_ns: admitted.advance_ns, permit: None };
    if !admitted.wait.is_zero() {
        sleep(admitted.wait).await;
    }
    // What nobody has measured may be long.
    if bytes > LONG_BYTES || context.cpu.average(work.kind()).is_none_or(|cost| cost > LONG_COST) {
        // What has begun waits as long as its call may. There are no more of those than calls.
        let _queued = match work.beginner() {
            Some(_) => Some(shared.long_work_queue.try_acquire().map_err(|_| PluginError::Busy(Scarce::Queue))?),
            None => None,
        };
        turn.permit = Some(shared.long_work.acquire().await.map_err(|_| PluginError::Busy(Scarce::Queue))?);
    }
    Ok(turn)
}
