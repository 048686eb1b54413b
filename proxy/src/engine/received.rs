//! What was received of an answer, kept for counting.

use bytes::Bytes;

use crate::{
    call::Tokens,
    dialect::canonical,
    usage::{AnswerText, Counter, Oldest},
};

/// What was received of an answer, for counting.
#[derive(Default)]
pub(super) struct Received {
    /// A whole answer, canonical.
    whole: Option<Bytes>,
    /// The text of a stream.
    text: AnswerText,
    /// Of an answer in a dialect that only its adapter reads.
    unread_bytes: usize,
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
        Received { unread_bytes: bytes, ..Received::default() }
    }

    /// Takes over the provider's counts.
    pub(super) fn report(&mut self, tokens: Tokens) {
        self.reported = Some(tokens);
        self.is_report_stale = false;
    }

    /// Takes a canonical chunk.
    pub(super) fn chunk(&mut self, data: &[u8]) {
        canonical::delta_text(data, |text| self.text.push(text));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.is_report_stale |= !text.is_empty();
        self.text.push(text);
    }

    /// The provider's counts, if they are of the whole answer.
    pub(super) fn whole_report(&self) -> Option<Tokens> {
        self.reported.filter(|_| !self.is_report_stale)
    }

    /// Whether there is nothing to count.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// What was received of the answer's text, in bytes, or more.
    pub(super) fn bytes(&self) -> u64 {
        let whole = self.whole.as_ref().map_or(0, Bytes::len) + self.unread_bytes;
        self.text.bytes() + whole as u64
    }

    /// The oldest text, where more is kept than should be: to be counted away from the workers.
    pub(super) fn overflow(&mut self) -> Option<Oldest> {
        self.text.overflow()
    }

    /// The answer's tokens; on a thread where nobody waits. What nobody here can read is estimated from its length.
    pub(super) fn count(&self, counter: &Counter, model: &str) -> u64 {
        let whole = self.whole.as_ref().map_or(0, |whole| counter.count(model, &canonical::answer_text(whole)));
        whole + self.text.count(counter, model) + (self.unread_bytes as u64).div_ceil(4)
    }
}
