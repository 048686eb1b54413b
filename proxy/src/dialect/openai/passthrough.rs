//! A stream that is in the client's dialect already: forwarded as it comes, and read on the way.

use std::{ops::Range, sync::LazyLock};

use memchr::memmem::Finder;

use super::{answer::Parts, failure, tokens};
use crate::call::{
    Failure, Tokens,
    json::{DEPTH_MAX, JsonError, Scanner},
};

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
pub(super) struct InspectedFrame {
    pub(super) forward: Forward,
    pub(super) usage: Option<Tokens>,
    /// The provider failed inside a success. The frame is dropped; nothing good follows.
    pub(super) error: Option<Failure>,
    /// The end mark.
    pub(super) done: bool,
}

impl InspectedFrame {
    fn only(forward: Forward) -> InspectedFrame {
        InspectedFrame { forward, usage: None, error: None, done: false }
    }

    fn failed(failure: Failure) -> InspectedFrame {
        InspectedFrame { error: Some(failure), ..InspectedFrame::only(Forward::Drop) }
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
    finished: Finished,
    names: &'static Names,
}

/// The names that are looked for in every frame: the same for all streams, and of 300 bytes each.
#[derive(Debug)]
struct Names {
    usage: Finder<'static>,
    error: Finder<'static>,
    finish_reason: Finder<'static>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    usage: Finder::new("\"usage\""),
    error: Finder::new("\"error\""),
    finish_reason: Finder::new("\"finish_reason\""),
});

/// Which choices have their finish reason.
#[derive(Debug)]
enum Finished {
    /// Whether the one choice has it.
    One(bool),
    /// Of several, one bit for each: those that have begun, and those that have finished.
    Each { begun: u128, finished: u128 },
}

/// How OpenAI ends every chunk but the last of a stream with usage.
const USAGE_NULL_LAST: &[u8] = b",\"usage\":null}";

impl Passthrough {
    /// `include_usage` and `choices` are what the client asked.
    pub(super) fn new(include_usage: bool, choices: u32) -> Passthrough {
        Passthrough {
            include_usage,
            usage_shown: false,
            identity: None,
            ended: false,
            finished: if choices > 1 { Finished::Each { begun: 0, finished: 0 } } else { Finished::One(false) },
            names: &NAMES,
        }
    }

