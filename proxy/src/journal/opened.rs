//! A call that was admitted and whose row is still to come.

use serde::{Deserialize, Serialize};

use crate::{call::Tokens, store::Record, usage::Source};

/// Longest text, in bytes; longer ones are cut.
const TEXT_BYTES_MAX: usize = 256;

/// An admitted call, as far as it is known when it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub request_id: String,
    /// When the call was admitted, the moment its hold was reserved at. Unix milliseconds.
    pub started_ms: u64,
    pub key_id: String,
    pub key_name: String,
    pub user: String,
    pub model: String,
    pub dialect: String,
    pub operation: String,
    pub streamed: bool,
    pub config: String,
    pub group: String,
    pub agent: String,
    /// What is held for one attempt, input and output together: what it is taken to have used if nobody can say.
    pub tokens_held: u64,
}

/// Where a call was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub provider: String,
    pub upstream_model: String,
    pub currency: String,
    /// What the hold costs at this target, and what the attempts before it cost, in billionths of a unit of `currency`.
    pub charge_nanos: u64,
    /// Whether all of them have a price.
    pub priced: bool,
    /// Attempts so far, this one among them.
    pub attempts: u32,
    /// The part of [`Opened::tokens_held`] that is output.
    pub output_tokens_held: u64,
    /// What the attempts before this one used, and this one too if it is over.
    pub input_tokens_spent: u64,
    pub output_tokens_spent: u64,
    /// It has ended, so that nothing is held for it.
    pub is_over: bool,
}

/// A call that ended without saying how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CutCall {
    pub opened: Opened,
    /// None for a call that no provider had.
    pub attempt: Option<Attempt>,
}

impl Opened {
    /// Cuts what a client may have made too long to keep.
    pub(super) fn clip(&mut self, text_bytes_max: usize) {
        let ids = [&mut self.request_id, &mut self.key_id];
        let texts = [
            &mut self.key_name,
            &mut self.user,
            &mut self.model,
            &mut self.dialect,
            &mut self.operation,
            &mut self.config,
            &mut self.group,
            &mut self.agent,
        ];
        ids.into_iter().for_each(|text| clip(text, TEXT_BYTES_MAX));
        texts.into_iter().for_each(|text| clip(text, text_bytes_max.min(TEXT_BYTES_MAX)));
    }

    /// Bytes of all texts.
    pub(super) fn text_bytes(&self) -> usize {
        let texts = [
            &self.request_id,
            &self.key_id,
            &self.key_name,
            &self.user,
            &self.model,
            &self.dialect,
            &self.operation,
            &self.config,
            &self.group,
            &self.agent,
        ];
        texts.into_iter().map(String::len).sum()
    }
}

impl Attempt {
    pub(super) fn clip(&mut self, text_bytes_max: usize) {
        [&mut self.provider, &mut self.upstream_model].into_iter().for_each(|text| clip(text, text_bytes_max));
    }
}

impl CutCall {
    /// The row of the call: what a provider has counts its hold and the attempts before, by estimate; what none has
    /// counts those attempts alone.
    pub fn into_record(self, error_class: &str, total_us: u64) -> Record {
        let CutCall { opened, attempt } = self;
        let is_under_way = attempt.as_ref().is_some_and(|attempt| !attempt.is_over);
        let held = if is_under_way { opened.tokens_held } else { 0 };
        let attempt = attempt.unwrap_or_default();
        let tokens = Tokens {
            input: held.saturating_sub(attempt.output_tokens_held).saturating_add(attempt.input_tokens_spent),
            output: attempt.output_tokens_held.saturating_add(attempt.output_tokens_spent),
            ..Tokens::default()
        };
        Record {
            request_id: opened.request_id,
            started_ms: opened.started_ms,
            key_id: opened.key_id,
            key_name: opened.key_name,
            user: opened.user,
            model: opened.model,
            provider: attempt.provider,
            upstream_model: attempt.upstream_model,
            dialect: opened.dialect,
            operation: opened.operation,
            error_class: error_class.to_owned(),
            tokens,
            usage_source: Source::Estimated,
            charge_nanos: attempt.charge_nanos,
            currency: attempt.currency,
            priced: attempt.priced,
            total_us,
            attempts: attempt.attempts,
            streamed: opened.streamed,
            admitted: true,
            config: opened.config,
            group: opened.group,
            agent: opened.agent,
            ..Record::default()
        }
    }
}

fn clip(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.shrink_to_fit();
    }
}
