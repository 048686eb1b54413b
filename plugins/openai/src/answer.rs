//! Answers in the canonical dialect: read for their usage, and otherwise left as they are.

use alloc::vec::Vec;

use tollgate_plugin::{Answer, Context, ErrorBody, Event, Failure, Frame, Response, Stream, Usage, json::Value};
use tollgate_reading::UsageReader;

use crate::errors;

pub(crate) fn whole(response: &Response<'_>) -> Result<Answer, Failure> {
    let body = match Value::parse(response.body) {
        Ok(body @ Value::Object(_)) => body,
        _ => return Err(Failure::upstream("The provider answered with something other than a JSON object.")),
    };
    if body.get("error").is_some() {
        return Err(errors::failure(response.status, &ErrorBody::of(&body)));
    }
    Ok(Answer { body: response.body.into(), usage: body.get("usage").and_then(usage) })
}

/// What a usage object counts, if it counts anything.
fn usage(report: &Value<'_>) -> Option<Usage> {
    let mut reader = UsageReader::default();
    for (name, value) in report.as_object()?.iter() {
        match value {
            Value::Number(digits) => reader.field("", name, digits),
            Value::Object(inner) => inner.iter().for_each(|(inner, value)| {
                if let Value::Number(digits) = value {
                    reader.field(name, inner, digits);
                }
            }),
            _ => {}
        }
    }
    let counts = reader.finish()?;
    Some(Usage {
        input_tokens: counts.input,
        output_tokens: counts.output,
        cached_tokens: counts.cached,
        cache_write_tokens: counts.cache_write,
        reasoning_tokens: counts.reasoning,
    })
}

/// A stream of canonical chunks.
pub struct Chunks {
    /// A finish reason or the end mark has come.
    complete: bool,
    failed: bool,
}

impl Stream for Chunks {
    fn new(_: &Context) -> Self {
        Self { complete: false, failed: false }
    }

    fn push(&mut self, frames: &[Frame]) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::with_capacity(frames.len());
        for (index, frame) in (0..).zip(frames) {
            if self.failed {
                break;
            }
            if frame.data.trim() == "[DONE]" {
                self.complete = true;
                continue;
            }
            match Value::parse(&frame.data) {
                Ok(chunk) => self.chunk(index, &chunk, &mut events),
                Err(_) => self.fail("The provider's stream holds something other than JSON.", &mut events),
            }
        }
        Ok(events)
    }

    fn finish(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        if !self.complete && !self.failed {
            self.fail("The provider's stream ended in the middle.", &mut events);
        }
        Ok(events)
    }
}

impl Chunks {
    /// As an event, so that what came before it still counts.
    fn fail(&mut self, message: &str, events: &mut Vec<Event>) {
        self.failed = true;
        events.push(Event::Failed(Failure::upstream(message)));
    }

    fn chunk(&mut self, index: u32, chunk: &Value<'_>, events: &mut Vec<Event>) {
        if chunk.get("error").is_some() {
            self.failed = true;
            events.push(Event::Failed(errors::failure(200, &ErrorBody::of(chunk))));
            return;
        }
        let choices = chunk.get("choices").and_then(Value::as_array).unwrap_or_default();
        if !choices.is_empty() {
            self.complete |= choices.iter().any(|choice| choice.get("finish_reason").is_some());
            events.push(Event::Forward(index));
        }
        // Not forwarded when it stands alone: whether the client is shown it is the host's to say.
        events.extend(chunk.get("usage").and_then(usage).map(Event::Usage));
    }
}
