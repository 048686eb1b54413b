//! One block of a streamed answer after the other, as events.

use alloc::{string::String, vec::Vec};

use tollgate_plugin::{
    Event, ToolDelta,
    json::{Value, Writer},
};

use crate::{
    decode,
    state::{JSON_TOOL, Shape, State},
    wire::{BlockDelta, Citation, Content},
};

/// A block in the middle of its deltas.
pub(super) struct Block {
    /// The provider's index, which counts blocks of every kind.
    pub(super) index: u64,
    pub(super) kind: BlockKind,
}

pub(super) enum BlockKind {
    Text {
        /// Characters of the answer before this block.
        start: u64,
        /// JSON texts.
        citations: Vec<String>,
    },
    Thinking {
        text: String,
        signature: String,
    },
    Tool {
        index: u32,
        has_input: bool,
        whole_input: Option<String>,
    },
    JsonTool {
        has_input: bool,
        whole_input: Option<String>,
    },
    Other,
}

/// Turns blocks into events, and knows what of the answer has come so far.
pub(super) struct BlockDecoder {
    state: State,
    /// Tool calls begun.
    tools: u32,
    /// Characters of text.
    characters: u64,
    /// Text that is kept back until it is known whether the answer is the input of the JSON tool: around that it would
    /// make the answer no JSON.
    withheld: String,
    json_begun: bool,
}

impl BlockDecoder {
    pub(super) fn new(state: State) -> Self {
        Self { state, tools: 0, characters: 0, withheld: String::new(), json_begun: false }
    }

    pub(super) fn has_calls(&self) -> bool {
        self.tools > 0
    }

    pub(super) fn begin(&mut self, content: &Content<'_>, events: &mut Vec<Event>) -> BlockKind {
        match *content {
            Content::Text { text, citations } => {
                let start = self.characters;
                self.text(text, events);
                BlockKind::Text { start, citations: citations.iter().map(Value::to_json).collect() }
            }
            Content::Thinking { text, signature } => {
                push_reasoning(text, events);
                BlockKind::Thinking { text: text.into(), signature: signature.into() }
            }
            Content::Redacted(_) => {
                events.push(thinking_block(content));
                BlockKind::Other
            }
            Content::ToolUse { id, name, input } => {
                // Empty while it is streamed; some proxies send it whole instead.
                let whole_input = input
                    .filter(|input| input.as_object().is_some_and(|object| !object.is_empty()))
                    .map(Value::to_json);
                if self.state.shape == Shape::JsonTool && name == JSON_TOOL {
                    if core::mem::replace(&mut self.json_begun, true) {
                        return BlockKind::Other;
                    }
                    push_reasoning(&core::mem::take(&mut self.withheld), events);
                    return BlockKind::JsonTool { has_input: false, whole_input };
                }
                let index = self.tools;
                self.tools += 1;
                events.extend(call(self.state.shape, index, Some((id, self.state.tool(name))), ""));
                BlockKind::Tool { index, has_input: false, whole_input }
            }
            Content::Other => BlockKind::Other,
        }
    }

    pub(super) fn delta(&mut self, block: &mut BlockKind, delta: &BlockDelta<'_>, events: &mut Vec<Event>) {
        match (block, delta) {
            (BlockKind::Text { .. }, BlockDelta::Text(text)) => self.text(text, events),
            (BlockKind::Text { citations, .. }, BlockDelta::Citation(citation)) => citations.push(citation.to_json()),
            (BlockKind::Thinking { text, .. }, BlockDelta::Thinking(more)) => {
                push_reasoning(more, events);
                text.push_str(more);
            }
            (BlockKind::Thinking { signature, .. }, BlockDelta::Signature(more)) => signature.push_str(more),
            (_, BlockDelta::Input("")) => {}
            (BlockKind::Tool { index, has_input, .. }, BlockDelta::Input(json)) => {
                *has_input = true;
                events.extend(call(self.state.shape, *index, None, json));
            }
            (BlockKind::JsonTool { has_input, .. }, BlockDelta::Input(json)) => {
                *has_input = true;
                events.push(Event::Text((*json).into()));
            }
            _ => {}
        }
    }

    /// A delta of a block that has not begun.
    pub(super) fn text_delta(&mut self, delta: &BlockDelta<'_>, events: &mut Vec<Event>) {
        if let BlockDelta::Text(text) = delta {
            self.text(text, events);
        }
    }

    /// Says what only the end of a block can say.
    pub(super) fn end(&mut self, block: BlockKind, events: &mut Vec<Event>) {
        match block {
            BlockKind::Text { start, citations } if !citations.is_empty() => {
                events.push(annotations(&citations, start, self.characters));
            }
            BlockKind::Thinking { text, signature } => {
                events.push(thinking_block(&Content::Thinking { text: &text, signature: &signature }));
            }
            BlockKind::Tool { index, has_input: false, whole_input } => {
                events.extend(call(self.state.shape, index, None, whole_input.as_deref().unwrap_or("{}")));
            }
            BlockKind::JsonTool { has_input: false, whole_input } => {
                events.push(Event::Text(whole_input.unwrap_or_else(|| "{}".into())));
            }
            _ => {}
        }
    }

    /// Says what was kept back, where the answer was not the input of the JSON tool after all.
    pub(super) fn finish(&mut self, events: &mut Vec<Event>) {
        if !self.withheld.is_empty() {
            events.push(Event::Text(core::mem::take(&mut self.withheld)));
        }
    }

    fn text(&mut self, text: &str, events: &mut Vec<Event>) {
        self.characters += decode::characters(text);
        match self.state.shape {
            _ if text.is_empty() => {}
            Shape::JsonTool if self.json_begun => push_reasoning(text, events),
            Shape::JsonTool => self.withheld.push_str(text),
            _ => events.push(Event::Text(text.into())),
        }
    }
}

fn push_reasoning(text: &str, events: &mut Vec<Event>) {
    if !text.is_empty() {
        events.push(Event::Reasoning(text.into()));
    }
}

/// A whole block of thinking, for the client to give back.
fn thinking_block(content: &Content<'_>) -> Event {
    let mut writer = Writer::new();
    writer.object(|w| w.key("thinking_blocks").array(|w| decode::write_thinking(w, content)));
    Event::Delta(writer.finish())
}

fn annotations(citations: &[String], start: u64, end: u64) -> Event {
    let mut writer = Writer::new();
    writer.object(|w| {
        w.key("annotations").array(|w| {
            for citation in citations.iter().filter_map(|text| Value::parse(text).ok()) {
                decode::write_annotation(w, &Citation(&citation), start, end);
            }
        });
    });
    Event::Delta(writer.finish())
}

/// A piece of a tool call, its head if `head` is given. The older dialect knows only one call, and no id.
fn call(shape: Shape, index: u32, head: Option<(&str, &str)>, arguments: &str) -> Option<Event> {
    if shape != Shape::Functions {
        return Some(Event::Tool(ToolDelta {
            index,
            id: head.map(|(id, _)| id.into()),
            name: head.map(|(_, name)| name.into()),
            arguments: arguments.into(),
        }));
    }
    if index > 0 {
        return None;
    }
    let mut writer = Writer::new();
    writer.object(|w| {
        w.key("function_call").object(|w| {
            if let Some((_, name)) = head {
                w.key("name").string(name);
            }
            w.key("arguments").string(arguments);
        });
    });
    Some(Event::Delta(writer.finish()))
}
