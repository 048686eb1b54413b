//! A streamed Messages answer as canonical events.

use crate::decode;
use crate::errors;
use crate::shape::{JSON_TOOL, Shape};
use crate::wire::{self, BlockDelta, Content, Counts, StreamEvent};
use alloc::string::String;
use alloc::vec::Vec;
use tollgate_plugin::json::{Value, Writer};
use tollgate_plugin::{Context, ErrorBody, Event, Failure, FinishReason, Frame, Stream, ToolDelta};

/// One streamed answer.
pub struct Events {
    shape: Shape,
    started: bool,
    /// Nothing counts any more: the message has ended, or failed.
    ended: bool,
    counts: Counts,
    reason: Option<FinishReason>,
    /// The block that is being streamed; the provider sends one after the other.
    block: Option<Block>,
    /// Tool calls begun so far.
    tools: u32,
}

/// A block in the middle of its deltas.
struct Block {
    /// The provider's index, which counts blocks of every kind.
    index: u64,
    kind: BlockKind,
}

enum BlockKind {
    Text,
    Thinking { text: String, signature: String },
    Tool { index: u32, spoken: bool, whole_input: Option<String> },
    JsonTool { spoken: bool, whole_input: Option<String> },
    Other,
}

impl Stream for Events {
    fn new(context: &Context) -> Self {
        Self {
            shape: Shape::of(context),
            started: false,
            ended: false,
            counts: Counts::default(),
            reason: None,
            block: None,
            tools: 0,
        }
    }

    fn push(&mut self, frames: &[Frame]) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::with_capacity(frames.len());
        for frame in frames {
            if self.ended {
                break;
            }
            match Value::parse(&frame.data) {
                Ok(data) => self.frame(&data, &mut events),
                Err(_) => self.fail("the provider's stream holds something other than JSON", &mut events),
            }
        }
        Ok(events)
    }

    fn finish(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        if !self.ended {
            self.fail("the provider's stream ended in the middle", &mut events);
        }
        Ok(events)
    }
}

impl Events {
    /// As an event, so that what came before it still counts.
    fn fail(&mut self, message: &str, events: &mut Vec<Event>) {
        self.ended = true;
        events.push(Event::Failed(Failure::upstream(message)));
    }

    fn frame(&mut self, data: &Value<'_>, events: &mut Vec<Event>) {
        match StreamEvent::of(data) {
            // Proxies have been seen to begin twice.
            StreamEvent::MessageStart { .. } if self.started => {}
            StreamEvent::MessageStart { usage } => {
                self.started = true;
                self.count(usage, events);
            }
            StreamEvent::BlockStart { index, content } => {
                self.end_block(events);
                let kind = self.begin(&content, events);
                self.block = Some(Block { index, kind });
            }
            StreamEvent::BlockDelta { index, delta } => {
                match self.block.as_mut().filter(|block| block.index == index) {
                    Some(block) => hear(self.shape, &mut block.kind, &delta, events),
                    // A proxy may have lost the block's start; its text needs none.
                    None => hear(self.shape, &mut BlockKind::Text, &delta, events),
                }
            }
            StreamEvent::BlockStop { index } => {
                if self.block.as_ref().is_some_and(|block| block.index == index) {
                    self.end_block(events);
                }
            }
            StreamEvent::MessageDelta { stop_reason, usage } => {
                if stop_reason.is_some() {
                    self.reason = Some(wire::stop_reason(stop_reason));
                }
                self.count(usage, events);
            }
            StreamEvent::MessageStop => {
                self.end_block(events);
                self.ended = true;
                events.push(Event::Finish(self.reason()));
            }
            StreamEvent::Error => {
                self.ended = true;
                events.push(Event::Failed(errors::failure(200, &ErrorBody::of(data))));
            }
            StreamEvent::Other => {}
        }
    }

    fn count(&mut self, usage: Option<&Value<'_>>, events: &mut Vec<Event>) {
        if let Some(usage) = usage {
            self.counts.update(usage);
            events.push(Event::Usage(self.counts.to_usage()));
        }
    }

    fn reason(&self) -> FinishReason {
        match self.reason.unwrap_or(FinishReason::Stop) {
            FinishReason::ToolCalls if self.shape == Shape::JsonTool && self.tools == 0 => FinishReason::Stop,
            reason => reason,
        }
    }

    fn begin(&mut self, content: &Content<'_>, events: &mut Vec<Event>) -> BlockKind {
        match *content {
            Content::Text(text) => {
                say(text, events);
                BlockKind::Text
            }
            Content::Thinking { text, signature } => {
                think(text, events);
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
                if self.shape == Shape::JsonTool && name == JSON_TOOL {
                    return BlockKind::JsonTool { spoken: false, whole_input };
                }
                let index = self.tools;
                self.tools += 1;
                events.extend(call(self.shape, index, Some((id, name)), ""));
                BlockKind::Tool { index, spoken: false, whole_input }
            }
            Content::Other => BlockKind::Other,
        }
    }

    /// Says what only the end of a block can say.
    fn end_block(&mut self, events: &mut Vec<Event>) {
        let Some(block) = self.block.take() else { return };
        match block.kind {
            BlockKind::Thinking { text, signature } => {
                events.push(thinking_block(&Content::Thinking { text: &text, signature: &signature }));
            }
            BlockKind::Tool { index, spoken: false, whole_input } => {
                events.extend(call(self.shape, index, None, whole_input.as_deref().unwrap_or("{}")));
            }
            BlockKind::JsonTool { spoken: false, whole_input } => {
                say(whole_input.as_deref().unwrap_or("{}"), events);
            }
            _ => {}
        }
    }
}

fn hear(shape: Shape, block: &mut BlockKind, delta: &BlockDelta<'_>, events: &mut Vec<Event>) {
    match (block, delta) {
        (BlockKind::Text, BlockDelta::Text(text)) => say(text, events),
        (BlockKind::Thinking { text, .. }, BlockDelta::Thinking(more)) => {
            think(more, events);
            text.push_str(more);
        }
        (BlockKind::Thinking { signature, .. }, BlockDelta::Signature(more)) => signature.push_str(more),
        (_, BlockDelta::Input("")) => {}
        (BlockKind::Tool { index, spoken, .. }, BlockDelta::Input(json)) => {
            *spoken = true;
            events.extend(call(shape, *index, None, json));
        }
        (BlockKind::JsonTool { spoken, .. }, BlockDelta::Input(json)) => {
            *spoken = true;
            say(json, events);
        }
        _ => {}
    }
}

fn say(text: &str, events: &mut Vec<Event>) {
    if !text.is_empty() {
        events.push(Event::Text(text.into()));
    }
}

fn think(text: &str, events: &mut Vec<Event>) {
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
