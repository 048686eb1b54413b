//! Messages on Anthropic's wire, whole and streamed.

use std::io::Write;

use serde_json::{Value, json};

use super::{Asked, check::check, error_body, words};
use crate::{
    answer::{Answer, End, Tally, signature},
    counters::Open,
    reply::{Frames, Reply, quoted},
    script::Script,
};

pub(super) fn answer(asked: &Asked<'_>, script: &Script, call: &Open) -> Result<Reply, String> {
    let mut question = check(asked, false)?;
    question.count(asked.body, script);
    let answer = Answer::new(&question, script, call.number);
    let said = Said { number: call.number, model: asked.model, answer: &answer };
    let streamed = asked.body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    if streamed && !script.whole {
        return Ok(Reply::stream(said.frames(script)));
    }
    Ok(Reply::json(200, said.whole()))
}

pub(super) fn count(asked: &Asked<'_>, script: &Script, _call: &Open) -> Result<Reply, String> {
    let mut question = check(asked, true)?;
    question.count(asked.body, script);
    Ok(super::whole(&json!({ "input_tokens": question.input_tokens })))
}

/// An answer with what Anthropic writes around it.
struct Said<'a> {
    number: u64,
    model: &'a str,
    answer: &'a Answer,
}

impl Said<'_> {
    fn whole(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024 + self.answer.text.len());
        self.envelope(&mut out);
        let mut separator = "";
        if let Some(thinking) = self.answer.thinking {
            out.extend_from_slice(br#"{"type":"thinking","thinking":"#);
            quoted(thinking, &mut out);
            put(&mut out, format_args!(r#","signature":"{}"}}"#, signature(thinking)));
            separator = ",";
        }
        if !self.answer.text.is_empty() {
            put(&mut out, format_args!(r#"{separator}{{"type":"text","text":"#));
            quoted(&self.answer.text, &mut out);
            out.push(b'}');
            separator = ",";
        }
        for call in &self.answer.calls {
            put(&mut out, format_args!(r#"{separator}{{"type":"tool_use","id":"toolu_{}","name":"#, call.id));
            quoted(&call.name, &mut out);
            put(&mut out, format_args!(r#","input":{}}}"#, call.arguments));
            separator = ",";
        }
        put(&mut out, format_args!(r#"],"stop_reason":"{}","stop_sequence":null"#, self.stop_reason()));
        if let Some(tally) = &self.answer.tally {
            out.extend_from_slice(br#","usage":"#);
            usage(tally, tally.output, &mut out);
        }
        out.push(b'}');
        out
    }

    fn frames(&self, script: &Script) -> Frames {
        let mut frames = Frames::new(script);
        frames.push("message_start", |out| {
            out.extend_from_slice(br#"{"type":"message_start","message":"#);
            self.envelope(out);
            out.extend_from_slice(br#"],"stop_reason":null,"stop_sequence":null"#);
            if let Some(tally) = &self.answer.tally {
                out.extend_from_slice(br#","usage":"#);
                usage(tally, 1, out);
            }
            out.extend_from_slice(b"}}");
        });
        let mut blocks = Blocks { frames, index: 0 };
        if let Some(thinking) = self.answer.thinking {
            blocks.thinking(thinking);
        }
        if !self.answer.text.is_empty() {
            blocks.text(self.answer.pieces());
        }
        for call in &self.answer.calls {
            blocks.open(|out| {
                put(out, format_args!(r#"{{"type":"tool_use","id":"toolu_{}","name":"#, call.id));
                quoted(&call.name, out);
                out.extend_from_slice(br#","input":{}}"#);
            });
            blocks.delta("input_json_delta", "partial_json", "");
            for piece in call.pieces().filter(|_| call.arguments != "{}") {
                blocks.delta("input_json_delta", "partial_json", piece);
            }
            blocks.close();
        }
        self.last_frames(blocks.frames, script)
    }

    fn last_frames(&self, mut frames: Frames, script: &Script) -> Frames {
        if !script.no_finish {
            frames.push("message_delta", |out| {
                let reason = self.stop_reason();
                put(
                    out,
                    format_args!(
                        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}}"#
                    ),
                );
                if let Some(tally) = &self.answer.tally {
                    out.extend_from_slice(br#","usage":"#);
                    usage(tally, tally.output, out);
                }
                out.push(b'}');
            });
        }
        if script.error_event {
            frames.truncate(script.after);
            let message = words(script.code);
            frames.push("error", |out| out.extend_from_slice(&error_body(script.code, message)));
        } else if !script.no_done {
            frames.push("message_stop", |out| out.extend_from_slice(br#"{"type":"message_stop"}"#));
        }
        frames
    }

    /// The fields before the content, and the bracket that opens it.
    fn envelope(&self, out: &mut Vec<u8>) {
        put(out, format_args!(r#"{{"id":"msg_fake{:024}","type":"message","role":"assistant","model":"#, self.number));
        quoted(self.model, out);
        out.extend_from_slice(br#","content":["#);
    }

    fn stop_reason(&self) -> &'static str {
        match self.answer.end {
            End::Stop => "end_turn",
            End::Length => "max_tokens",
            End::Calls => "tool_use",
            End::Refusal => "refusal",
        }
    }
}

/// The content blocks of one stream.
struct Blocks {
    frames: Frames,
    index: usize,
}

impl Blocks {
    fn thinking(&mut self, thinking: &str) {
        self.open(|out| out.extend_from_slice(br#"{"type":"thinking","thinking":"","signature":""}"#));
        for piece in thinking.split_inclusive(' ') {
            self.delta("thinking_delta", "thinking", piece);
        }
        self.delta("signature_delta", "signature", &signature(thinking));
        self.close();
    }

    fn text<'a>(&mut self, pieces: impl Iterator<Item = &'a str>) {
        self.open(|out| out.extend_from_slice(br#"{"type":"text","text":""}"#));
        self.frames.push("ping", |out| out.extend_from_slice(br#"{"type":"ping"}"#));
        for piece in pieces {
            self.delta("text_delta", "text", piece);
        }
        self.close();
    }

    fn open(&mut self, block: impl FnOnce(&mut Vec<u8>)) {
        let index = self.index;
        self.frames.push("content_block_start", |out| {
            put(out, format_args!(r#"{{"type":"content_block_start","index":{index},"content_block":"#));
            block(out);
            out.push(b'}');
        });
    }

    fn delta(&mut self, kind: &str, field: &str, text: &str) {
        let index = self.index;
        self.frames.push("content_block_delta", |out| {
            put(
                out,
                format_args!(r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"{kind}","{field}":"#),
            );
            quoted(text, out);
            out.extend_from_slice(b"}}");
        });
    }

    fn close(&mut self) {
        let index = self.index;
        self.frames.push("content_block_stop", |out| {
            put(out, format_args!(r#"{{"type":"content_block_stop","index":{index}}}"#));
        });
        self.index += 1;
    }
}

fn usage(tally: &Tally, output: i128, out: &mut Vec<u8>) {
    let Tally { input, cached, cache_write, .. } = tally;
    put(
        out,
        format_args!(
            r#"{{"input_tokens":{input},"cache_creation_input_tokens":{cache_write},"cache_read_input_tokens":{cached},"cache_creation":{{"ephemeral_5m_input_tokens":{cache_write},"ephemeral_1h_input_tokens":0}},"output_tokens":{output},"service_tier":"standard"}}"#
        ),
    );
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}
