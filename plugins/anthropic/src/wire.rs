//! Anthropic's JSON, key for key; no other file spells them.

mod read;
mod write;

use alloc::{borrow::Cow, string::String, vec::Vec};

use tollgate_plugin::json::Value;

pub(crate) use read::{BlockDelta, Citation, Content, Counts, Message, StreamEvent, finish_reason};

/// A Messages request.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub(crate) model: &'a str,
    pub(crate) max_tokens: u64,
    pub(crate) stream: bool,
    pub(crate) system: Vec<Block<'a>>,
    pub(crate) turns: Vec<Turn<'a>>,
    pub(crate) tools: Vec<Tool<'a>>,
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
    pub(crate) stop_sequences: Vec<&'a str>,
    pub(crate) sampling: Sampling<'a>,
    pub(crate) user_id: Option<Cow<'a, str>>,
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) thinking: Thinking<'a>,
    pub(crate) output: OutputConfig<'a>,
    /// Fields of Anthropic's own that the client has sent.
    pub(crate) native: Vec<(&'a str, &'a Value<'a>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
}

/// All that one side says before the other does.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) role: Role,
    /// Tool results, which stand before all else in a user's turn.
    pub(crate) results: Vec<Block<'a>>,
    pub(crate) blocks: Vec<Block<'a>>,
}

#[derive(Debug)]
pub(crate) struct Block<'a> {
    pub(crate) kind: BlockKind<'a>,
    pub(crate) cache_control: Option<&'a Value<'a>>,
}

#[derive(Debug)]
pub(crate) enum BlockKind<'a> {
    Text(Cow<'a, str>),
    Image(Source<'a>),
    Document(Source<'a>),
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, str>,
    },
    ToolResult {
        id: Cow<'a, str>,
        content: ToolContent<'a>,
        is_error: bool,
    },
    Thinking {
        text: &'a str,
        signature: &'a str,
    },
    Redacted(&'a str),
    /// A block that the client wrote in Anthropic's own words.
    Native(&'a Value<'a>),
}

#[derive(Debug)]
pub(crate) enum ToolContent<'a> {
    Nothing,
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

#[derive(Debug)]
pub(crate) enum Source<'a> {
    Base64 {
        media_type: &'a str,
        data: &'a str,
    },
    Url(&'a str),
    /// Plain text.
    Text(String),
}

#[derive(Debug)]
pub(crate) enum Tool<'a> {
    Function {
        name: &'a str,
        description: Option<&'a str>,
        /// JSON text of an object schema.
        schema: String,
        strict: bool,
        cache_control: Option<&'a Value<'a>>,
    },
    Native(&'a Value<'a>),
}

impl<'a> Tool<'a> {
    /// The client's name of a function; the provider may be told another.
    pub(crate) fn function_name(&self) -> Option<&'a str> {
        match self {
            Tool::Function { name, .. } => Some(name),
            Tool::Native(_) => None,
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Tool::Function { name, .. } => Some(name),
            Tool::Native(tool) => tool.text("name"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToolChoice<'a> {
    pub(crate) kind: ToolChoiceKind<'a>,
    pub(crate) one_at_a_time: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolChoiceKind<'a> {
    None,
    Auto,
    Any,
    Tool(&'a str),
}

/// Digits as the client wrote them.
#[derive(Debug, Default)]
pub(crate) struct Sampling<'a> {
    pub(crate) temperature: Option<&'a str>,
    pub(crate) top_p: Option<&'a str>,
    pub(crate) top_k: Option<&'a str>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Thinking<'a> {
    Unsaid,
    Disabled,
    Budget {
        tokens: u64,
        display: Option<&'a str>,
    },
    Adaptive {
        display: Option<&'a str>,
    },
    /// A kind that is newer than this adapter.
    Native(&'a Value<'a>),
}

#[derive(Debug, Default)]
pub(crate) struct OutputConfig<'a> {
    /// The client's own object, whose other fields are kept.
    pub(crate) native: Option<&'a Value<'a>>,
    pub(crate) effort: Option<&'a str>,
    /// JSON text of a schema that Anthropic takes.
    pub(crate) schema: Option<String>,
}

impl<'a> Block<'a> {
    pub(crate) fn plain(kind: BlockKind<'a>) -> Self {
        Self { kind, cache_control: None }
    }

    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::plain(BlockKind::Text(text.into()))
    }
}
