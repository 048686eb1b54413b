//! A stream that is in the client's dialect already: forwarded as it comes, and read on the way.

use memchr::memmem::Finder;

use super::{answer::Parts, failure, tokens};
use crate::call::{Failure, Tokens};

/// What becomes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Forward {
    /// Its bytes go to the client as the provider sent them.
    AsIs,
    Drop,
    /// These bytes go to the client instead.
    Rewritten(Vec<u8>),
}

/// What a frame said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) forward: Forward,
    pub(super) usage: Option<Tokens>,
    /// The provider failed inside a success. The frame is dropped; nothing good follows.
    pub(super) error: Option<Failure>,
    /// The end mark.
    pub(super) done: bool,
    /// A choice has its finish reason.
    pub(super) finished: bool,
}

impl Seen {
    fn only(forward: Forward) -> Seen {
        Seen { forward, usage: None, error: None, done: false, finished: false }
    }

    fn failed(failure: Failure) -> Seen {
        Seen { error: Some(failure), ..Seen::only(Forward::Drop) }
    }
}

/// Follows one stream of canonical chunks.
///
/// The provider was asked for usage whatever the client asked, so what the client did not ask for is taken out again.
#[derive(Debug)]
pub(super) struct Passthrough {
    include_usage: bool,
    usage_shown: bool,
    /// `{"id":…,"object":…,"created":…,"model":…` of the first chunk, kept for the client who is owed a usage chunk.
    identity: Option<Vec<u8>>,
    ended: bool,
    usage: Finder<'static>,
    error: Finder<'static>,
    finish_reason: Finder<'static>,
}

/// How OpenAI ends every chunk but the last of a stream with usage.
const USAGE_NULL_LAST: &[u8] = b",\"usage\":null}";

impl Passthrough {
    /// `include_usage` is what the client asked.
    pub(super) fn new(include_usage: bool) -> Passthrough {
        Passthrough {
            include_usage,
            usage_shown: false,
            identity: None,
            ended: false,
            usage: Finder::new("\"usage\""),
            error: Finder::new("\"error\""),
            finish_reason: Finder::new("\"finish_reason\""),
        }
    }

    /// Reads one frame: the name of its event, which is as a rule empty, and its data.
    pub(super) fn frame(&mut self, event: &[u8], data: &[u8]) -> Seen {
        let data = data.trim_ascii();
        if self.ended || data.is_empty() {
            return Seen::only(Forward::Drop);
        }
        if data.starts_with(b"[DONE]") {
            self.ended = true;
            return Seen { done: true, ..Seen::only(Forward::AsIs) };
        }
        let seen = match data {
            [b'{', .., b'}'] if self.identity.is_some() && event != b"error" => self.chunk(data),
            _ => self.inspected(event, data),
        };
        self.ended = seen.error.is_some();
        seen
    }

    /// A frame like thousands before it. A name in quotes can only be a name or a whole string, never a part of one:
    /// inside a string its quotes would be escaped. So what is not found here is not there.
    fn chunk(&mut self, data: &[u8]) -> Seen {
        let (rest, usage_null) = match data.strip_suffix(USAGE_NULL_LAST) {
            Some(rest) => (rest, true),
            None => (data, false),
        };
        let one_line = memchr::memchr2(b'\n', b'\r', rest).is_none();
        let says_more = !one_line || self.usage.find(rest).is_some() || self.error.find(rest).is_some();
        // What has no finish reason, not even null, may have no choice.
        let Some(finished) = self.finish(rest).filter(|_| !says_more) else {
            return self.inspected(b"", data);
        };
        let forward = if usage_null && !self.include_usage {
            Forward::Rewritten([b"data: ", rest, b"}\n\n"].concat())
        } else {
            Forward::AsIs
        };
        Seen { finished, ..Seen::only(forward) }
    }

    /// Any frame, read in full.
    fn inspected(&mut self, event: &[u8], data: &[u8]) -> Seen {
        let text = std::str::from_utf8(data).unwrap_or_default();
        let Ok(parts) = Parts::read(text) else {
            return Seen::failed(failure::not_an_answer("the provider sent a frame that is not a JSON object"));
        };
        match parts.error {
            Some(error) => return Seen::failed(failure::read(error)),
            None if event == b"error" => return Seen::failed(failure::read(text)),
            None => {}
        }
        if parts.has_choices && self.identity.is_none() {
            self.identity = Some(identity(&parts));
        }
        let wanted = self.include_usage && parts.usage.is_some();
        self.usage_shown |= wanted && parts.tokens.is_some();
        let forward = match &parts.usage {
            // Clients that did not ask for usage read the first choice unseen.
            _ if !(parts.has_choices || wanted && parts.tokens.is_some()) => Forward::Drop,
            Some((key, value)) if !wanted => Forward::Rewritten(framed(&without(data, *key, value.end))),
            _ if memchr::memchr2(b'\n', b'\r', data).is_some() => Forward::Rewritten(framed(data)),
            _ => Forward::AsIs,
        };
        Seen { usage: parts.tokens, finished: self.finish(data) == Some(true), ..Seen::only(forward) }
    }

    /// Whether a choice has a finish reason that is not null, which some providers write as an empty one; `None` if no
    /// choice mentions it.
    fn finish(&self, data: &[u8]) -> Option<bool> {
        let mut mentions = self.finish_reason.find_iter(data).map(|at| {
            let after = data[at + self.finish_reason.needle().len()..].trim_ascii_start();
            let value = after.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
            value.first() == Some(&b'"') && value.get(1) != Some(&b'"')
        });
        let first = mentions.next()?;
        Some(first || mentions.any(|finished| finished))
    }

    /// The usage chunk that a client asked for and the provider did not send. Belongs before the end mark.
    pub(super) fn owed_usage(&mut self, usage: &Tokens, out: &mut Vec<u8>) {
        if !self.include_usage || self.usage_shown {
            return;
        }
        let Some(identity) = &self.identity else { return };
        self.usage_shown = true;
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(identity);
        out.extend_from_slice(b",\"choices\":[],\"usage\":");
        tokens::push(usage, out);
        out.extend_from_slice(b"}\n\n");
    }
}

fn identity(parts: &Parts<'_>) -> Vec<u8> {
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let (id, created, model) = (or(parts.id, "\"\""), or(parts.created, "0"), or(parts.model, "\"\""));
    format!("{{\"id\":{id},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{model}").into_bytes()
}

/// `data` without the member whose key begins at `key` and whose value ends at `end`, and without its comma.
fn without(data: &[u8], key: usize, end: usize) -> Vec<u8> {
    let before = data[..key].trim_ascii_end();
    let after = data[end..].trim_ascii_start();
    match before.strip_suffix(b",") {
        Some(before) => [before, after].concat(),
        None => [before, after.strip_prefix(b",").unwrap_or(after)].concat(),
    }
}

/// One event on one line. A line break outside a string means nothing to JSON, and inside there is none.
pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(data.len() + 8);
    frame.extend_from_slice(b"data: ");
    frame.extend(data.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    frame.extend_from_slice(b"\n\n");
    frame
}
