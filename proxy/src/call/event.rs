//! One event of a streamed answer, and what a provider's failure means, as every adapter reports them.

pub use tollgate_reading::{Blame, FailureKind};

/// An event of a streamed answer. Mirrors `event` of `wit/tollgate.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The frame of this index in the pushed list is a canonical chunk already.
    Forward(u32),
    Text(String),
    Reasoning(String),
    Tool(ToolDelta),
    /// Further fields of a canonical `delta` object: a JSON object as text.
    Delta(String),
    /// Counts so far; later ones replace earlier ones.
    Usage(Tokens),
    Finish(FinishReason),
    /// The provider failed inside a successful answer. Nothing follows.
    Failed(Failure),
}

/// A piece of one tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolDelta {
    /// Counts tool calls from 0, without gaps.
    pub index: u32,
    /// Given once, in the first delta of the call.
    pub id: Option<String>,
    /// Given once, in the first delta of the call.
    pub name: Option<String>,
    /// The next piece of the arguments' JSON text.
    pub arguments: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

/// A provider's refusal, classified by its adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub blame: Blame,
    /// Whether the same request may succeed when sent again.
    pub retryable: bool,
    pub retry_after_ms: Option<u64>,
    /// The provider's own code.
    pub code: Option<String>,
    /// The request field at fault.
    pub param: Option<String>,
    /// One sentence for the client.
    pub message: String,
}

impl Failure {
    /// A failure of the provider's that another attempt there would meet again.
    pub fn of_provider(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            blame: Blame::Provider,
            retryable: false,
            retry_after_ms: None,
            code: None,
            param: None,
            message: message.into(),
        }
    }
}

/// What a call used, counted as OpenAI counts it: `cached` and `cache_write` are part of `input`, `reasoning` is
/// part of `output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cached: u64,
    pub cache_write: u64,
    pub reasoning: u64,
}

impl Tokens {
    /// What counts against a token cap.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
