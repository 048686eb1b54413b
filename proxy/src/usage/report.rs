//! Whether a provider's report of usage can be true of its call.

use crate::call::Tokens;

/// What is known of a call, to compare a provider's report with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBounds {
    /// The most input tokens that the call may have used.
    pub input_tokens_max: u64,
    /// What was received of the answer's text, in bytes: none of it is more than one token.
    pub answer_bytes: u64,
    /// The most output tokens, thoughts included, that the provider was told; 0 where it was told none.
    pub output_tokens_max: u64,
}

/// What a report may say beyond what explains it, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slack {
    /// Input that the client did not send, such as what the provider's own tools found.
    pub input_tokens: u64,
    /// Output that nobody sees: thoughts.
    pub output_tokens: u64,
}

impl Default for Slack {
    fn default() -> Slack {
        Slack { input_tokens: 1_000_000, output_tokens: 131_072 }
    }
}

/// Whether the call explains the report. One that it does not explain is set aside for a count of our own.
pub fn is_believable(reported: &Tokens, explained: &ReportBounds, slack: Slack) -> bool {
    let input_max = explained.input_tokens_max.saturating_add(slack.input_tokens);
    let output_max = explained.answer_bytes.max(explained.output_tokens_max).saturating_add(slack.output_tokens);
    [reported.input, reported.cached, reported.cache_write].into_iter().all(|tokens| tokens <= input_max)
        && [reported.output, reported.reasoning].into_iter().all(|tokens| tokens <= output_max)
}
