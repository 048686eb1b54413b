//! What the client asks and what it is answered, in canonical form.
//!
//! Canonical is OpenAI's chat-completions JSON: the hub that every dialect meets in. A call is scanned once; its
//! messages stay the client's raw bytes. Never knows a provider, a principal or a socket.

mod event;

pub use event::{Blame, Event, Failure, FailureKind, FinishReason, Tokens, ToolDelta};

/// What the client wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Chat,
    Embeddings,
}
