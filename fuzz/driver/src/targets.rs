//! The targets by name.

pub mod anthropic_decode;
pub mod anthropic_stream;
pub mod encode;
pub mod framing;
pub mod journal;
pub mod json;
pub mod passthrough;
pub mod request;

use std::{
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::Bytes;
use tollgate::framing::{Frame, Framing, Splitter};

use crate::random::Random;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Panics where an invariant does not hold. Returns what the input led to: equal for inputs that are of a kind.
    pub run: fn(&[u8]) -> u64,
    /// Words that inputs are made of.
    pub words: &'static [&'static str],
}

pub const TARGETS: [Target; 8] = [
    Target { name: "framing", run: framing::run, words: framing::WORDS },
    Target { name: "json", run: json::run, words: JSON_WORDS },
    Target { name: "journal", run: journal::run, words: journal::WORDS },
    Target { name: "request", run: request::run, words: REQUEST_WORDS },
    Target { name: "encode", run: encode::run, words: REQUEST_WORDS },
    Target { name: "passthrough", run: passthrough::run, words: passthrough::WORDS },
    Target { name: "anthropic_stream", run: anthropic_stream::run, words: anthropic_stream::WORDS },
    Target { name: "anthropic_decode", run: anthropic_decode::run, words: anthropic_stream::WORDS },
];

const JSON_WORDS: &[&str] = &[
    "{}",
    "[]",
    "{\"a\":1}",
    ",\"a\":1",
    "\"",
    "\\u0000",
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude00",
    "\\n",
    "\\\\",
    "1e999",
    "-0",
    "0.1e-7",
    "18446744073709551616",
    "true",
    "false",
    "null",
    "\u{2028}",
    "\u{feff}",
    "é",
    "😀",
    "[[[[[[[[",
    "]]]]]]]]",
    "{\"\":",
    "}",
    " \t\r\n",
];

const REQUEST_WORDS: &[&str] = &[
    "\"model\":\"m\"",
    "\"messages\":[",
    "{\"role\":\"user\",\"content\":\"x\"}",
    "\"role\":\"assistant\"",
    "\"role\":\"system\"",
    "\"role\":\"tool\",\"tool_call_id\":\"a\"",
    "\"content\":null",
    "\"content\":[]",
    "{\"type\":\"text\",\"text\":\"x\"}",
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}}",
    "{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/pdf;base64,AA==\"}}",
    "\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}]",
    "\"tool_choice\":\"required\"",
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{}}}",
    "\"anyOf\":[{},{}]",
    "\"oneOf\":[{}]",
    "\"$ref\":\"#/a\"",
    "\"pattern\":\"a\"",
    "\"minimum\":1",
    "\"additionalProperties\":false",
    "\"max_tokens\":1",
    "\"max_completion_tokens\":null",
    "\"n\":2",
    "\"stream\":true",
    "\"stream_options\":{\"include_usage\":true}",
    "\"temperature\":0.5",
    "\"stop\":[\"a\"]",
    "\"user\":\"u\"",
    "\"reasoning_effort\":\"high\"",
    "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}",
    "\"functions\":[{\"name\":\"f\"}]",
    "\"function_call\":\"auto\"",
    "\"template\":{\"name\":\"t\",\"variables\":{}}",
    "\"input\":[\"a\",\"b\"]",
    "\"encoding_format\":\"base64\"",
    "\"cache_control\":{\"type\":\"ephemeral\"}",
    "{\"a\":1,\"a\":2}",
    "{\\\"a\\\":1,\\\"a\\\":2}",
    "\\\\ud800",
    "\\ud83d\\ude00",
    "1e999",
    "18446744073709551616",
    "-1",
    "null",
    "[[[[[[[[",
    "]]]]]]]]",
];

/// A number that is equal for equal outcomes, and as a rule differs for others.
fn outcome(of: &impl Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{of:?}").hash(&mut hasher);
    hasher.finish()
}

/// `bytes` in pieces whose lengths depend on nothing but the bytes.
fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut random = Random::new(bytes.iter().fold(1, |sum: u64, byte| sum.rotate_left(5) ^ u64::from(*byte)));
    let longest = [1, 3, 40, 1000][random.below(4)];
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + random.below(longest)));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The server-sent events in `answer`, each list what one piece of it completed.
fn events(answer: &[u8]) -> Vec<Vec<Frame>> {
    let mut splitter = Splitter::new(Framing::Sse, 1 << 20);
    let mut pushes = Vec::new();
    for piece in pieces(answer) {
        let mut frames = Vec::new();
        let pushed = splitter.push(Bytes::copy_from_slice(piece), &mut frames);
        pushes.push(frames);
        if pushed.is_err() {
            return pushes;
        }
    }
    let mut frames = Vec::new();
    if splitter.finish(&mut frames).is_ok() {
        pushes.push(frames);
    }
    pushes
}
