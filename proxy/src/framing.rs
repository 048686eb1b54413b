//! Where one part of an answer ends and the next begins.
//!
//! Bytes in, frames out, whatever the cuts between the bytes: no cut changes a frame. Reads no JSON beyond its
//! brackets. Holds at most one unfinished frame.

mod array;
mod aws;
mod sse;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};

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

/// One part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The event's name in UTF-8, or empty.
    pub event: Bytes,
    /// UTF-8, freed of the framing, never empty.
    pub data: Bytes,
    /// For forwarding: a server-sent event with its blank line and its line ends as LF, else the same as `data`.
    pub raw: Bytes,
}

/// Why an answer cannot be split any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("a frame of more than {frame_bytes_max} bytes")]
    TooLong { frame_bytes_max: usize },
    #[error("a frame that is not UTF-8")]
    NotUtf8,
    #[error("an answer that ends inside a frame")]
    Truncated,
    #[error("an answer that is not a JSON array")]
    NotAnArray,
    #[error("a binary frame with wrong lengths or headers")]
    Malformed,
    #[error("a binary frame with a wrong checksum")]
    Checksum,
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
        self.pending.split().freeze()
    }
}

/// A frame that is its own data, unless there is nothing in it.
fn frame_of(part: Bytes) -> Result<Option<Frame>, FramingError> {
    let data = trimmed(part);
    if data.is_empty() {
        return Ok(None);
    }
    std::str::from_utf8(&data).map_err(|_| FramingError::NotUtf8)?;
    Ok(Some(Frame { event: Bytes::new(), raw: data.clone(), data }))
}

/// `part` without the whitespace around it.
fn trimmed(part: Bytes) -> Bytes {
    let trimmed = part.trim_ascii();
    part.slice_ref(trimmed)
}
