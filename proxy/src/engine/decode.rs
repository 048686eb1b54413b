//! A provider's stream into the client's events: forwarded where the dialects agree, translated where they do not.

use bytes::{Bytes, BytesMut};

use super::{attempt_error::AttemptError, received::Received, sent::Sent};
use crate::{
    call::{Blame, Event, Failure, FailureKind, Tokens},
    dialect::StreamEncoder,
    framing::{Frame, Framing, FramingError, Splitter},
    plugin::{Adapter, Context, PluginError, Stream, StreamPlace, Turn},
    upstream::UpstreamError,
};

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    /// The answer is whole; what has not been written is the end of it.
    Done,
}

/// Room for at most so many frames is kept from one piece to the next.
const FRAMES_KEPT_MAX: usize = 4;

/// Turns the pieces of one answer into the client's bytes.
pub(super) struct Decoder<'a> {
    splitter: Splitter,
    framing: Framing,
    frames: Vec<Frame>,
    encoder: StreamEncoder,
    /// None where every frame is forwarded.
    translation: Option<Box<Translation<'a>>>,
    held_back: BytesMut,
}

struct Translation<'a> {
    adapter: &'a Adapter,
    context: Context<'a>,
    /// Until the stream is made.
    place: Option<StreamPlace>,
    /// Made at the first frame, so that no instance is held while the provider thinks.
    stream: Option<Stream>,
}

impl<'a> Decoder<'a> {
    /// `encoder` writes the client's side of the answer.
    pub(super) fn new<E>(sent: &mut Sent<'a, E>, encoder: StreamEncoder, frame_bytes_max: usize) -> Decoder<'a> {
        let place = sent.stream_place.take();
        let translation = || Translation { adapter: &sent.target.adapter, context: sent.context, place, stream: None };
        Decoder {
            splitter: Splitter::new(sent.request.framing, frame_bytes_max),
            framing: sent.request.framing,
            frames: Vec::new(),
            encoder,
            translation: (!sent.request.passthrough).then(|| Box::new(translation())),
            held_back: BytesMut::new(),
        }
    }

    /// The adapter whose turn each piece needs. None where every frame is forwarded.
    pub(super) fn adapter(&self) -> Option<&'a Adapter> {
        self.translation.as_ref().map(|translation| translation.adapter)
    }

    /// Takes a piece of the answer, none at its end, in the adapter's `turn`, and adds what the client may see to `out`.
    ///
    /// # Errors
    /// [`AttemptError`] where the answer breaks off or tells an error. `out` has what came before.
    pub(super) fn take(
        &mut self,
        turn: Option<Turn<'_>>,
        piece: Option<Bytes>,
        received: &mut Received,
        out: &mut BytesMut,
    ) -> Result<Progress, AttemptError> {
        run(turn, || self.take_now(piece, received, out))
    }

    /// Whether an answer that broke off is whole all the same, since it had said why it ends. Adds what is left of it to
    /// `out`.
    pub(super) fn is_whole_if_cut(
        &mut self,
        turn: Option<Turn<'_>>,
        received: &mut Received,
        out: &mut BytesMut,
    ) -> bool {
        run(turn, || self.is_whole_if_cut_now(received, out))
    }

    fn is_whole_if_cut_now(&mut self, received: &mut Received, out: &mut BytesMut) -> bool {
        // The adapter may have kept the reason until the end.
        self.translate(&[], true, received, out).is_ok() && self.encoder.is_finished()
    }

    fn take_now(
        &mut self,
        piece: Option<Bytes>,
        received: &mut Received,
        out: &mut BytesMut,
    ) -> Result<Progress, AttemptError> {
        let ended = piece.is_none();
        let split = match piece {
            Some(piece) => self.splitter.push(piece, &mut self.frames),
            None => self.splitter.finish(&mut self.frames),
        };
        let frames = std::mem::take(&mut self.frames);
        let progress = match &mut self.translation {
            None => self.forward(&frames, received, out),
            Some(_) => self.translate(&frames, ended && split.is_ok(), received, out),
        };
        if frames.capacity() <= FRAMES_KEPT_MAX {
            self.frames = frames;
            self.frames.clear();
        }
        let progress = progress?;
        if let Err(broken) = split
            && progress == Progress::More
        {
            // What came before the fault may have been the whole answer.
            return if self.is_whole_if_cut_now(received, out) {
                Ok(Progress::Done)
            } else {
                Err(unsplittable(broken))
            };
        }
        match (progress, ended) {
            // Servers that leave the end mark out have said why they finished.
            (Progress::More, true) if self.encoder.is_finished() => Ok(Progress::Done),
            (Progress::More, true) => Err(UpstreamError::Reset.into()),
            (progress, _) => Ok(progress),
        }
    }

    /// Keeps the answer's last events until the row is written.
    pub(super) fn hold_back(&mut self, out: BytesMut) {
        self.held_back = out;
    }

    /// The answer's last events.
    pub(super) fn last(&mut self, tokens: &Tokens) -> Bytes {
        self.encoder.finish(tokens, &mut self.held_back);
        self.held_back.split().freeze()
    }

