//! One streamed answer in one instance, from its first frame to its last.
//!
//! Invariant: after any fault, any refusal and `finish`, the instance is gone and the stream only says that it ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::component::{ComponentExportIndex, ResourceAny};

use super::{
    Function, LoadError, PluginError, Scarce,
    bindings::{ADAPTER_INTERFACE, adapter::tollgate::plugin::types as wire},
    guest::{CallInput, Guest, Instance, Spent},
    place::Place,
    state::ReservedMemory,
    validate::{self, EventRules},
};
use crate::{
    call::{Event, Failure},
    framing::Frame,
};

/// The right to decode one streamed answer, and the memory that its instance begins with. Taken before the provider is
/// sent anything, so that an answer which has been paid for always finds both.
pub struct StreamPlace {
    place: Place,
    memory: ReservedMemory,
}

/// An adapter's component as streams use it.
pub(super) struct Streamed {
    pub(super) guest: Guest,
    exports: StreamExports,
    /// What an instance holds before it is asked for anything.
    initial_bytes: usize,
}

/// What of an adapter's component streams call.
pub(super) struct StreamExports {
    open: ComponentExportIndex,
    push: ComponentExportIndex,
    finish: ComponentExportIndex,
}

type Open<'a> = (&'a wire::CallContext<'a>,);
type Push<'a> = (ResourceAny, &'a [wire::Frame<'a>]);
type Finish = (ResourceAny,);
type Events = (Result<Vec<wire::Event>, wire::Failure>,);

impl Streamed {
    /// `initial_bytes` is what an instance of the component was found to begin with.
    pub(super) fn new(guest: Guest, initial_bytes: usize) -> Result<Streamed, LoadError> {
        let exports = StreamExports::find(&guest)?;
        Ok(Streamed { guest, exports, initial_bytes })
    }

    /// A place for one stream, with the memory that its instance begins with.
    pub(super) fn reserve(&self) -> Result<StreamPlace, PluginError> {
        let place = self.guest.shared().streams.take().ok_or(PluginError::Busy(Scarce::Streams))?;
        let memory = self.guest.reserve_memory(self.initial_bytes).ok_or(PluginError::Busy(Scarce::Memory))?;
        Ok(StreamPlace { place, memory })
    }
}

impl StreamExports {
    pub(super) fn find(guest: &Guest) -> Result<StreamExports, LoadError> {
        let export = |function| guest.export(ADAPTER_INTERFACE, function);
        let (open, push) = (export("[constructor]stream")?, export("[method]stream.push")?);
        let finish = export("[method]stream.finish")?;
        Ok(StreamExports { open, push, finish })
    }

    pub(super) fn agree(&self, instance: &mut Instance) -> Result<(), LoadError> {
        instance.agrees::<Open<'_>, (ResourceAny,)>("stream", &self.open)?;
        instance.agrees::<Push<'_>, Events>("stream.push", &self.push)?;
        instance.agrees::<Finish, Events>("stream.finish", &self.finish)
    }
}

/// A stream being decoded. Occupies a sandbox until it ends or is dropped.
pub struct Stream {
    streamed: Arc<Streamed>,
    caller: u64,
    /// None once the stream has ended.
    live: Option<Live>,
    rules: EventRules,
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
        streamed: Arc<Streamed>,
        place: StreamPlace,
        caller: u64,
        context: &wire::CallContext<'_>,
    ) -> Result<Stream, PluginError> {
        let began = Instant::now();
        let live = Live::open(&streamed, place, began, context);
        let instance = live.as_ref().ok().map(|live| &live.instance);
        let spent = Spent::since(began, instance.map(Instance::deadline));
        let memory_bytes = instance.map_or(0, Instance::memory_bytes);
        streamed.guest.report(Function::Open, caller, spent, memory_bytes, live.as_ref().err());
        let (live, spent) = (Some(live?), spent.cost);
        Ok(Stream { streamed, caller, live, rules: EventRules::default(), spent, silent_bytes: 0 })
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
        self.call(Function::Push, frames.len(), bytes, |streamed, live| {
            live.instance.call::<Push<'_>, Events>(&streamed.exports.push, (live.stream, &pushed))
        })
    }

    /// What remains to be said when the answer has ended. Ends the stream.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn finish(&mut self) -> Result<Result<Vec<Event>, Failure>, PluginError> {
        let result = self.call(Function::Finish, 0, 0, |streamed, live| {
            live.instance.call::<Finish, Events>(&streamed.exports.finish, (live.stream,))
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
        work: impl FnOnce(&Streamed, &mut Live) -> Result<Events, PluginError>,
    ) -> Result<Result<Vec<Event>, Failure>, PluginError> {
        let mut live = self.live.take().ok_or(PluginError::Ended)?;
        let settings = &self.streamed.guest.shared().settings;
        let began = Instant::now();
        live.instance.renew(began, settings.push_deadline_ms, settings.output_bytes_max, bytes);
        let said = work(&self.streamed, &mut live);
        let spent = Spent::since(began, Some(live.instance.deadline()));
        self.spent += spent.cost;
        let said = match said {
            Ok(_) if self.spent > Duration::from_millis(settings.stream_cpu_ms_max) => Err(PluginError::Exhausted),
            said => said,
        };
        let result = said.and_then(|(said,)| match said {
            Ok(events) => {
                let events = self.rules.events(events, frames, settings.events_per_push_max)?;
                self.silent_bytes = if events.is_empty() { self.silent_bytes.saturating_add(bytes) } else { 0 };
                if self.silent_bytes > settings.silent_bytes_max { Err(PluginError::Silent) } else { Ok(Ok(events)) }
            }
            Err(failure) => Ok(Err(validate::failure(failure))),
        });
        let memory_bytes = live.instance.memory_bytes();
        self.streamed.guest.report(function, self.caller, spent, memory_bytes, result.as_ref().err());
        if matches!(result, Ok(Ok(_))) && !self.rules.failed {
            self.live = Some(live);
        }
        result
    }
}

impl Live {
    fn open(
        streamed: &Streamed,
        StreamPlace { place, memory }: StreamPlace,
        began: Instant,
        context: &wire::CallContext<'_>,
    ) -> Result<Live, PluginError> {
        let guest = &streamed.guest;
        let deadline_ms = guest.shared().settings.push_deadline_ms;
        let mut instance = guest.enter(place, Some(memory), began, deadline_ms, CallInput::default())?;
        let (stream,) = instance.call::<Open<'_>, (ResourceAny,)>(&streamed.exports.open, (context,))?;
        Ok(Live { instance, stream })
    }
}

/// A frame's text. `framing` lets nothing else through, so another answer here is a fault of the host's.
fn text(bytes: &[u8]) -> Result<&str, PluginError> {
    str::from_utf8(bytes)
        .map_err(|_| PluginError::Malformed { detail: "a frame that is not UTF-8 was pushed".to_owned() })
}
