//! A streamed Messages answer as canonical events.

mod block;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use tollgate_plugin::{Context, ErrorBody, Event, Failure, Frame, Stream, json::Value};

use crate::{
    errors,
    state::State,
    wire::{self, Counts, StreamEvent},
};
use block::{Block, BlockDecoder};

/// One streamed answer.
pub struct Events {
    started: bool,
    /// Nothing counts any more: the message has ended, or failed.
    ended: bool,
    counts: Counts,
    stop_reason: Option<String>,
    /// The block that is being streamed; the provider sends one after the other.
    block: Option<Block>,
    blocks: BlockDecoder,
}

impl Stream for Events {
    fn new(context: &Context) -> Self {
        Self {
            started: false,
            ended: false,
            counts: Counts::default(),
            stop_reason: None,
            block: None,
            blocks: BlockDecoder::new(State::of(context)),
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
                Err(_) => self.fail("The provider's stream holds something other than JSON.", &mut events),
            }
        }
        Ok(events)
    }

    /// An answer whose reason for ending is known is whole, whether or not the provider has said that it ends.
    fn finish(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        if !self.ended && self.stop_reason.is_some() {
            self.end(&mut events);
        } else if !self.ended {
            self.fail("The provider's stream ended in the middle.", &mut events);
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
                if let Some(usage) = usage {
                    self.counts.update(usage);
                    self.counts = self.counts.without_output();
                    events.push(Event::Usage(self.counts.to_usage()));
                }
            }
            StreamEvent::BlockStart { index, content } => {
                self.end_block(events);
                self.block = Some(Block { index, kind: self.blocks.begin(&content, events) });
            }
            StreamEvent::BlockDelta { index, delta } => {
                match self.block.as_mut().filter(|block| block.index == index) {
                    Some(block) => self.blocks.delta(&mut block.kind, &delta, events),
                    // A proxy may have lost the block's start; its text needs none.
                    None => self.blocks.text_delta(&delta, events),
                }
            }
            StreamEvent::BlockStop { index } => {
                if self.block.as_ref().is_some_and(|block| block.index == index) {
                    self.end_block(events);
                }
            }
            StreamEvent::MessageDelta { stop_reason, usage } => {
                if stop_reason.is_some() {
                    self.stop_reason = stop_reason.map(ToString::to_string);
                    // All that is said goes before the counts, which are of all that was said.
                    self.end_block(events);
                    self.blocks.finish(events);
                }
                if let Some(usage) = usage {
                    self.counts.update(usage);
                    events.push(Event::Usage(self.counts.to_usage()));
                }
            }
            StreamEvent::MessageStop => self.end(events),
            StreamEvent::Error => {
                self.ended = true;
                events.push(Event::Failed(errors::failure(200, &ErrorBody::of(data))));
            }
            StreamEvent::Other => {}
        }
    }

    fn end_block(&mut self, events: &mut Vec<Event>) {
        if let Some(block) = self.block.take() {
            self.blocks.end(block.kind, events);
        }
    }

    /// The answer is whole. What the provider may still send says nothing more.
    fn end(&mut self, events: &mut Vec<Event>) {
        self.end_block(events);
        self.blocks.finish(events);
        self.ended = true;
        events.push(Event::Finish(wire::finish_reason(self.stop_reason.as_deref(), self.blocks.has_calls())));
    }
}
