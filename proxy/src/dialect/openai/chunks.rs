//! Events of a translated stream → the client's chunks.

use super::tokens;
use crate::{
    call::{
        Event, FinishReason, Tokens, ToolDelta,
        json::{self, Kind, Scanner, push_quoted, push_u64},
    },
    dialect::AnswerName,
};

/// What ends a stream that is complete.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

/// An event that a stream cannot hold where it came. The adapter is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("output follows the finish reason")]
    AfterFinish,
    #[error("tool call {0} skips an index")]
    ToolGap(u32),
    #[error("tool call {0} begins without an id and a name")]
    ToolUnnamed(u32),
    #[error("tool call {0} is named twice")]
    ToolRenamed(u32),
    #[error("there are more than {0} tool calls")]
    TooManyTools(usize),
    #[error("a `delta` is not a JSON object")]
    NotAnObject,
}

/// Tool calls of one answer.
const TOOLS_MAX: usize = 1024;
/// Containers open at once in a `delta` of an adapter's own.
const DELTA_DEPTH_MAX: usize = 100;

/// Writes one answer as a stream of chunks: role first, then output, one finish reason, usage if the client asked for
/// it, and the end mark.
#[derive(Debug)]
pub(super) struct Chunks {
    /// From `data: ` to the opening brace of `delta`.
    opening: Vec<u8>,
    /// Of `opening`, what every chunk has, the ones without choices included.
    shared_bytes: usize,
    include_usage: bool,
    role_sent: bool,
    finished: bool,
    /// For each tool call, whether it has arguments.
    tools: Vec<bool>,
    /// The older dialect's one call, which its clients run under a finish reason of its own.
    has_function_call: bool,
}

impl Chunks {
    pub(super) fn new(name: AnswerName<'_>, include_usage: bool) -> Chunks {
        let mut opening = Vec::with_capacity(170 + name.request_id.len() + name.model.len());
        opening.extend_from_slice(b"data: {\"id\":");
        push_quoted(&answer_id(name.request_id), &mut opening);
        opening.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        push_u64(name.created_s, &mut opening);
        opening.extend_from_slice(b",\"model\":");
        push_quoted(name.model, &mut opening);
        opening.extend_from_slice(b",\"choices\":[");
        let shared_bytes = opening.len();
        opening.extend_from_slice(b"{\"index\":0,\"delta\":{");
        Chunks {
            opening,
            shared_bytes,
            include_usage,
            role_sent: false,
            finished: false,
            tools: Vec::new(),
            has_function_call: false,
        }
    }

