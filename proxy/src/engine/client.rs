//! The client's side of a call, as the engine sees it.

use std::future::Future;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// The client's side of a call.
///
/// `interrupted` and `body` may be dropped half-way; `begin` and `write` must be awaited.
pub trait Downstream: Send {
    /// The first value of a header.
    fn header(&self, name: HeaderName) -> Option<&[u8]>;

    /// All values of a header, in their order.
    fn headers(&self, name: HeaderName) -> impl Iterator<Item = &[u8]>;

    /// The whole body, within the bounds of size and time that the implementation was made with.
    fn body(&mut self) -> impl Future<Output = Result<Bytes, BodyError>> + Send;

    /// Reads what is left of the body and forgets it, so that an answer that came before its end keeps the connection
    /// usable. To be called after that answer, which must not wait for a slow body.
    fn discard_body(&mut self) -> impl Future<Output = ()> + Send;

    /// Returns when the call is to end although its answer is not complete; else never.
    fn interrupted(&mut self) -> impl Future<Output = Interruption> + Send;

    /// Sends the answer's head. Once only.
    fn begin(&mut self, head: Head) -> impl Future<Output = Result<(), ClientGoneError>> + Send;

    /// Sends a piece of the answer, the last one with `end`.
    fn write(&mut self, bytes: Bytes, end: bool) -> impl Future<Output = Result<(), ClientGoneError>> + Send;

    /// Lets the connection end with this answer.
    fn close_after(&mut self);
}

/// The client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGoneError;

/// Why a call is to end at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    ClientGone,
    /// The gateway stops, and its calls have had their time to end by themselves.
    Stopping,
}

/// Why a body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// Larger than this many bytes.
    TooLarge(usize),
    /// All bodies together have no room for it.
    NoRoom,
    Slow,
    Broken,
    /// Encoded in a way that is not taken.
    UnsupportedEncoding,
    /// Not what its encoding says.
    InvalidEncoding,
}

/// The head of an answer to a client.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    pub content_type: HeaderValue,
    /// The body's length in bytes; none for a stream.
    pub length: Option<usize>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Head {
    /// The head of an answer of known length.
    pub fn whole(status: u16, content_type: HeaderValue, length: usize) -> Head {
        Head { status, content_type, length: Some(length), headers: Vec::new() }
    }
}
