//! What an adapter makes of an answer: canonical bodies, events, failures and counts.

use super::{
    super::{bindings::adapter::tollgate::plugin::types as wire, printable::printable},
    fault::ValidateError,
    json::{self, DEPTH_MAX},
};
use crate::call::{Blame, Event, Failure, FailureKind, FinishReason, Tokens, ToolDelta};

const MESSAGE_BYTES_MAX: usize = 1024;
const CODE_BYTES_MAX: usize = 128;
const RETRY_AFTER_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// More tokens than any one call can use, so that no call explains them; below what a sum of them could overflow.
const TOKENS_MAX: u64 = 1 << 40;
const TOOLS_MAX: u32 = 1024;
const TOOL_NAME_BYTES_MAX: usize = 1024;

/// A whole answer: the canonical JSON body, and what it used if the provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub body: String,
    pub usage: Option<Tokens>,
}

/// Admits a whole answer.
pub(in super::super) fn answer(wire: wire::Answer) -> Result<Answer, ValidateError> {
    json::object(&wire.body, DEPTH_MAX).map_err(ValidateError::Body)?;
    Ok(Answer { usage: wire.usage.map(tokens), body: wire.body })
}

/// Admits a failure. Its texts are cut and made printable; the sentence reaches the client.
pub(in super::super) fn failure(wire: wire::Failure) -> Failure {
    let short = |text: String| printable(&text, CODE_BYTES_MAX);
    Failure {
        kind: kind(wire.kind),
        blame: match wire.blame {
            wire::Blame::Request => Blame::Request,
            wire::Blame::Credential => Blame::Credential,
            wire::Blame::Model => Blame::Model,
            wire::Blame::Provider => Blame::Provider,
        },
        retryable: wire.retryable,
        retry_after_ms: wire.retry_after_ms.map(|wait_ms| wait_ms.min(RETRY_AFTER_MS_MAX)),
        code: wire.code.map(short),
        param: wire.param.map(short),
        message: printable(&wire.message, MESSAGE_BYTES_MAX),
    }
}

fn kind(wire: wire::FailureKind) -> FailureKind {
    match wire {
        wire::FailureKind::InvalidRequest => FailureKind::InvalidRequest,
        wire::FailureKind::ContextLength => FailureKind::ContextLength,
        wire::FailureKind::Authentication => FailureKind::Authentication,
        wire::FailureKind::Permission => FailureKind::Permission,
        wire::FailureKind::Quota => FailureKind::Quota,
        wire::FailureKind::RateLimited => FailureKind::RateLimited,
        wire::FailureKind::Overloaded => FailureKind::Overloaded,
        wire::FailureKind::Timeout => FailureKind::Timeout,
        wire::FailureKind::ContentFilter => FailureKind::ContentFilter,
        wire::FailureKind::NotFound => FailureKind::NotFound,
        wire::FailureKind::TooLarge => FailureKind::TooLarge,
        wire::FailureKind::Unsupported => FailureKind::Unsupported,
        wire::FailureKind::Upstream => FailureKind::Upstream,
        wire::FailureKind::Internal => FailureKind::Internal,
    }
}

fn tokens(wire: wire::Usage) -> Tokens {
    let [input, output, cached, cache_write, reasoning] =
        [wire.input_tokens, wire.output_tokens, wire.cached_tokens, wire.cache_write_tokens, wire.reasoning_tokens]
            .map(|count| count.min(TOKENS_MAX));
    Tokens {
        // A part is never more than its whole: an adapter that forgot to include it must not make it free.
        input: input.max(cached + cache_write),
        output: output.max(reasoning),
        cached,
        cache_write,
        reasoning,
    }
}

/// What must hold from one event of a stream to the next.
#[derive(Debug, Default)]
pub(in super::super) struct EventRules {
    /// Tool calls begun.
    tools: u32,
    /// A failure was reported: nothing follows.
    pub(in super::super) failed: bool,
}

impl EventRules {
    /// Admits the events of one push of `frames` frames.
    pub(in super::super) fn events(
        &mut self,
        wire: Vec<wire::Event>,
        frames: usize,
        events_max: usize,
    ) -> Result<Vec<Event>, ValidateError> {
        if wire.len() > events_max {
            return Err(ValidateError::Event("is one too many for a push"));
        }
        wire.into_iter().map(|event| self.event(event, frames)).collect()
    }

    fn event(&mut self, wire: wire::Event, frames: usize) -> Result<Event, ValidateError> {
        if self.failed {
            return Err(ValidateError::Event("follows a failure"));
        }
        Ok(match wire {
            wire::Event::Forward(index) if (index as usize) < frames => Event::Forward(index),
            wire::Event::Forward(_) => return Err(ValidateError::Event("forwards a frame that was not pushed")),
            wire::Event::Text(text) => Event::Text(text),
            wire::Event::Reasoning(text) => Event::Reasoning(text),
            wire::Event::Tool(delta) => Event::Tool(self.tool(delta)?),
            wire::Event::Delta(text) => {
                json::object(&text, DEPTH_MAX)
                    .map_err(|_| ValidateError::Event("has a delta that is not a JSON object"))?;
                Event::Delta(text)
            }
            wire::Event::Usage(usage) => Event::Usage(tokens(usage)),
            wire::Event::Finish(reason) => Event::Finish(match reason {
                wire::FinishReason::Stop => FinishReason::Stop,
                wire::FinishReason::Length => FinishReason::Length,
                wire::FinishReason::ToolCalls => FinishReason::ToolCalls,
                wire::FinishReason::ContentFilter => FinishReason::ContentFilter,
            }),
            wire::Event::Failed(reported) => {
                self.failed = true;
                Event::Failed(failure(reported))
            }
        })
    }

    fn tool(&mut self, wire: wire::ToolDelta) -> Result<ToolDelta, ValidateError> {
        if wire.index > self.tools || wire.index >= TOOLS_MAX {
            return Err(ValidateError::Event("skips a tool call"));
        }
        self.tools = self.tools.max(wire.index + 1);
        let too_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > TOOL_NAME_BYTES_MAX);
        if too_long(&wire.id) || too_long(&wire.name) {
            return Err(ValidateError::Event("has a tool call with too long an id or name"));
        }
        Ok(ToolDelta { index: wire.index, id: wire.id, name: wire.name, arguments: wire.arguments })
    }
}

#[cfg(test)]
mod tests;
