//! Turns in the order that the provider demands.
//!
//! Invariant: turns alternate and begin with the user; the results of an assistant's calls, one for each and none
//! besides, begin the turn right after it.

use alloc::{borrow::Cow, string::String, vec::Vec};

use tollgate_plugin::json::Writer;

use super::{
    Conversation,
    parts::{AssistantMessage, ToolOutput},
};
use crate::{
    names::{self, Numbered},
    wire::{Block, BlockKind, Role, ToolContent, Turn},
};

/// Said for a user who has said nothing yet: the provider wants a user to begin.
const PLACEHOLDER: &str = ".";
/// Said for a tool whose result the client does not have.
const NO_RESULT: &str = "The tool gave no result.";

/// Calls that wait for their results at once: each result is looked for among all of them.
const CALLS_OPEN_MAX: usize = 128;
/// Different tools that a conversation calls.
const TOOLS_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct Turns<'a> {
    turns: Vec<Turn<'a>>,
    /// The calls of the last assistant turn that have no result yet.
    open: Vec<OpenCall<'a>>,
    tool_names: Vec<&'a str>,
    tools_known: Numbered<'a>,
    calls: usize,
    /// The ids given to calls so far, and the number that makes the next one of each.
    ids: Numbered<'a>,
}

struct OpenCall<'a> {
    /// As the client has it.
    given: Option<&'a str>,
    /// As the provider takes it.
    id: Cow<'a, str>,
    name: &'a str,
}

impl<'a> Turns<'a> {
    pub(super) fn user(&mut self, blocks: Vec<Block<'a>>) {
        if !blocks.is_empty() {
            self.turn(Role::User).blocks.extend(blocks);
        }
    }

    /// # Errors
    /// A sentence, where more calls or tools stand open than any model makes.
    pub(super) fn assistant(&mut self, message: AssistantMessage<'a>) -> Result<(), &'static str> {
        if message.blocks.is_empty() && message.calls.is_empty() {
            return Ok(());
        }
        match self.turns.last().map(|turn| turn.role) {
            None => self.user(Vec::from([Block::text(PLACEHOLDER)])),
            Some(Role::User) => self.answer_what_is_open(),
            Some(Role::Assistant) => {}
        }
        let mut blocks = message.blocks;
        for call in message.calls {
            if self.open.len() == CALLS_OPEN_MAX || self.tool_names.len() == TOOLS_MAX {
                return Err("The messages call more tools than a model may call.");
            }
            let id = self.new_id(call.id);
            self.calls += 1;
            if self.tools_known.insert(Cow::Borrowed(call.name), 0).is_none() {
                self.tool_names.push(call.name);
            }
            self.open.push(OpenCall { given: call.id, id: id.clone(), name: call.name });
            blocks.push(Block::plain(BlockKind::ToolUse { id, name: call.name, input: call.input }));
        }
        if let (Some(value), Some(last)) = (message.cache_control, blocks.last_mut()) {
            last.cache_control = Some(value);
        }
        self.turn(Role::Assistant).blocks.extend(blocks);
        Ok(())
    }

    /// The id of the next call. Some clients count their calls anew in every turn, and the provider refuses an id that
    /// comes twice.
    fn new_id(&mut self, given: Option<&'a str>) -> Cow<'a, str> {
        let base = given.map_or(Cow::Borrowed("tollgate_call"), names::of_call);
        let mut id = given.map_or_else(|| Cow::Owned(numbered(&base, self.calls)), |_| base.clone());
        if self.ids.contains_key(&id) {
            // No number is tried twice, so that all tries together are no more than there are calls.
            let mut number = self.ids.get(&base).map_or(self.calls, |next| self.calls.max(*next));
            while self.ids.contains_key(&id) {
                id = Cow::Owned(numbered(&base, number));
                number += 1;
            }
            self.ids.insert(base, number);
        }
        self.ids.insert(id.clone(), 0);
        id
    }

    /// A result for an open call; one that answers none is kept as the user's words.
    pub(super) fn result(&mut self, output: ToolOutput<'a>) {
        let position = self.open.iter().position(|open| match (output.id, output.name) {
            (Some(id), _) => open.given == Some(id),
            (None, Some(name)) => open.name == name,
            (None, None) => true,
        });
        let Some(position) = position else { return self.orphan(output) };
        let id = self.open.remove(position).id;
        let kind = BlockKind::ToolResult { id, content: output.content, is_error: output.is_error };
        self.turn(Role::User).results.push(Block { kind, cache_control: output.cache_control });
    }

    fn orphan(&mut self, output: ToolOutput<'a>) {
        match output.content {
            ToolContent::Text(text) if !text.trim().is_empty() => self.user(Vec::from([Block::text(text)])),
            ToolContent::Blocks(blocks) => self.user(blocks),
            _ => {}
        }
    }

    pub(super) fn finish(mut self, system: Vec<Block<'a>>) -> Conversation<'a> {
        self.answer_what_is_open();
        self.trim_the_end();
        if self.turns.is_empty() {
            self.user(Vec::from([Block::text(PLACEHOLDER)]));
        }
        let loop_without_thinking = self.ends_in_loop_without_thinking();
        Conversation { system, turns: self.turns, tool_names: self.tool_names, loop_without_thinking }
    }

    /// The last turn if it is this side's, else a new one.
    fn turn(&mut self, role: Role) -> &mut Turn<'a> {
        if self.turns.last().is_none_or(|turn| turn.role != role) {
            self.turns.push(Turn { role, results: Vec::new(), blocks: Vec::new() });
        }
        let last = self.turns.len() - 1;
        &mut self.turns[last]
    }

    fn answer_what_is_open(&mut self) {
        for open in core::mem::take(&mut self.open) {
            let content = ToolContent::Text(Cow::Borrowed(NO_RESULT));
            let kind = BlockKind::ToolResult { id: open.id, content, is_error: true };
            self.turn(Role::User).results.push(Block::plain(kind));
        }
    }

    /// The provider refuses an assistant's last words that end in white space.
    fn trim_the_end(&mut self) {
        let Some(turn) = self.turns.last_mut().filter(|turn| turn.role == Role::Assistant) else { return };
        if let Some(Block { kind: BlockKind::Text(text), .. }) = turn.blocks.last_mut() {
            match text {
                Cow::Borrowed(text) => *text = text.trim_end(),
                Cow::Owned(text) => text.truncate(text.trim_end().len()),
            }
        }
    }

    fn ends_in_loop_without_thinking(&self) -> bool {
        let [.., before, last] = self.turns.as_slice() else { return false };
        let thinks = |block: &Block<'_>| match &block.kind {
            BlockKind::Thinking { .. } | BlockKind::Redacted(_) => true,
            BlockKind::Native(block) => {
                matches!(block.text("type"), Some("thinking" | "redacted_thinking"))
            }
            _ => false,
        };
        !last.results.is_empty() && !before.blocks.first().is_some_and(thinks)
    }
}

/// `tollgate_call_3`
fn numbered(id: &str, index: usize) -> String {
    let mut number = Writer::new();
    number.number(index as u64);
    let mut id = String::from(id);
    id.push('_');
    id.push_str(&number.finish());
    id
}
