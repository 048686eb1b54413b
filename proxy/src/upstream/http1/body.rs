//! Where the body of an HTTP/1.1 answer ends, and what of it is framing.

use bytes::{BufMut, Bytes, BytesMut};

/// One line of a chunk's size with its extensions, and all trailers together, in bytes.
const LINE_BYTES_MAX: usize = 4 << 10;
const TRAILER_BYTES_MAX: usize = 64 << 10;
/// Hexadecimal digits of a chunk's size.
const DIGITS_MAX: u8 = 15;

/// What is no HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MalformedError;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Done,
    /// So many bytes.
    Length(u64),
    Chunked(Chunk),
    /// All that comes before the connection ends.
    UntilClosed,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the digits, at so many bytes of the line.
    Extension {
        size: u64,
        bytes: usize,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// In the trailers, at so many bytes of them and so many of the line.
    Trailer {
        bytes: usize,
        line: usize,
    },
    TrailerLf {
        bytes: usize,
        line: usize,
    },
}

impl Body {
    pub(super) const CHUNKED: Body = Body::Chunked(Chunk::Size { size: 0, digits: 0 });

    /// The payload in `bytes`, and how many of them belong to this body.
    ///
    /// # Errors
    /// [`MalformedError`] where the framing is broken.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(Bytes, usize), MalformedError> {
        match self {
            Body::Done => Ok((Bytes::new(), 0)),
            Body::UntilClosed => Ok((Bytes::copy_from_slice(bytes), bytes.len())),
            Body::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                if *left == 0 {
                    *self = Body::Done;
                }
                Ok((Bytes::copy_from_slice(&bytes[..count]), count))
            }
            Body::Chunked(chunk) => {
                let mut payload = BytesMut::with_capacity(bytes.len());
                let mut at = 0;
                while at < bytes.len() {
                    if let Chunk::Data { left } = chunk {
                        let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                        payload.put_slice(&bytes[at..at + count]);
                        at += count;
                        *left -= count as u64;
                        if *left == 0 {
                            *chunk = Chunk::DataCr;
                        }
                        continue;
                    }
                    at += 1;
                    match chunk.after(bytes[at - 1])? {
                        Some(next) => *chunk = next,
                        None => {
                            *self = Body::Done;
                            break;
                        }
                    }
                }
                Ok((payload.freeze(), at))
            }
        }
    }

    /// The connection has ended. Whether the body has too.
    pub(super) fn end(&mut self) -> bool {
        if *self == Body::UntilClosed {
            *self = Body::Done;
        }
        *self == Body::Done
    }
}

impl Chunk {
    /// What follows a byte of the framing; none behind the last.
    fn after(self, byte: u8) -> Result<Option<Chunk>, MalformedError> {
        let next = match (self, byte) {
            (Chunk::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < DIGITS_MAX => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                Chunk::Size { size: size * 16 + u64::from(digit), digits: digits + 1 }
            }
            (Chunk::Size { size, digits: 1.. }, b'\r') => Chunk::SizeLf { size },
            (Chunk::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Chunk::Extension { size, bytes: 1 },
            (Chunk::Extension { size, .. }, b'\r') => Chunk::SizeLf { size },
            (Chunk::Extension { size, bytes }, _) if byte != b'\n' && bytes < LINE_BYTES_MAX => {
                Chunk::Extension { size, bytes: bytes + 1 }
            }
            (Chunk::SizeLf { size: 0 }, b'\n') => Chunk::Trailer { bytes: 0, line: 0 },
            (Chunk::SizeLf { size }, b'\n') => Chunk::Data { left: size },
            (Chunk::DataCr, b'\r') => Chunk::DataLf,
            (Chunk::DataLf, b'\n') => Chunk::Size { size: 0, digits: 0 },
            (Chunk::Trailer { bytes, line }, b'\r') => Chunk::TrailerLf { bytes, line },
            (Chunk::Trailer { bytes, line }, _) if byte != b'\n' && bytes < TRAILER_BYTES_MAX => {
                Chunk::Trailer { bytes: bytes + 1, line: line + 1 }
            }
            (Chunk::TrailerLf { line: 0, .. }, b'\n') => return Ok(None),
            (Chunk::TrailerLf { bytes, .. }, b'\n') => Chunk::Trailer { bytes, line: 0 },
            _ => return Err(MalformedError),
        };
        Ok(Some(next))
    }
}
