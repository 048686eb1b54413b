//! Answers and stream events, read.

use tollgate_plugin::{FinishReason, Usage, json::Value};

/// A whole answer.
pub(crate) struct Message<'a>(pub(crate) &'a Value<'a>);

impl<'a> Message<'a> {
    /// None for a document that is no message.
    pub(crate) fn of(value: &'a Value<'a>) -> Option<Self> {
        value.get("content")?.as_array()?;
        Some(Self(value))
    }

    pub(crate) fn content(&self) -> impl Iterator<Item = Content<'a>> {
        self.0.get("content").and_then(Value::as_array).unwrap_or_default().iter().map(Content::of)
    }

    pub(crate) fn stop_reason(&self) -> Option<&'a str> {
        self.0.text("stop_reason")
    }

    pub(crate) fn counts(&self) -> Option<Counts> {
        let mut counts = Counts::default();
        counts.update(self.0.get("usage")?);
        Some(counts)
    }
}

/// One block of an answer.
pub(crate) enum Content<'a> {
    Text {
        text: &'a str,
        citations: &'a [Value<'a>],
    },
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
            Some("text") => Content::Text {
                text: text("text"),
                citations: block.get("citations").and_then(Value::as_array).unwrap_or_default(),
            },
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
    Citation(&'a Value<'a>),
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
            Some("citations_delta") => delta.get("citation").map_or(BlockDelta::Other, BlockDelta::Citation),
            _ => BlockDelta::Other,
        }
    }
}

/// The reason for which an answer with or without tool calls has ended: clients run tools, and look for them, by it.
pub(crate) fn finish_reason(stop_reason: Option<&str>, has_calls: bool) -> FinishReason {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
        Some("refusal") => FinishReason::ContentFilter,
        _ if has_calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

/// Where in its source a text of the answer has been taken from.
pub(crate) struct Citation<'a>(pub(crate) &'a Value<'a>);

impl<'a> Citation<'a> {
    /// The address of a page, or what a search result gave for one; none for a document of the request.
    pub(crate) fn url(&self) -> Option<&'a str> {
        self.0.text("url").or(self.0.text("source"))
    }

    pub(crate) fn title(&self) -> Option<&'a str> {
        self.0.text("title").or(self.0.text("document_title"))
    }

    pub(crate) fn document(&self) -> Option<u64> {
        self.0.get("document_index").and_then(Value::as_u64)
    }

    pub(crate) fn quote(&self) -> Option<&'a str> {
        self.0.text("cited_text")
    }
}

/// Anthropic's counts, in which what was read from the cache or written to it is not part of the input.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    /// Of what was written to the cache: for five minutes, and for an hour.
    pub(crate) cache_write_5m: Option<u64>,
    pub(crate) cache_write_1h: Option<u64>,
    thinking: u64,
}

impl Counts {
    /// Takes the counts that `usage` names; they are totals, and the others stay.
    pub(crate) fn update(&mut self, usage: &Value<'_>) {
        let count = |name| usage.get(name).and_then(Value::as_count);
        let inner = |outer: &str, name: &str| usage.get(outer).and_then(|it| it.get(name)).and_then(Value::as_count);
        self.cache_write_5m = inner("cache_creation", "ephemeral_5m_input_tokens").or(self.cache_write_5m);
        self.cache_write_1h = inner("cache_creation", "ephemeral_1h_input_tokens").or(self.cache_write_1h);
        let split = self.cache_write_5m.unwrap_or(0).saturating_add(self.cache_write_1h.unwrap_or(0));
        for (total, count) in [
            (&mut self.input, count("input_tokens")),
            (&mut self.output, count("output_tokens")),
            (&mut self.cache_read, count("cache_read_input_tokens")),
            (&mut self.cache_write, count("cache_creation_input_tokens").or((split > 0).then_some(split))),
            (&mut self.thinking, inner("output_tokens_details", "thinking_tokens")),
        ] {
            *total = count.unwrap_or(*total);
        }
    }

    /// The same before the answer: what the provider counts as output then is no count of it.
    pub(crate) fn without_output(self) -> Self {
        Self { output: 0, thinking: 0, ..self }
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