    fn forward(
        &mut self,
        frames: &[Frame],
        received: &mut Received,
        out: &mut BytesMut,
    ) -> Result<Progress, AttemptError> {
        for frame in frames {
            if self.forward_frame(frame, received, out)? == Progress::Done {
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }

    fn forward_frame(
        &mut self,
        frame: &Frame,
        received: &mut Received,
        out: &mut BytesMut,
    ) -> Result<Progress, AttemptError> {
        let raw = (self.framing == Framing::Sse).then_some(&*frame.raw);
        let seen = self.encoder.frame(&frame.event, &frame.data, raw, out);
        let seen = seen.map_err(|failure| in_a_stream(failure, std::slice::from_ref(frame)))?;
        if seen.done {
            return Ok(Progress::Done);
        }
        received.chunk(&frame.data);
        if let Some(tokens) = seen.usage {
            received.report(tokens);
        }
        Ok(Progress::More)
    }

    fn translate(
        &mut self,
        frames: &[Frame],
        ended: bool,
        received: &mut Received,
        out: &mut BytesMut,
    ) -> Result<Progress, AttemptError> {
        let Some(translation) = &mut self.translation else { return Ok(Progress::More) };
        let mut events = Vec::new();
        if !frames.is_empty() {
            events = translation.stream()?.push(frames)?.map_err(|failure| in_a_stream(failure, frames))?;
        }
        let mut progress = self.events(&events, frames, received, out)?;
        if ended && progress == Progress::More {
            let events = self.last_events()?;
            progress = self.events(&events, &[], received, out)?;
        }
        Ok(progress)
    }

    /// What the adapter says of the end of an answer. One that it misses the end of was cut off by its provider, whatever
    /// the adapter says of that; one that breaks a rule of the sandbox is at fault itself.
    fn last_events(&mut self) -> Result<Vec<Event>, AttemptError> {
        let Some(stream) = self.translation.as_mut().and_then(|translation| translation.stream.as_mut()) else {
            return Ok(Vec::new());
        };
        let events = match stream.finish() {
            Ok(Ok(events)) => events,
            Ok(Err(_)) => return Err(UpstreamError::Reset.into()),
            Err(fault) => return Err(fault.into()),
        };
        let cut = |event: &Event| match event {
            Event::Failed(failure) => failure.kind == FailureKind::Upstream && failure.blame == Blame::Provider,
            _ => false,
        };
        if events.iter().any(cut) { Err(UpstreamError::Reset.into()) } else { Ok(events) }
    }

    fn events(
        &mut self,
        events: &[Event],
        frames: &[Frame],
        received: &mut Received,
        out: &mut BytesMut,
    ) -> Result<Progress, AttemptError> {
        let mut progress = Progress::More;
        for event in events {
            match event {
                Event::Usage(tokens) => received.report(*tokens),
                // The answer is whole: nothing that follows can take it back.
                _ if progress == Progress::Done => {}
                Event::Failed(failure) => return Err(in_a_stream(failure.clone(), frames)),
                Event::Forward(index) => {
                    if let Some(frame) = frames.get(*index as usize) {
                        progress = self.forward_frame(frame, received, out)?;
                    }
                }
                event => {
                    self.event(event, received, out)?;
                    if matches!(event, Event::Finish(_)) {
                        progress = Progress::Done;
                    }
                }
            }
        }
        Ok(progress)
    }

    fn event(&mut self, event: &Event, received: &mut Received, out: &mut BytesMut) -> Result<(), AttemptError> {
        match event {
            Event::Text(text) | Event::Reasoning(text) => received.text(text),
            Event::Tool(tool) => received.text(&tool.arguments),
            _ => {}
        }
        self.encoder.event(event, out).map_err(|misfit| {
            AttemptError::of_provider(
                FailureKind::Internal,
                format!("The adapter's events do not fit together: {misfit}."),
            )
        })
    }
}

fn unsplittable(broken: FramingError) -> AttemptError {
    let message = format!("The provider's stream cannot be read: {broken}.");
    AttemptError::Unreadable(Failure::of_provider(FailureKind::Upstream, message))
}

/// A failure that was found in these frames: the provider's own words, or that nobody can read them.
fn in_a_stream(failure: Failure, frames: &[Frame]) -> AttemptError {
    let tells_error =
        |frame: &Frame| &*frame.event == b"error" || memchr::memmem::find(&frame.data, b"\"error\"").is_some();
    let is_verdict = failure.kind != FailureKind::Upstream || frames.iter().any(tells_error);
    if is_verdict { AttemptError::Provider(failure) } else { AttemptError::Unreadable(failure) }
}

fn run<R>(turn: Option<Turn<'_>>, work: impl FnOnce() -> R) -> R {
    match turn {
        Some(turn) => turn.run(work),
        None => work(),
    }
}

impl Translation<'_> {
    /// The adapter's instance for this answer.
    fn stream(&mut self) -> Result<&mut Stream, AttemptError> {
        match &mut self.stream {
            Some(stream) => Ok(stream),
            slot => {
                let place = self.place.take().ok_or(PluginError::Ended)?;
                Ok(slot.insert(self.adapter.stream(place, &self.context)?))
            }
        }
    }
}
