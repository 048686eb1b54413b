//! One streamed answer: events that a plugin translated become chunks, frames that are chunks already are forwarded.

use bytes::BytesMut;

use super::{
    chunks::{Chunks, DONE, EventError},
    passthrough::{Forward, Passthrough, framed},
};
use crate::{
    call::{Event, Failure, Tokens},
    dialect::AnswerName,
};

/// What one event is written in is kept for the next up to this size, in bytes.
const SCRATCH_KEPT_BYTES_MAX: usize = 1 << 10;

/// What a forwarded frame said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedFrame {
    pub usage: Option<Tokens>,
    /// The end mark.
    pub done: bool,
}

/// Writes one streamed answer, from its first event to its end mark.
#[derive(Debug)]
pub struct StreamEncoder {
    include_usage: bool,
    /// How many the client asked for.
    choices: u32,
    /// For events; none where every frame is forwarded.
    chunks: Option<Chunks>,
    /// For frames; made at the first.
    passthrough: Option<Box<Passthrough>>,
    scratch: Vec<u8>,
}

impl StreamEncoder {
    /// `include_usage` and `choices` are what the client asked; `name` is given to what events become.
    pub(in crate::dialect) fn new(name: Option<AnswerName<'_>>, include_usage: bool, choices: u32) -> StreamEncoder {
        let chunks = name.map(|name| Chunks::new(name, include_usage));
        StreamEncoder { include_usage, choices, chunks, passthrough: None, scratch: Vec::new() }
    }

    /// Appends what `event` becomes. Usage, failures and forwarded frames become nothing: they are the caller's. An
    /// answer without a name has no events.
    ///
    /// # Errors
    /// [`EventError`] where the event does not fit what came before it.
    pub fn event(&mut self, event: &Event, out: &mut BytesMut) -> Result<(), EventError> {
        let Some(chunks) = &mut self.chunks else { return Ok(()) };
        self.scratch.clear();
        let written = chunks.event(event, &mut self.scratch);
        if written.is_ok() {
            out.extend_from_slice(&self.scratch);
        }
        if self.scratch.capacity() > SCRATCH_KEPT_BYTES_MAX {
            self.scratch = Vec::new();
        }
        written
    }

    /// Forwards a frame that is a canonical chunk: the name of its event, which is as a rule empty, its data, and its
    /// bytes as they came where those are an event of the client's framing.
    ///
    /// # Errors
    /// The [`Failure`] that the provider put in a chunk's place.
    pub fn frame(
        &mut self,
        event: &[u8],
        data: &[u8],
        raw: Option<&[u8]>,
        out: &mut BytesMut,
    ) -> Result<ForwardedFrame, Failure> {
        let (include_usage, choices) = (self.include_usage, self.choices);
        let passthrough = self.passthrough.get_or_insert_with(|| Box::new(Passthrough::new(include_usage, choices)));
        let seen = passthrough.frame(event, data);
        if let Some(failure) = seen.error {
            return Err(failure);
        }
        if !seen.done {
            match (seen.forward, raw) {
                (Forward::AsIs, Some(raw)) => out.extend_from_slice(raw),
                (Forward::AsIs, None) => out.extend_from_slice(&framed(data)),
                (Forward::Rewritten(bytes), _) => out.extend_from_slice(&bytes),
                (Forward::Drop, _) => {}
            }
        }
        Ok(ForwardedFrame { usage: seen.usage, done: seen.done })
    }

    /// Whether each choice that has begun has its finish reason. A stream that ends before was cut off.
    pub fn is_finished(&self) -> bool {
        match &self.passthrough {
            Some(passthrough) => passthrough.is_finished(),
            None => self.chunks.as_ref().is_some_and(Chunks::finished),
        }
    }

    /// Ends the stream: the usage chunk, if the client asked for it and has not had it, and the end mark.
    pub fn finish(&mut self, usage: &Tokens, out: &mut BytesMut) {
        self.scratch.clear();
        match (&mut self.passthrough, &mut self.chunks) {
            (None, Some(chunks)) => chunks.finish(Some(*usage), &mut self.scratch),
            (Some(passthrough), _) => {
                passthrough.owed_usage(usage, &mut self.scratch);
                self.scratch.extend_from_slice(DONE);
            }
            (None, None) => self.scratch.extend_from_slice(DONE),
        }
        out.extend_from_slice(&self.scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stream_keeps_what_its_largest_event_took() {
        let name = AnswerName { request_id: "req_1", created_s: 1, model: "m" };
        let mut encoder = StreamEncoder::new(Some(name), false, 1);
        let mut out = BytesMut::new();
        for bytes in [1, 1 << 20, 1] {
            encoder.event(&Event::Text("x".repeat(bytes)), &mut out).unwrap();
            assert!(encoder.scratch.capacity() <= SCRATCH_KEPT_BYTES_MAX);
        }
        assert!(out.len() > 1 << 20);
    }
}
