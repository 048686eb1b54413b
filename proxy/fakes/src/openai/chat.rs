//! Chat completions on OpenAI's wire, whole and streamed.

use std::io::Write;

use serde_json::Value;

use super::{
    CREATED_S, Wrong,
    check::{Checked, check},
    scripted,
};
use crate::{
    answer::{Answer, Call, End, Tally},
    counters::Open,
    reply::{Frames, Reply, escaped, quoted},
    script::Script,
};

pub(super) fn answer(body: &Value, script: &Script, call: &Open) -> Result<Reply, Wrong> {
    let mut checked = check(body)?;
    checked.question.count(body, script);
    let answer = Answer::new(&checked.question, script, call.number);
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let said = Said { number: call.number, model, answer: &answer, choices: checked.choices };
    if checked.stream && !script.whole {
        return Ok(Reply::stream(said.frames(&checked, script)));
    }
    Ok(Reply::json(200, said.whole()))
}

/// An answer with what OpenAI writes around it.
struct Said<'a> {
    number: u64,
    model: &'a str,
    answer: &'a Answer,
    choices: usize,
}

impl Said<'_> {
    fn whole(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024 + self.answer.text.len());
        self.envelope("chat.completion", &mut out);
        for index in 0..self.choices {
            let comma = if index > 0 { "," } else { "" };
            put(&mut out, format_args!(r#"{comma}{{"index":{index},"message":{{"role":"assistant","content":"#));
            if self.answer.calls.is_empty() {
                quoted(&self.answer.text, &mut out);
            } else {
                out.extend_from_slice(b"null");
            }
            out.extend_from_slice(br#","refusal":null,"annotations":[]"#);
            if let Some(thinking) = self.answer.thinking {
                out.extend_from_slice(br#","reasoning_content":"#);
                quoted(thinking, &mut out);
            }
            self.whole_calls(&mut out);
            put(&mut out, format_args!(r#"}},"logprobs":null,"finish_reason":"{}"}}"#, self.finish_reason()));
        }
        out.push(b']');
        if let Some(tally) = &self.answer.tally {
            out.extend_from_slice(br#","usage":"#);
            self.usage(tally, &mut out);
        }
        out.push(b'}');
        out
    }

    fn whole_calls(&self, out: &mut Vec<u8>) {
        for (index, call) in self.answer.calls.iter().enumerate() {
            out.extend_from_slice(if index == 0 { br#","tool_calls":["# } else { b"," });
            named(call, out);
            quoted(&call.arguments, out);
            out.extend_from_slice(b"}}");
        }
        if !self.answer.calls.is_empty() {
            out.push(b']');
        }
    }

    fn frames(&self, checked: &Checked, script: &Script) -> Frames {
        let mut frames = Frames::new(script);
        let mut start = Vec::with_capacity(256);
        self.envelope("chat.completion.chunk", &mut start);
        let mut chunks = Chunks { frames: &mut frames, start, usage: checked.include_usage };
        let empty = if self.answer.calls.is_empty() { r#""""# } else { "null" };
        let role = format!(r#""role":"assistant","content":{empty},"refusal":null"#);
        self.each(|index| chunks.delta(index, |out| out.extend_from_slice(role.as_bytes())));
        if let Some(thinking) = self.answer.thinking {
            self.each(|index| chunks.text(index, "reasoning_content", thinking));
        }
        for piece in self.answer.pieces() {
            self.each(|index| chunks.text(index, "content", piece));
        }
        for (place, call) in self.answer.calls.iter().enumerate() {
            self.each(|index| chunks.call(index, place, call));
        }
        if !script.no_finish {
            self.each(|index| chunks.finish(index, self.finish_reason()));
        }
        if let (true, Some(tally)) = (checked.include_usage, &self.answer.tally) {
            chunks.last(|out| self.usage(tally, out));
        }
        if script.error_event {
            frames.truncate(script.after);
            frames.push("", |out| out.extend_from_slice(&error_event(script.code)));
        } else if !script.no_done {
            frames.push("", |out| out.extend_from_slice(b"[DONE]"));
        }
        frames
    }

    fn each(&self, step: impl FnMut(usize)) {
        (0..self.choices).for_each(step);
    }

    /// The fields before the choices, and the bracket that opens these.
    fn envelope(&self, object: &str, out: &mut Vec<u8>) {
        put(out, format_args!(r#"{{"id":"chatcmpl-fake{:024}","object":"{object}""#, self.number));
        put(out, format_args!(r#","created":{CREATED_S},"model":"#));
        quoted(self.model, out);
        out.extend_from_slice(br#","service_tier":"default","system_fingerprint":"fp_demo","choices":["#);
    }

    fn usage(&self, tally: &Tally, out: &mut Vec<u8>) {
        let Tally { input, cached, cache_write, .. } = tally;
        let choices = self.choices as i128;
        let (output, reasoning) = (tally.output.saturating_mul(choices), tally.reasoning.saturating_mul(choices));
        let total = input.saturating_add(output);
        put(
            out,
            format_args!(
                r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{cache_write},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
            ),
        );
    }

    fn finish_reason(&self) -> &'static str {
        match self.answer.end {
            End::Stop => "stop",
            End::Length => "length",
            End::Calls => "tool_calls",
            End::Refusal => "content_filter",
        }
    }
}

/// The chunks of one stream.
struct Chunks<'a> {
    frames: &'a mut Frames,
    start: Vec<u8>,
    /// Whether chunks carry `"usage":null`.
    usage: bool,
}

impl Chunks<'_> {
    fn delta(&mut self, index: usize, fields: impl FnOnce(&mut Vec<u8>)) {
        self.chunk(index, fields, "null");
    }

    fn finish(&mut self, index: usize, reason: &str) {
        self.chunk(index, |_| {}, &format!(r#""{reason}""#));
    }

    fn text(&mut self, index: usize, field: &str, text: &str) {
        self.delta(index, |out| {
            put(out, format_args!(r#""{field}":""#));
            escaped(text, out);
            out.push(b'"');
        });
    }

    fn call(&mut self, index: usize, place: usize, call: &Call) {
        self.delta(index, |out| {
            put(out, format_args!(r#""tool_calls":[{{"index":{place},"#));
            let mut whole = Vec::new();
            named(call, &mut whole);
            out.extend_from_slice(&whole[1..]);
            out.extend_from_slice(br#"""}}]"#);
        });
        for piece in call.pieces() {
            self.delta(index, |out| {
                put(out, format_args!(r#""tool_calls":[{{"index":{place},"function":{{"arguments":"#));
                quoted(piece, out);
                out.extend_from_slice(b"}}]");
            });
        }
    }

    /// The chunk without choices that carries the usage.
    fn last(&mut self, usage: impl FnOnce(&mut Vec<u8>)) {
        let start = &self.start;
        self.frames.push("", |out| {
            out.extend_from_slice(start);
            out.extend_from_slice(br#"],"usage":"#);
            usage(out);
            out.push(b'}');
        });
    }

    fn chunk(&mut self, index: usize, fields: impl FnOnce(&mut Vec<u8>), reason: &str) {
        let (start, usage) = (&self.start, self.usage);
        self.frames.push("", |out| {
            out.extend_from_slice(start);
            put(out, format_args!(r#"{{"index":{index},"delta":{{"#));
            fields(out);
            put(out, format_args!(r#"}},"logprobs":null,"finish_reason":{reason}}}]"#));
            out.extend_from_slice(if usage { br#","usage":null}"# } else { b"}" });
        });
    }
}

/// A tool call up to its arguments' value.
fn named(call: &Call, out: &mut Vec<u8>) {
    put(out, format_args!(r#"{{"id":"call_{}","type":"function","function":{{"name":"#, call.id));
    quoted(&call.name, out);
    out.extend_from_slice(br#","arguments":"#);
}

fn error_event(status: u16) -> Vec<u8> {
    let (message, code) = scripted(status);
    let error = serde_json::json!({ "message": message, "type": super::kind(status), "param": null, "code": code });
    serde_json::json!({ "error": error }).to_string().into_bytes()
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}