    /// Appends what `event` becomes. Usage, failures and forwarded frames become nothing: they are the caller's.
    pub(super) fn event(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EventError> {
        match event {
            Event::Forward(_) | Event::Usage(_) | Event::Failed(_) => Ok(()),
            Event::Text(text) => self.text(b"\"content\":", text, out),
            Event::Reasoning(text) => self.text(b"\"reasoning_content\":", text, out),
            Event::Tool(delta) => self.tool(delta, out),
            Event::Delta(object) => self.delta(object, out),
            Event::Finish(reason) => {
                self.finish_reason(*reason, out);
                Ok(())
            }
        }
    }

    /// Whether a finish reason has been written. A stream that ends without one was cut off.
    pub(super) fn finished(&self) -> bool {
        self.finished
    }

    /// Ends the stream: the usage chunk, if the client asked for it and it is known, and the end mark.
    pub(super) fn finish(&mut self, usage: Option<Tokens>, out: &mut Vec<u8>) {
        if let Some(usage) = usage.filter(|_| self.include_usage) {
            out.extend_from_slice(&self.opening[..self.shared_bytes]);
            out.extend_from_slice(b"],\"usage\":");
            tokens::push(&usage, out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(DONE);
    }

    fn text(&mut self, field: &[u8], text: &str, out: &mut Vec<u8>) -> Result<(), EventError> {
        if text.is_empty() {
            return Ok(());
        }
        self.open(out)?;
        out.extend_from_slice(field);
        push_quoted(text, out);
        self.close(None, out);
        Ok(())
    }

    fn tool(&mut self, delta: &ToolDelta, out: &mut Vec<u8>) -> Result<(), EventError> {
        let index = delta.index as usize;
        let is_new = index == self.tools.len();
        if index > self.tools.len() {
            return Err(EventError::ToolGap(delta.index));
        }
        if index >= TOOLS_MAX {
            return Err(EventError::TooManyTools(TOOLS_MAX));
        }
        let head = match (&delta.id, &delta.name) {
            (Some(id), Some(name)) if is_new => Some((id, name)),
            (None, None) if !is_new => None,
            _ if is_new => return Err(EventError::ToolUnnamed(delta.index)),
            _ => return Err(EventError::ToolRenamed(delta.index)),
        };
        if head.is_none() && delta.arguments.is_empty() {
            return Ok(());
        }
        self.open(out)?;
        if is_new {
            self.tools.push(false);
        }
        self.tools[index] |= !delta.arguments.is_empty();
        push_tool(delta.index, head, &delta.arguments, out);
        self.close(None, out);
        Ok(())
    }

    fn delta(&mut self, object: &str, out: &mut Vec<u8>) -> Result<(), EventError> {
        if json::check(object, DELTA_DEPTH_MAX) != Ok(Kind::Object) {
            return Err(EventError::NotAnObject);
        }
        self.open(out)?;
        self.has_function_call |= has_function_call(object);
        let object = object.trim_ascii();
        // A line break outside a string means nothing to JSON, but would end the SSE line; inside there is none.
        let members = object.as_bytes()[1..object.len() - 1].iter().map(|&byte| match byte {
            b'\n' | b'\r' => b' ',
            _ => byte,
        });
        out.extend(members);
        self.close(None, out);
        Ok(())
    }

    fn finish_reason(&mut self, reason: FinishReason, out: &mut Vec<u8>) {
        if self.finished {
            return;
        }
        for index in 0..self.tools.len() {
            // Clients parse the arguments; a call without any must still parse.
            if !self.tools[index] && self.open(out).is_ok() {
                push_tool(index as u32, None, "{}", out);
                self.close(None, out);
            }
        }
        // Agents run tools only under this reason, and some providers say `stop` instead.
        let reason = match reason {
            FinishReason::Stop | FinishReason::ToolCalls if self.tools.is_empty() && self.has_function_call => {
                "function_call"
            }
            FinishReason::Stop if self.tools.is_empty() => "stop",
            FinishReason::Stop | FinishReason::ToolCalls => "tool_calls",
            FinishReason::Length => "length",
            FinishReason::ContentFilter => "content_filter",
        };
        if self.open(out).is_ok() {
            self.close(Some(reason), out);
        }
        self.finished = true;
    }

    /// Opens a chunk inside its `delta`, after the role chunk if there was none yet.
    fn open(&mut self, out: &mut Vec<u8>) -> Result<(), EventError> {
        if self.finished {
            return Err(EventError::AfterFinish);
        }
        if !self.role_sent {
            self.role_sent = true;
            out.extend_from_slice(&self.opening);
            out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"");
            self.close(None, out);
        }
        out.extend_from_slice(&self.opening);
        Ok(())
    }

    fn close(&self, reason: Option<&str>, out: &mut Vec<u8>) {
        match reason {
            None => out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":null}]"),
            Some(reason) => {
                out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":\"");
                out.extend_from_slice(reason.as_bytes());
                out.extend_from_slice(b"\"}]");
            }
        }
        // A client that asked for usage is promised the field on every chunk.
        out.extend_from_slice(if self.include_usage { b",\"usage\":null}\n\n" } else { b"}\n\n" });
    }
}

fn push_tool(index: u32, head: Option<(&String, &String)>, arguments: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
    push_u64(u64::from(index), out);
    if let Some((id, name)) = head {
        out.extend_from_slice(b",\"id\":");
        push_quoted(id, out);
        out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
        push_quoted(name, out);
        out.extend_from_slice(b",\"arguments\":");
    } else {
        out.extend_from_slice(b",\"function\":{\"arguments\":");
    }
    push_quoted(arguments, out);
    out.extend_from_slice(b"}}]");
}

/// Whether the `delta`, a JSON object, has a piece of the older dialect's call.
fn has_function_call(delta: &str) -> bool {
    let mut scanner = Scanner::new(delta, DELTA_DEPTH_MAX);
    if scanner.enter_object().is_err() {
        return false;
    }
    while let Ok(Some(key)) = scanner.key() {
        match scanner.value() {
            Ok(value) if key.raw == "function_call" => return value != "null",
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

/// The id of an answer, made of the id of its call.
pub(super) fn answer_id(request_id: &str) -> String {
    format!("chatcmpl-{}", request_id.strip_prefix("req_").unwrap_or(request_id))
}
