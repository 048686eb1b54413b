//! Answers and stream events, read.

use tollgate_plugin::json::Value;
use tollgate_plugin::{FinishReason, Usage};

/// A whole answer.
pub(crate) struct Message<'a>(pub(crate) &'a Value<'a>);

impl<'a> Message<'a> {
    /// None for a document that is no message.
    pub(crate) fn of(value: &'a Value<'a>) -> Option<Self> {
        value.get("content")?.as_array()?;
        Some(Self(value))
    }

    pub(crate) fn id(&self) -> Option<&'a str> {
        self.0.text("id")
    }

    pub(crate) fn model(&self) -> Option<&'a str> {
        self.0.text("model")
    }

    pub(crate) fn content(&self) -> impl Iterator<Item = Content<'a>> {
        self.0.get("content").and_then(Value::as_array).unwrap_or_default().iter().map(Content::of)
    }

    pub(crate) fn finish_reason(&self) -> FinishReason {
        stop_reason(self.0.text("stop_reason"))
    }

    pub(crate) fn counts(&self) -> Option<Counts> {
        let mut counts = Counts::default();
        counts.update(self.0.get("usage")?);
        Some(counts)
    }
}

/// One block of an answer.
pub(crate) enum Content<'a> {
    Text(&'a str),
    Thinking {
        text: &'a str,
        signature: &'a str,
    },
    Redacted(&'a str),
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Option<&'a Value<'a>>,
    },
    /// Server tools and whatever comes to be: nothing a canonical answer can hold.
    Other,
}

impl<'a> Content<'a> {
    pub(crate) fn of(block: &'a Value<'a>) -> Self {
        let text = |name| block.text(name).unwrap_or_default();
        match block.text("type") {
            Some("text") => Content::Text(text("text")),
            Some("thinking") => Content::Thinking { text: text("thinking"), signature: text("signature") },
            Some("redacted_thinking") => Content::Redacted(text("data")),
            Some("tool_use") => Content::ToolUse { id: text("id"), name: text("name"), input: block.get("input") },
            _ => Content::Other,
        }
    }
}

/// What one frame of a stream says. Read by the type inside the data, for proxies drop the event's name.
pub(crate) enum StreamEvent<'a> {
    MessageStart {
        usage: Option<&'a Value<'a>>,
    },
    BlockStart {
        index: u64,
        content: Content<'a>,
    },
    BlockDelta {
        index: u64,
        delta: BlockDelta<'a>,
    },
    BlockStop {
        index: u64,
    },
    MessageDelta {
        stop_reason: Option<&'a str>,
        usage: Option<&'a Value<'a>>,
    },
    MessageStop,
    Error,
    /// A ping, or an event that is newer than this adapter.
    Other,
}

pub(crate) enum BlockDelta<'a> {
    Text(&'a str),
    Thinking(&'a str),
    Signature(&'a str),
    Input(&'a str),
    Other,
}

impl<'a> StreamEvent<'a> {
    pub(crate) fn of(data: &'a Value<'a>) -> Self {
        let index = || data.get("index").and_then(Value::as_u64).unwrap_or_default();
        match data.text("type") {
            Some("message_start") => {
                StreamEvent::MessageStart { usage: data.get("message").and_then(|message| message.get("usage")) }
            }
            Some("content_block_start") => StreamEvent::BlockStart {
                index: index(),
                content: data.get("content_block").map_or(Content::Other, Content::of),
            },
            Some("content_block_delta") => StreamEvent::BlockDelta {
                index: index(),
                delta: data.get("delta").map_or(BlockDelta::Other, BlockDelta::of),
            },
            Some("content_block_stop") => StreamEvent::BlockStop { index: index() },
            Some("message_delta") => StreamEvent::MessageDelta {
                stop_reason: data.get("delta").and_then(|delta| delta.text("stop_reason")),
                usage: data.get("usage"),
            },
            Some("message_stop") => StreamEvent::MessageStop,
            Some("error") => StreamEvent::Error,
            _ => StreamEvent::Other,
        }
    }
}

impl<'a> BlockDelta<'a> {
    fn of(delta: &'a Value<'a>) -> Self {
        let text = |name| delta.text(name).unwrap_or_default();
        match delta.text("type") {
            Some("text_delta") => BlockDelta::Text(text("text")),
            Some("thinking_delta") => BlockDelta::Thinking(text("thinking")),
            Some("signature_delta") => BlockDelta::Signature(text("signature")),
            Some("input_json_delta") => BlockDelta::Input(text("partial_json")),
            _ => BlockDelta::Other,
        }
    }
}

pub(crate) fn stop_reason(reason: Option<&str>) -> FinishReason {
    match reason {
        Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
        Some("tool_use") => FinishReason::ToolCalls,
        Some("refusal") => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}

/// Anthropic's counts, in which what was read from the cache or written to it is not part of the input.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    thinking: u64,
}

impl Counts {
    /// Takes the counts that `usage` names; they are totals, and the others stay.
    pub(crate) fn update(&mut self, usage: &Value<'_>) {
        let count = |name| usage.get(name).and_then(Value::as_u64);
        let details = usage.get("output_tokens_details");
        let thinking = details.and_then(|details| details.get("thinking_tokens")).and_then(Value::as_u64);
        for (total, count) in [
            (&mut self.input, count("input_tokens")),
            (&mut self.output, count("output_tokens")),
            (&mut self.cache_read, count("cache_read_input_tokens")),
            (&mut self.cache_write, count("cache_creation_input_tokens")),
            (&mut self.thinking, thinking),
        ] {
            *total = count.unwrap_or(*total);
        }
    }

    /// The same, counted as OpenAI counts.
    pub(crate) fn to_usage(self) -> Usage {
        Usage {
            input_tokens: self.input.saturating_add(self.cache_read).saturating_add(self.cache_write),
            output_tokens: self.output,
            cached_tokens: self.cache_read,
            cache_write_tokens: self.cache_write,
            reasoning_tokens: self.thinking,
        }
    }
}
