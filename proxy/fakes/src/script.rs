//! The scenario a call asks for in its model's name. Owns the names and their meaning; never acts on them.

use std::time::Duration;

use crate::count::Tokenizer;

const FRAMES_MAX: usize = 100_000;
const BYTES_MAX: usize = 64 << 20;
const WAIT_MS_MAX: u64 = 600_000;
const CALLS_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 64;
/// Deep enough for any client's own limit, and far from the end of a thread's stack.
const DEPTH_MAX: usize = 2000;

/// Where the delivery of an answer goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// No byte is sent, and the connection stays open.
    Hang,
    /// The head and `after` frames are sent, then nothing, and the connection stays open.
    Stall,
    /// The connection is reset after `after` frames.
    Reset,
    /// The connection is closed in the middle of a frame or of a whole body.
    Cut,
    /// The stream ends in good order after `after` frames, without its last events.
    End,
}

/// What is answered in place of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Instead {
    #[default]
    Nothing,
    /// A page such as a load balancer serves.
    Html,
    /// A refusal in the provider's words under status 200.
    ErrorIn200,
    /// A refusal in the provider's words under `code`.
    Status,
    /// A redirection to another host.
    Redirect,
}

/// Token counts to report in place of the counted ones, as the provider itself reports them. They may be absurd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) absent: bool,
    pub(super) input: Option<i128>,
    pub(super) output: Option<i128>,
    pub(super) cached: i128,
    pub(super) cache_write: i128,
    pub(super) reasoning: i128,
}

/// In which form embeddings are answered, whatever was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Form {
    #[default]
    Asked,
    Floats,
    Base64,
}

/// A scenario. The default one answers well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) fault: Fault,
    pub(super) instead: Instead,
    pub(super) after: usize,
    /// The fault comes behind the last frame, or behind the whole body.
    pub(super) at_end: bool,
    pub(super) code: u16,
    pub(super) retry_after: Option<u64>,
    pub(super) first: Duration,
    pub(super) frame: Duration,
    pub(super) frames: Option<usize>,
    /// Frames per write to the socket, where nothing paces them.
    pub(super) per_write: usize,
    /// Length of the answer's text.
    pub(super) bytes: Option<usize>,
    pub(super) reported: Reported,
    pub(super) tokenizer: Tokenizer,
    /// What each image, file or sound counts, where a tokenizer is named.
    pub(super) media_tokens: u64,
    /// The answer repeats the request's headers.
    pub(super) echo: bool,
    /// The answer tells which fields the request had.
    pub(super) report: bool,
    /// What to say in place of an answer of one's own.
    pub(super) text: Option<String>,
    /// How deeply the arguments of tool calls nest.
    pub(super) depth: Option<usize>,
    pub(super) crlf: bool,
    pub(super) comments: bool,
    pub(super) bytewise: bool,
    /// Further headers of the answer.
    pub(super) headers: usize,
    /// The error event of this scenario follows `after` frames.
    pub(super) error_event: bool,
    /// The stream has all but its last mark.
    pub(super) no_done: bool,
    /// The stream never says why it stopped.
    pub(super) no_finish: bool,
    /// A stream is answered by a whole body.
    pub(super) whole: bool,
    pub(super) thinking: bool,
    pub(super) refusal: bool,
    /// Tool calls to make, declared or not.
    pub(super) calls: Option<usize>,
    pub(super) form: Form,
    /// How many calls fail before one succeeds.
    pub(super) fail_first: Option<u64>,
    /// Nothing is sent before the gate `id` is opened.
    pub(super) gated: bool,
    pub(super) id: String,
    /// The provider does not know the model.
    pub(super) missing: bool,
}

impl Script {
    /// The scenario that `model` names: `fake:<name>[+<name>…][?<parameter>=<value>&…]`. Any other model answers well.
    /// A name or a parameter that does not exist is returned as the error.
    pub(super) fn parse(model: &str) -> Result<Script, String> {
        let mut script = Script { code: 500, per_write: 1, media_tokens: 1000, ..Script::default() };
        let Some(text) = model.strip_prefix("fake:") else { return Ok(script) };
        let (names, parameters) = text.split_once('?').unwrap_or((text, ""));
        for name in names.split('+') {
            script.name(name).ok_or_else(|| format!("no scenario `{name}`"))?;
        }
        for parameter in parameters.split('&').filter(|it| !it.is_empty()) {
            script.parameter(parameter).ok_or_else(|| format!("no parameter `{parameter}`"))?;
        }
        Ok(script)
    }

