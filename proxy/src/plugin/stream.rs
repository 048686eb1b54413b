//! One streamed answer in one instance, from its first frame to its last.
//!
//! Invariant: after any fault, any refusal and `finish`, the instance is gone and the stream only says that it ended.

use std::time::{Duration, Instant};

use wasmtime::component::ResourceAny;

use super::{
    Function, PluginError, StreamPlace,
    adapter::{Adapter, Events, Finish, Open, Push},
    bindings::adapter::tollgate::plugin::types as wire,
    guest::{CallInput, Instance, Spent},
    validate::{self, Turn},
};
use crate::{
    call::{Event, Failure},
    framing::Frame,
};

/// A stream being decoded. Occupies a sandbox until it ends or is dropped.
pub struct Stream {
    adapter: Adapter,
    /// None once the stream has ended.
    live: Option<Live>,
    turn: Turn,
    /// Processor time of all pushes so far.
    spent: Duration,
    /// Bytes pushed since the last event.
    silent_bytes: usize,
}

struct Live {
    instance: Instance,
    stream: ResourceAny,
}

impl Stream {
    pub(super) fn open(
        adapter: Adapter,
        place: StreamPlace,
        context: &wire::CallContext<'_>,
    ) -> Result<Stream, PluginError> {
        let began = Instant::now();
        let live = Live::open(&adapter, place, began, context);
        let instance = live.as_ref().ok().map(|live| &live.instance);
        let spent = Spent::since(began, instance.map(Instance::deadline));
        let memory_bytes = instance.map_or(0, Instance::memory_bytes);
        adapter.streamed().guest.report(Function::Open, spent, memory_bytes, live.as_ref().err());
        let (live, spent) = (Some(live?), spent.cost);
        Ok(Stream { adapter, live, turn: Turn::default(), spent, silent_bytes: 0 })
    }

    /// What `frames`, the next of the answer, mean.
    ///
    /// # Errors
    /// [`PluginError`] if the guest failed or the stream has ended; the inner [`Failure`] if the guest gave up.
    pub fn push(&mut self, frames: &[Frame]) -> Result<Result<Vec<Event>, Failure>, PluginError> {
        let mut pushed = Vec::with_capacity(frames.len());
        let mut bytes = 0;
        for frame in frames {
            bytes += frame.event.len() + frame.data.len();
            pushed.push(wire::Frame { event: text(&frame.event)?, data: text(&frame.data)? });
        }
        let result = self.call(Function::Push, frames.len(), bytes, |adapter, live| {
            live.instance.call::<Push<'_>, Events>(&adapter.streamed().push, (live.stream, &pushed))
        });
        let Ok(Ok(events)) = &result else {
            return result;
        };
        self.silent_bytes = if events.is_empty() { self.silent_bytes.saturating_add(bytes) } else { 0 };
        if self.silent_bytes > self.adapter.streamed().guest.shared().settings.silent_bytes_max {
            self.live = None;
            return Err(PluginError::Silent);
        }
        result
    }

    /// What remains to be said when the answer has ended. Ends the stream.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn finish(&mut self) -> Result<Result<Vec<Event>, Failure>, PluginError> {
        let result = self.call(Function::Finish, 0, 0, |adapter, live| {
            live.instance.call::<Finish, Events>(&adapter.streamed().finish, (live.stream,))
        });
        self.live = None;
        result
    }

    /// One call into the instance, which survives only if all is well.
    fn call(
        &mut self,
        function: Function,
        frames: usize,
        bytes: usize,
        work: impl FnOnce(&Adapter, &mut Live) -> Result<Events, PluginError>,
    ) -> Result<Result<Vec<Event>, Failure>, PluginError> {
        let mut live = self.live.take().ok_or(PluginError::Ended)?;
        let settings = &self.adapter.streamed().guest.shared().settings;
        let began = Instant::now();
        live.instance.renew(began, settings.push_deadline_ms, settings.output_bytes_max, bytes);
        let said = work(&self.adapter, &mut live);
        let spent = Spent::since(began, Some(live.instance.deadline()));
        self.spent += spent.cost;
        let said = match said {
            Ok(_) if self.spent > Duration::from_millis(settings.stream_cpu_ms_max) => Err(PluginError::Exhausted),
            said => said,
        };
        let result = said.and_then(|(said,)| match said {
            Ok(events) => Ok(Ok(self.turn.events(events, frames, settings.events_per_push_max)?)),
            Err(failure) => Ok(Err(validate::failure(failure))),
        });
        self.adapter.streamed().guest.report(function, spent, live.instance.memory_bytes(), result.as_ref().err());
        if matches!(result, Ok(Ok(_))) && !self.turn.failed {
            self.live = Some(live);
        }
        result
    }
}

impl Live {
    fn open(
        adapter: &Adapter,
        place: StreamPlace,
        began: Instant,
        context: &wire::CallContext<'_>,
    ) -> Result<Live, PluginError> {
        let guest = &adapter.streamed().guest;
        let deadline_ms = guest.shared().settings.push_deadline_ms;
        let mut instance = guest.enter(place.0, began, deadline_ms, CallInput::default())?;
        let (stream,) = instance.call::<Open<'_>, (ResourceAny,)>(&adapter.streamed().open, (context,))?;
        Ok(Live { instance, stream })
    }
}

/// A frame's text. `framing` lets nothing else through, so another answer here is a fault of the host's.
fn text(bytes: &[u8]) -> Result<&str, PluginError> {
    str::from_utf8(bytes)
        .map_err(|_| PluginError::Malformed { detail: "a frame that is not UTF-8 was pushed".to_owned() })
}
