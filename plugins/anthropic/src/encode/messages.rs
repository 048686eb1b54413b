//! The conversation: system text apart, turns that alternate, every tool call answered right after it.

mod parts;
mod turns;

use alloc::{string::String, vec::Vec};

use tollgate_plugin::{
    Failure,
    json::{Value, Writer},
};

use crate::wire::{Block, Turn};
use turns::Turns;

pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
    /// The tools that the history calls, each once.
    pub(super) tool_names: Vec<&'a str>,
    /// The conversation stands in the middle of a tool loop that the model began without thinking, or whose thinking
    /// the client has lost. It refuses to go on thinking by budget there.
    pub(super) loop_without_thinking: bool,
}

pub(super) fn conversation<'a>(asked: &'a Value<'a>) -> Result<Conversation<'a>, Failure> {
    let Some(messages) = asked.get("messages").and_then(Value::as_array) else {
        return Err(Failure::invalid("messages", "The messages must be an array."));
    };
    let mut system = Vec::new();
    let mut turns = Turns::default();
    for (index, message) in messages.iter().enumerate() {
        let at = FieldPath { message: index };
        match message.text("role") {
            Some("system" | "developer") => {
                let mut blocks = parts::system(message, at)?;
                parts::keep_cache_control(message, &mut blocks);
                system.append(&mut blocks);
            }
            Some("user") => {
                let mut blocks = parts::user(message, at)?;
                parts::keep_cache_control(message, &mut blocks);
                turns.user(blocks);
            }
            Some("assistant") => {
                let added = turns.assistant(parts::assistant(message, at)?);
                added.map_err(|sentence| Failure::invalid(at.field("tool_calls"), sentence))?;
            }
            Some("tool") => turns.result(parts::tool_result(message, at)?),
            Some("function") => turns.result(parts::function_result(message, at)?),
            _ => {
                let roles = "A message's role must be system, developer, user, assistant, tool or function.";
                return Err(Failure::invalid(at.field("role"), roles));
            }
        }
    }
    Ok(turns.finish(system))
}

/// Where in the request a fault lies.
#[derive(Debug, Clone, Copy)]
struct FieldPath {
    message: usize,
}

impl FieldPath {
    /// `messages[3].role`
    fn field(self, name: &str) -> String {
        let mut path = self.path();
        path.push('.');
        path.push_str(name);
        path
    }

    /// `messages[3].content[1]`
    fn part(self, index: usize) -> String {
        let mut path = self.field("content");
        push_index(&mut path, index);
        path
    }

    fn path(self) -> String {
        let mut path = String::from("messages");
        push_index(&mut path, self.message);
        path
    }
}

fn push_index(path: &mut String, index: usize) {
    let mut number = Writer::new();
    number.number(index as u64);
    path.push('[');
    path.push_str(&number.finish());
    path.push(']');
}
