//! `[limits]`: how much of anything the gateway takes on.

use super::written::Section;
use crate::{call, usage::Slack};

/// Bounds that hold for every call.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How much of a request is looked at.
    pub call: call::Bounds,
    /// Calls in flight; those beyond are refused at once.
    pub calls_max: usize,
    /// The bodies of all requests together; an eighth of the machine's memory where none is given.
    pub bodies_bytes_max: Option<usize>,
    /// A provider's whole answer.
    pub answer_bytes_max: usize,
    /// The whole answers of all calls together; an eighth of the machine's memory where none is given.
    pub answers_bytes_max: Option<usize>,
    /// One frame of a provider's stream.
    pub frame_bytes_max: usize,
    /// What a call is taken to produce at most where neither it nor its model says.
    pub output_tokens_max: u64,
    /// Prompts that are counted at one time, since their calls do not fit by their size alone.
    pub counting_max: usize,
    /// Large bodies and answers that are read, and bodies that are decoded, at one time.
    pub large_scans_max: usize,
    /// What providers may report beyond what a call explains.
    pub usage_slack: Slack,
}

/// No bound on tokens is larger.
const TOKENS_MAX: u64 = 100_000_000;

pub(super) fn read(root: &Section<'_, '_>) -> Limits {
    let section = root.section("limits");
    let mut call = call::Bounds::default();
    let number = |name: &str, default: usize, range| section.number_or(name, default as u64, range) as usize;
    call.depth_max = number("depth_max", call.depth_max, 8..=call.depth_max as u64);
    call.fields_max = number("fields_max", call.fields_max, 8..=65_536);
    call.object_fields_max = number("object_fields_max", call.object_fields_max, 512..=1_000_000);
    call.values_max = number("values_max", call.values_max, 1_000..=10_000_000);
    call.messages_max = number("messages_max", call.messages_max, 1..=1_000_000);
    let slack = Slack::default();
    let usage_slack = Slack {
        input_tokens: section.number_or("input_tokens_slack", slack.input_tokens, 0..=TOKENS_MAX),
        output_tokens: section.number_or("output_tokens_slack", slack.output_tokens, 0..=TOKENS_MAX),
    };
    let answer_bytes_max = number("answer_bytes_max", 64 << 20, 1024..=(1 << 30));
    let frame_bytes_max = section.number_or("frame_bytes_max", 8 << 20, 1024..=(1 << 28));
    let limits = Limits {
        call,
        counting_max: number("counting_max", 2, 1..=1024),
        large_scans_max: number("large_scans_max", 2, 1..=1024),
        usage_slack,
        calls_max: number("calls_max", 10_000, 1..=100_000),
        bodies_bytes_max: section.number("bodies_bytes_max", 1024..=(1 << 40)).map(|bytes| bytes as usize),
        answer_bytes_max,
        answers_bytes_max: section.number("answers_bytes_max", 1024..=(1 << 40)).map(|bytes| bytes as usize),
        frame_bytes_max: section.at_most(
            "frame_bytes_max",
            frame_bytes_max,
            ("answer_bytes_max", answer_bytes_max as u64),
        ) as usize,
        output_tokens_max: section.number_or("output_tokens_max", 4096, 1..=TOKENS_MAX),
    };
    section.finish();
    limits
}
