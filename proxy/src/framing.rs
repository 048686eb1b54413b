//! Where one part of an answer ends and the next begins.
//!
//! Bytes in, frames out, whatever the cuts between the bytes: no cut changes a frame. Reads no JSON beyond its
//! brackets. Holds at most one unfinished frame.

mod array;
mod aws;
mod frame;
mod sse;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};

pub use frame::{Frame, FramingError};

use frame::frame_of;

/// How a provider separates the parts of a successful answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One document.
    Whole,
    /// Server-sent events.
    Sse,
    /// One JSON document a line.
    Ndjson,
    /// The elements of one JSON array.
    JsonArray,
    /// The binary frames of AWS event streams.
    AwsEventStream,
}

/// Splits one answer into frames.
#[derive(Debug)]
pub struct Splitter {
    kind: Kind,
    /// What has come of the frame that is not complete.
    pending: BytesMut,
    frame_bytes_max: usize,
    broken: Option<FramingError>,
}

#[derive(Debug)]
enum Kind {
    Whole,
    Sse(sse::Lines),
    Ndjson,
    JsonArray(array::Elements),
    Aws,
}

impl Splitter {
    /// A frame of more than `frame_bytes_max` bytes breaks the answer.
    pub fn new(framing: Framing, frame_bytes_max: usize) -> Splitter {
        let kind = match framing {
            Framing::Whole => Kind::Whole,
            Framing::Sse => Kind::Sse(sse::Lines::default()),
            Framing::Ndjson => Kind::Ndjson,
            Framing::JsonArray => Kind::JsonArray(array::Elements::default()),
            Framing::AwsEventStream => Kind::Aws,
        };
        Splitter { kind, pending: BytesMut::new(), frame_bytes_max, broken: None }
    }

    /// Appends the frames that `chunk` completes. Once broken, an answer stays broken.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), FramingError> {
        match self.broken {
            Some(broken) => Err(broken),
            None => self.split(chunk, out).inspect_err(|broken| self.broken = Some(*broken)),
        }
    }

    /// The answer has ended. Appends the frame that its end completes.
    pub fn finish(&mut self, out: &mut Vec<Frame>) -> Result<(), FramingError> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let rest = std::mem::take(&mut self.pending).freeze();
        let frame = match &mut self.kind {
            Kind::Whole | Kind::Ndjson => frame_of(rest)?,
            Kind::Sse(lines) => lines.last(rest)?,
            Kind::JsonArray(elements) => {
                elements.finish(&rest)?;
                None
            }
            Kind::Aws if rest.is_empty() => None,
            Kind::Aws => return Err(FramingError::Truncated),
        };
        out.extend(frame);
        Ok(())
    }

    fn split(&mut self, mut rest: Bytes, out: &mut Vec<Frame>) -> Result<(), FramingError> {
        while !rest.is_empty() {
            let end = match &mut self.kind {
                Kind::Whole => None,
                Kind::Sse(lines) => lines.end(&rest),
                Kind::Ndjson => memchr::memchr(b'\n', &rest).map(|at| at + 1),
                Kind::JsonArray(elements) => elements.end(&rest)?,
                Kind::Aws => aws::end(&self.pending, &rest, self.frame_bytes_max)?,
            };
            let complete = end.map(|end| end - self.uncounted(&rest[..end]));
            if self.pending.len() + complete.unwrap_or(rest.len()) > self.frame_bytes_max {
                return Err(FramingError::TooLong { frame_bytes_max: self.frame_bytes_max });
            }
            let Some(end) = end else {
                self.pending.extend_from_slice(&rest);
                return Ok(());
            };
            let part = self.complete(rest.split_to(end));
            out.extend(match &mut self.kind {
                Kind::Whole | Kind::Ndjson => frame_of(part)?,
                Kind::Sse(_) => sse::frame(part)?,
                Kind::JsonArray(_) => array::frame(part)?,
                Kind::Aws => aws::frame(part)?,
            });
        }
        Ok(())
    }

    /// How many of the bytes that complete a frame its bound leaves out: the LF of the CRLF at an event's end, which
    /// may as well come in the next chunk, behind the frame.
    fn uncounted(&self, last: &[u8]) -> usize {
        usize::from(last.ends_with(b"\r\n") && matches!(self.kind, Kind::Sse(_)))
    }

    /// The frame that `last` completes; without a copy if nothing of it came before.
    fn complete(&mut self, last: Bytes) -> Bytes {
        if self.pending.is_empty() {
            return last;
        }
        self.pending.extend_from_slice(&last);
        std::mem::take(&mut self.pending).freeze()
    }
}
