//! What was received of an answer, kept for counting.

use bytes::Bytes;

use crate::{call::Tokens, dialect::canonical};

/// How much of a stream is kept for counting, in bytes. What comes after is estimated from its length.
const RECEIVED_BYTES_MAX: usize = 4 << 20;

/// What was received of an answer, for counting.
#[derive(Default)]
pub(super) struct Received {
    /// A whole answer, canonical.
    whole: Option<Bytes>,
    /// The payloads of canonical chunks.
    chunks: Vec<Bytes>,
    /// Text of translated events.
    text: String,
    kept_bytes: usize,
    dropped_bytes: usize,
    /// What the provider said so far.
    pub(super) reported: Option<Tokens>,
    /// Something was said after the provider last told its counts, so that they are short of it.
    is_report_stale: bool,
}

impl Received {
    pub(super) fn answer(body: Bytes) -> Received {
        Received { whole: Some(body), ..Received::default() }
    }

    /// An answer of this many bytes in a dialect that only its adapter reads.
    pub(super) fn unread(bytes: usize) -> Received {
        Received { dropped_bytes: bytes, ..Received::default() }
    }

    /// Takes over the provider's counts.
    pub(super) fn report(&mut self, tokens: Tokens) {
        self.reported = Some(tokens);
        self.is_report_stale = false;
    }

    pub(super) fn chunk(&mut self, data: &Bytes) {
        if self.keeps(data.len()) {
            self.chunks.push(data.clone());
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.is_report_stale |= !text.is_empty();
        if self.keeps(text.len()) {
            self.text.push_str(text);
        }
    }

    /// The provider's counts, if they are of the whole answer.
    pub(super) fn whole_report(&self) -> Option<Tokens> {
        self.reported.filter(|_| !self.is_report_stale)
    }

    /// Whether there is nothing to count.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.as_ref().is_none_or(Bytes::is_empty) && self.kept_bytes + self.dropped_bytes == 0
    }

    fn keeps(&mut self, bytes: usize) -> bool {
        let kept = self.kept_bytes + bytes <= RECEIVED_BYTES_MAX;
        if kept {
            self.kept_bytes += bytes;
        } else {
            self.dropped_bytes += bytes;
        }
        kept
    }

    /// The text that was kept, and the length in bytes of what was not.
    pub(super) fn into_text(self) -> (String, usize) {
        let mut text = self.text;
        for chunk in &self.chunks {
            canonical::text_of(chunk, &mut text);
        }
        if let Some(whole) = &self.whole {
            text.push_str(&canonical::answer_text(whole));
        }
        (text, self.dropped_bytes)
    }
}