    fn name(&mut self, name: &str) -> Option<()> {
        match name {
            "ok" | "slow" | "usage" => {}
            "hang" => self.fault = Fault::Hang,
            "stall" => (self.fault, self.after) = (Fault::Stall, 3),
            "reset" => self.fault = Fault::Reset,
            "cut" => (self.fault, self.after) = (Fault::Cut, 3),
            "end" => (self.fault, self.after) = (Fault::End, 3),
            "html" => (self.instead, self.code) = (Instead::Html, 200),
            "200-error" => self.instead = Instead::ErrorIn200,
            "status" => self.instead = Instead::Status,
            "redirect" => (self.instead, self.code) = (Instead::Redirect, 302),
            "error-event" => (self.error_event, self.after) = (true, 3),
            "no-usage" => self.reported.absent = true,
            "no-done" => self.no_done = true,
            "no-finish" => self.no_finish = true,
            "at-end" => self.at_end = true,
            "echo" => self.echo = true,
            "report" => self.report = true,
            "bytes-counted" => self.tokenizer = Tokenizer::Bytes,
            "o200k" => self.tokenizer = Tokenizer::O200k,
            "cl100k" => self.tokenizer = Tokenizer::Cl100k,
            "deep" => (self.calls, self.depth) = (Some(1), Some(120)),
            "whole" => self.whole = true,
            "crlf" => self.crlf = true,
            "comments" => self.comments = true,
            "bytewise" => self.bytewise = true,
            "long" => self.frames = Some(1000),
            "big" => self.bytes = Some(1 << 20),
            "headers" => self.headers = 100,
            "tools" => self.calls = Some(1),
            "thinking" => self.thinking = true,
            "refusal" => self.refusal = true,
            "floats" => self.form = Form::Floats,
            "base64" => self.form = Form::Base64,
            "fail-first" => self.fail_first = Some(1),
            "gate" => self.gated = true,
            "missing" => self.missing = true,
            _ => return None,
        }
        Some(())
    }

    fn parameter(&mut self, parameter: &str) -> Option<()> {
        let (name, value) = parameter.split_once('=')?;
        if name == "id" {
            value.get(..value.len().min(NAME_BYTES_MAX))?.clone_into(&mut self.id);
            return Some(());
        }
        let reported = match name {
            "input" => Some(self.reported.input.get_or_insert_default()),
            "output" => Some(self.reported.output.get_or_insert_default()),
            "cached" => Some(&mut self.reported.cached),
            "cache_write" => Some(&mut self.reported.cache_write),
            "reasoning" => Some(&mut self.reported.reasoning),
            _ => None,
        };
        if let Some(reported) = reported {
            *reported = value.parse().ok()?;
            return Some(());
        }
        let number: u64 = value.parse().ok()?;
        let count = usize::try_from(number).ok()?;
        let wait = Duration::from_millis(number.min(WAIT_MS_MAX));
        match name {
            "after" => self.after = count,
            "first_ms" => self.first = wait,
            "frame_ms" => self.frame = wait,
            "frames" => self.frames = Some(count.clamp(1, FRAMES_MAX)),
            "per_write" => self.per_write = count.max(1),
            "bytes" => self.bytes = Some(count.min(BYTES_MAX)),
            "media" => self.media_tokens = number,
            "depth" => self.depth = Some(count.min(DEPTH_MAX)),
            "code" => self.code = u16::try_from(number).ok().filter(|code| (200..=599).contains(code))?,
            "retry_after" => self.retry_after = Some(number),
            "headers" => self.headers = count.min(FRAMES_MAX),
            "calls" => self.calls = Some(count.clamp(1, CALLS_MAX)),
            "n" => self.fail_first = Some(number),
            _ => return None,
        }
        Some(())
    }
}
