//! One part of an answer, and why there is none.

use bytes::Bytes;

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
    #[error("a frame has more than {frame_bytes_max} bytes")]
    TooLong { frame_bytes_max: usize },
    #[error("a frame is not UTF-8")]
    NotUtf8,
    #[error("the answer ends inside a frame")]
    Truncated,
    #[error("the answer is not a JSON array")]
    NotAnArray,
    #[error("a binary frame has wrong lengths or headers")]
    Malformed,
    #[error("a binary frame has a wrong checksum")]
    Checksum,
}

/// A frame that is its own data, unless there is nothing in it.
pub(super) fn frame_of(part: Bytes) -> Result<Option<Frame>, FramingError> {
    let data = trimmed(part);
    if data.is_empty() {
        return Ok(None);
    }
    std::str::from_utf8(&data).map_err(|_| FramingError::NotUtf8)?;
    Ok(Some(Frame { event: Bytes::new(), raw: data.clone(), data }))
}

/// `part` without the whitespace around it.
pub(super) fn trimmed(part: Bytes) -> Bytes {
    let trimmed = part.trim_ascii();
    part.slice_ref(trimmed)
}
