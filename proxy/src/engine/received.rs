//! What was received of an answer, kept for counting.

use bytes::Bytes;

use crate::{
    call::Tokens,
    dialect::canonical,
    usage::{AnswerText, Counter, UncountedText},
};

/// What was received of an answer, for counting.
#[derive(Default)]
pub(super) struct Received {
    /// A whole answer, canonical.
    whole: Option<Bytes>,
    /// The text of a stream.
    text: AnswerText,
    /// Of an answer that nobody here can read.
    unread_bytes: usize,
    /// The most that it may count, in tokens.
    unread_tokens_max: u64,
    /// What the provider said so far.
    pub(super) reported: Option<Tokens>,
    /// Something was said after the provider last told its counts, so that they are short of it.
    is_report_stale: bool,
}

impl Received {
    pub(super) fn answer(body: Bytes) -> Received {
        Received { whole: Some(body), ..Received::default() }
    }

    /// An answer of this many bytes that nobody here can read: it is in a dialect of its adapter's, or in none. It counts
    /// no more than `tokens_max`, the most that the call may be answered.
    pub(super) fn unread(bytes: usize, tokens_max: u64) -> Received {
        Received { unread_bytes: bytes, unread_tokens_max: tokens_max, ..Received::default() }
    }

    /// Takes over the provider's counts.
    pub(super) fn report(&mut self, tokens: Tokens) {
        self.reported = Some(tokens);
        self.is_report_stale = false;
    }

    /// Takes a canonical chunk. Counts that it tells itself are to be reported after it.
    pub(super) fn chunk(&mut self, data: &[u8]) {
        canonical::delta_text(data, |text| {
            self.is_report_stale |= !text.is_empty();
            self.text.push(text);
        });
    }

    pub(super) fn text(&mut self, text: &str) {
        self.is_report_stale |= !text.is_empty();
        self.text.push(text);
    }

    /// The provider's counts, if they are of the whole call: no prompt is without tokens, and no answer that
    /// `has_output`, as embeddings have not.
    pub(super) fn whole_report(&self, has_output: bool) -> Option<Tokens> {
        let is_whole = |told: &Tokens| {
            !self.is_report_stale && told.input > 0 && (told.output > 0 || !has_output || !self.has_text())
        };
        self.reported.filter(is_whole)
    }

    /// How many bytes the report is held against, at most.
    pub(super) fn scanned_bytes(&self) -> usize {
        let tells_no_output = self.reported.is_some_and(|told| told.output == 0);
        if tells_no_output { self.whole.as_ref().map_or(0, Bytes::len) } else { 0 }
    }

    /// Whether any text was received.
    fn has_text(&self) -> bool {
        let whole = || self.whole.as_ref().is_some_and(|whole| !canonical::answer_text(whole).is_empty());
        self.text.bytes() > 0 || self.unread_bytes > 0 || whole()
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
    pub(super) fn overflow(&mut self) -> Option<UncountedText> {
        self.text.overflow()
    }

    /// The answer's tokens; on a thread where nobody waits. What nobody here can read is estimated from its length.
    pub(super) fn count(&self, counter: &Counter, model: &str) -> u64 {
        let whole = self.whole.as_ref().map_or(0, |whole| counter.count(model, &canonical::answer_text(whole)));
        whole + self.text.count(counter, model) + (self.unread_bytes as u64).div_ceil(4).min(self.unread_tokens_max)
    }
}
