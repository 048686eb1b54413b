//! What the decoder must know of the request: carried from `encode` to it as the call's state, a JSON object.

use alloc::{
    borrow::Cow,
    string::{String, ToString},
    vec::Vec,
};

use tollgate_plugin::{
    Context, Failure,
    json::{Value, Writer},
};

use crate::names::{self, Numbered};

/// The shape in which the client expects the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    /// The client speaks the older `functions`, and is answered with `function_call`.
    Functions,
    /// The answer is the input of a forced tool, for a model that knows no output format.
    JsonTool,
}

/// The name of the tool behind [`Shape::JsonTool`].
pub(crate) const JSON_TOOL: &str = "json";

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) shape: Shape,
    /// Tools whose names the provider does not take: the name it was given, in order of the alphabet, and the client's.
    renamed: Vec<(String, String)>,
}

/// The gateway takes a state of 64 KiB.
const STATE_BYTES_MAX: usize = 64 << 10;
/// The gateway takes a tool's name of this length in an answer.
const NAME_BYTES_MAX: usize = 1024;

impl State {
    /// `tools` are the client's names of all tools that the request declares or has called.
    ///
    /// # Errors
    /// Where a name is too long, or the names are more than the gateway remembers.
    pub(crate) fn new<'n>(shape: Shape, tools: impl Iterator<Item = &'n str>) -> Result<Self, Failure> {
        let (mut known, mut clients, mut bytes) = (Numbered::new(), Vec::new(), 0);
        for tool in tools {
            if tool.len() > NAME_BYTES_MAX {
                return Err(Failure::invalid("tools", "A tool's name is longer than 1024 bytes."));
            }
            if let name @ Cow::Owned(_) = names::of_tool(tool)
                && !known.contains_key(&name)
            {
                bytes += name.len() + tool.len();
                if bytes > STATE_BYTES_MAX {
                    return Err(too_long());
                }
                known.insert(name, clients.len());
                clients.push(tool);
            }
        }
        let renamed = known.into_iter().map(|(name, index)| (name.into_owned(), clients[index].to_string()));
        Ok(Self { shape, renamed: renamed.collect() })
    }

    /// None where there is nothing to remember.
    ///
    /// # Errors
    /// Where the names are more than the gateway remembers.
    pub(crate) fn to_text(&self) -> Result<Option<String>, Failure> {
        if self.shape == Shape::Plain && self.renamed.is_empty() {
            return Ok(None);
        }
        let mut writer = Writer::new();
        writer.object(|w| {
            match self.shape {
                Shape::Plain => {}
                Shape::Functions => w.key("shape").string("functions"),
                Shape::JsonTool => w.key("shape").string("json_tool"),
            }
            if !self.renamed.is_empty() {
                w.key("renamed").object(|w| self.renamed.iter().for_each(|(name, client)| w.key(name).string(client)));
            }
        });
        let text = writer.finish();
        if text.len() > STATE_BYTES_MAX {
            return Err(too_long());
        }
        Ok(Some(text))
    }

    pub(crate) fn of(context: &Context) -> Self {
        let value = context.state.as_deref().and_then(|text| Value::parse(text).ok()).unwrap_or(Value::Null);
        let renamed = value.get("renamed").and_then(Value::as_object);
        let pairs = renamed.into_iter().flat_map(|object| object.iter());
        Self {
            shape: match value.text("shape") {
                Some("functions") => Shape::Functions,
                Some("json_tool") => Shape::JsonTool,
                _ => Shape::Plain,
            },
            renamed: pairs.filter_map(|(name, client)| Some((name.into(), client.as_str()?.into()))).collect(),
        }
    }

    /// The client's name of a tool that the provider calls `name`.
    pub(crate) fn tool<'s>(&'s self, name: &'s str) -> &'s str {
        let found = self.renamed.binary_search_by(|(known, _)| known.as_str().cmp(name));
        found.map_or(name, |index| &self.renamed[index].1)
    }
}

fn too_long() -> Failure {
    Failure::invalid(
        "tools",
        "The names of the tools are too long to be translated: the provider takes at most 64 characters of A-Z, a-z, 0-9, _ and -.",
    )
}
