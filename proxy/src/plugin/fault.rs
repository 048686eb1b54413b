//! Why a plugin could not be loaded, and how a call into one can end.

use std::fmt::{self, Write as _};

use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::{ValidateError, printable::printable};

/// Bytes of a guest's own words that are kept for the operator.
const DETAIL_BYTES_MAX: usize = 512;

/// A plugin that does not become part of the gateway. Shown to the operator.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not something this host runs; says what differs from the contract.
    #[error("{0}")]
    Refused(String),
    /// The component imports something that its operator has not granted.
    #[error("imports `{import}`, which is not granted to it")]
    NotGranted { import: String },
    /// Compiling it failed or took too much.
    #[error("does not compile: {0}")]
    Compile(String),
    /// It compiled, but faulted when it was first run.
    #[error("failed its first call, `{function}`: {fault}")]
    FirstCall { function: &'static str, fault: PluginError },
    /// The cache of compiled code cannot be used.
    #[error("cache of compiled code at `{path}`: {reason}")]
    Cache { path: String, reason: String },
    /// This machine cannot run plugins.
    #[error("sandbox engine: {0}")]
    Engine(String),
}

/// How a call into a plugin ended, other than by an answer. The instance is gone; no other call is hurt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The guest stopped itself or was stopped by the processor.
    #[error("trapped: {kind}")]
    Trap { kind: &'static str, detail: String },
    /// The guest used up its time.
    #[error("ran past its deadline")]
    Deadline,
    /// The guest asked for more memory than it may have, and gave up.
    #[error("ran out of memory")]
    Memory,
    /// The guest's answer holds more bytes or events than one may.
    #[error("answered more than it may")]
    Output,
    /// What the call needs is all in use. Nobody's fault.
    #[error("{0}")]
    Busy(Scarce),
    /// The plugin has failed too often lately, and was not called.
    #[error("failed too often lately and is not called for a while")]
    Resting { retry_after_ms: u64 },
    /// The guest's answer breaks the rules of the component model: a bad pointer, bad UTF-8, a bad discriminant.
    #[error("gave a malformed answer")]
    Malformed { detail: String },
    /// The guest's answer is well-formed and forbidden.
    #[error("gave a forbidden answer: {0}")]
    Invalid(#[from] ValidateError),
    /// The stream's pushes together took more processor time than one stream may.
    #[error("used up its stream's processor time")]
    Exhausted,
    /// The stream has swallowed more than it may without an event.
    #[error("took too much of the stream without giving an event")]
    Silent,
    /// A stream was used again after it had ended.
    #[error("stream has ended")]
    Ended,
}

/// What plugin calls compete for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// Places of single calls.
    Calls,
    /// Places of streams.
    Streams,
    Memory,
    /// The plugin has used up its share, and others want theirs.
    Processor,
    /// Room to wait for long work.
    Queue,
}

impl fmt::Display for Scarce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scarce::Calls => "all places for plugin calls are in use",
            Scarce::Streams => "all places for streams through plugins are in use",
            Scarce::Memory => "the memory for plugin calls is in use",
            Scarce::Processor => "the processor time for plugin calls is in use",
            Scarce::Queue => "too many calls wait to begin with long plugin work",
        })
    }
}

/// Bytes of a refusal, which may quote names of the component.
const REFUSAL_BYTES_MAX: usize = 2048;

impl LoadError {
    /// Refused for this reason: one line, bounded, fit for a terminal whatever the component calls its parts.
    pub(super) fn refused(reason: &str) -> LoadError {
        LoadError::Refused(printable(reason, REFUSAL_BYTES_MAX))
    }
}

impl PluginError {
    /// A stable name: metric label and log field.
    pub fn kind(&self) -> &'static str {
        match self {
            PluginError::Trap { kind, .. } => kind,
            PluginError::Deadline => "deadline",
            PluginError::Memory => "memory",
            PluginError::Output => "output",
            PluginError::Busy(_) => "busy",
            PluginError::Resting { .. } => "resting",
            PluginError::Malformed { .. } => "malformed",
            PluginError::Invalid(_) => "invalid",
            PluginError::Exhausted => "stream_cpu",
            PluginError::Silent => "silent",
            PluginError::Ended => "ended",
        }
    }

    /// Whether the plugin itself is at fault.
    pub(super) fn is_plugins(&self) -> bool {
        !matches!(self, PluginError::Busy(_) | PluginError::Resting { .. } | PluginError::Ended)
    }

    /// The engine's words for the operator's log: one line, bounded. May quote the guest; never for a client.
    pub fn detail(&self) -> Option<&str> {
        match self {
            PluginError::Trap { detail, .. } | PluginError::Malformed { detail } => Some(detail),
            _ => None,
        }
    }

    /// What an error of the engine means. `starved`: the guest was refused memory during the call.
    pub(super) fn of(error: &wasmtime::Error, starved: bool) -> PluginError {
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return match trap {
                Trap::Interrupt => PluginError::Deadline,
                // An allocator that is refused memory aborts: the refusal is the cause, the trap its symptom.
                Trap::UnreachableCodeReached if starved => PluginError::Memory,
                trap => PluginError::Trap { kind: trap_kind(trap), detail: detail(error) },
            };
        }
        if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
            return PluginError::Busy(Scarce::Calls);
        }
        // The engine keeps the types of these two to itself; the attack suite holds their texts in place.
        let cause = error.root_cause().to_string();
        if cause.contains("fuel allocated for hostcalls") {
            return PluginError::Output;
        }
        if cause.contains("handle limit exceeded") {
            return PluginError::Trap { kind: "handles", detail: detail(error) };
        }
        PluginError::Malformed { detail: detail(error) }
    }
}

fn trap_kind(trap: &Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "trap_stack",
        Trap::MemoryOutOfBounds | Trap::HeapMisaligned => "trap_memory_access",
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => "trap_indirect_call",
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => "trap_arithmetic",
        Trap::UnreachableCodeReached => "trap_unreachable",
        _ => "trap_other",
    }
}

/// The whole chain of causes on one bounded line.
fn detail(error: &wasmtime::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let separator = if text.is_empty() { "" } else { ": " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{cause}");
    }
    printable(&text, DETAIL_BYTES_MAX)
}

#[cfg(test)]
mod tests;