    /// Reads one frame: the name of its event, which is as a rule empty, and its data.
    pub(super) fn frame(&mut self, event: &[u8], data: &[u8]) -> InspectedFrame {
        let data = data.trim_ascii();
        if self.ended || data.is_empty() {
            return InspectedFrame::only(Forward::Drop);
        }
        if data.starts_with(b"[DONE]") {
            self.ended = true;
            if self.identity.is_none() {
                return InspectedFrame::failed(failure::not_an_answer("The provider sent an empty answer."));
            }
            return InspectedFrame { done: true, ..InspectedFrame::only(Forward::AsIs) };
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
    fn chunk(&mut self, data: &[u8]) -> InspectedFrame {
        let (rest, usage_null) = match data.strip_suffix(USAGE_NULL_LAST) {
            Some(rest) => (rest, true),
            None => (data, false),
        };
        let one_line = memchr::memchr2(b'\n', b'\r', rest).is_none();
        let says_more = !one_line || self.names.usage.find(rest).is_some() || self.names.error.find(rest).is_some();
        let Finished::One(is_finished) = &mut self.finished else { return self.inspected(b"", data) };
        // What has no finish reason, not even null, may have no choice.
        let Some(finished) = finish(&self.names.finish_reason, rest).filter(|_| !says_more) else {
            return self.inspected(b"", data);
        };
        *is_finished |= finished;
        let forward = if usage_null && !self.include_usage {
            Forward::Rewritten([b"data: ", rest, b"}\n\n"].concat())
        } else {
            Forward::AsIs
        };
        InspectedFrame::only(forward)
    }

    /// Any frame, read in full.
    fn inspected(&mut self, event: &[u8], data: &[u8]) -> InspectedFrame {
        let text = std::str::from_utf8(data).unwrap_or_default();
        let Ok(parts) = Parts::read(text) else {
            return InspectedFrame::failed(failure::not_an_answer(
                "The provider sent a frame that is not a JSON object.",
            ));
        };
        match parts.error {
            Some(error) => return InspectedFrame::failed(failure::read(error)),
            None if event == b"error" => return InspectedFrame::failed(failure::read(text)),
            None => {}
        }
        if parts.has_choices && self.identity.is_none() {
            if is_whole(parts.choices) {
                return InspectedFrame::failed(failure::not_an_answer(
                    "The provider answered a streamed call without a stream.",
                ));
            }
            self.identity = Some(identity(&parts));
        }
        match &mut self.finished {
            Finished::One(is_finished) => *is_finished |= finish(&self.names.finish_reason, data) == Some(true),
            Finished::Each { begun, finished } => note_choices(parts.choices, begun, finished),
        }
        let wanted = self.include_usage && !parts.usage.is_empty();
        self.usage_shown |= wanted && parts.tokens.is_some();
        // Clients that did not ask for usage read the first choice unseen.
        let forward = if !(parts.has_choices || wanted && parts.tokens.is_some()) {
            Forward::Drop
        } else if !wanted && !parts.usage.is_empty() {
            Forward::Rewritten(framed(&without(data, &parts.usage)))
        } else if memchr::memchr2(b'\n', b'\r', data).is_some() {
            Forward::Rewritten(framed(data))
        } else {
            Forward::AsIs
        };
        InspectedFrame { usage: parts.tokens, ..InspectedFrame::only(forward) }
    }

    /// Whether each choice that has begun has its finish reason.
    pub(super) fn is_finished(&self) -> bool {
        match self.finished {
            Finished::One(is_finished) => is_finished,
            Finished::Each { begun, finished } => begun != 0 && begun & !finished == 0,
        }
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

/// Whether these are the choices of a whole answer, which no reader of a stream understands.
fn is_whole(choices: &str) -> bool {
    let has = |name: &str| memchr::memmem::find(choices.as_bytes(), name.as_bytes()).is_some();
    has("\"message\"") && !has("\"delta\"")
}

fn identity(parts: &Parts<'_>) -> Vec<u8> {
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let (id, created, model) = (or(parts.id, "\"\""), or(parts.created, "0"), or(parts.model, "\"\""));
    format!("{{\"id\":{id},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{model}").into_bytes()
}

/// `data`, an object, without these of its members, in order, and without their commas.
fn without(data: &[u8], members: &[Range<usize>]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(data.len());
    let (mut at, mut owes_comma) = (0, false);
    for member in members {
        keep(&data[at..member.start], owes_comma, &mut kept);
        kept.truncate(kept.trim_ascii_end().len());
        // The first member has no comma before it: the one behind goes.
        owes_comma = kept.pop_if(|last| *last == b',').is_none();
        at = member.end;
    }
    keep(&data[at..], owes_comma, &mut kept);
    kept
}

/// Appends what stands between two members, or around them.
fn keep(part: &[u8], owes_comma: bool, kept: &mut Vec<u8>) {
    let part = part.trim_ascii_start();
    kept.extend_from_slice(part.strip_prefix(b",").filter(|_| owes_comma).unwrap_or(part));
}

/// Whether a choice has a finish reason that is not null, which some providers write as an empty one; `None` if no
/// choice mentions it.
fn finish(finish_reason: &Finder<'_>, data: &[u8]) -> Option<bool> {
    let mut mentions = finish_reason.find_iter(data).map(|at| {
        let after = data[at + finish_reason.needle().len()..].trim_ascii_start();
        let value = after.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        value.first() == Some(&b'"') && value.get(1) != Some(&b'"')
    });
    let first = mentions.next()?;
    Some(first || mentions.any(|finished| finished))
}

/// Notes which of `choices`, a JSON array, begin or finish here. One that is no choice is none.
fn note_choices(choices: &str, begun: &mut u128, finished: &mut u128) {
    let mut scanner = Scanner::new(choices, DEPTH_MAX);
    let _ = (|| {
        scanner.enter_array()?;
        while scanner.element()? {
            scanner.enter_object()?;
            let (mut index, mut is_finished) = (0, false);
            while let Some(key) = scanner.key()? {
                match key.raw {
                    "index" => index = scanner.value()?.parse().unwrap_or(0),
                    "finish_reason" => is_finished = !matches!(scanner.value()?, "null" | "\"\""),
                    _ => {
                        scanner.value()?;
                    }
                }
            }
            // No more than this many can be asked for.
            let choice = 1 << u32::min(index, u128::BITS - 1);
            *begun |= choice;
            *finished |= if is_finished { choice } else { 0 };
        }
        Ok::<(), JsonError>(())
    })();
}

/// One event on one line. A line break outside a string means nothing to JSON, and inside there is none.
pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(data.len() + 8);
    frame.extend_from_slice(b"data: ");
    frame.extend(data.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    frame.extend_from_slice(b"\n\n");
    frame
}
