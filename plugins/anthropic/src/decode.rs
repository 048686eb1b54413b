//! A whole Messages answer as a canonical one.

use alloc::{string::String, vec::Vec};

use tollgate_plugin::{
    Answer, Context, ErrorBody, Failure, FinishReason, Response,
    json::{Value, Writer},
};

use crate::{
    errors,
    state::{JSON_TOOL, Shape, State},
    wire::{Citation, Content, Counts, Message, finish_reason},
};

pub(crate) fn whole(context: &Context, response: &Response<'_>) -> Result<Answer, Failure> {
    let body = match Value::parse(response.body) {
        Ok(body @ Value::Object(_)) => body,
        _ => return Err(Failure::upstream("The provider answered with something other than a JSON object.")),
    };
    if body.get("error").is_some() {
        return Err(errors::failure(response.status, &ErrorBody::of(&body)));
    }
    let Some(message) = Message::of(&body) else {
        return Err(Failure::upstream("The provider answered with something other than a message."));
    };
    let state = State::of(context);
    let parts = MessageParts::of(&message, &state);
    let counts = message.counts();
    let mut writer = Writer::with_capacity(response.body.len() + 512);
    writer.object(|w| {
        // The gateway's id of the call, as in a stream.
        let mut id = String::from("chatcmpl-");
        id.push_str(context.request_id.trim_start_matches("req_"));
        w.key("id").string(&id);
        w.key("object").string("chat.completion");
        w.key("created").number(context.now_unix_ms / 1000);
        w.key("model").string(&context.model);
        w.key("choices").array(|w| parts.write(w, message.stop_reason()));
        if let Some(counts) = &counts {
            write_usage(w.key("usage"), counts);
        }
    });
    Ok(Answer { body: writer.finish(), usage: counts.map(Counts::to_usage) })
}

/// What a message says, sorted into the fields of a canonical one.
struct MessageParts<'a> {
    state: &'a State,
    text: String,
    /// How long `text` is, as clients count it.
    characters: u64,
    /// Citations, each with the characters that it stands for.
    annotations: Vec<(Citation<'a>, u64, u64)>,
    /// The input of the tool behind [`Shape::JsonTool`], as text: the answer.
    json: Option<String>,
    reasoning: String,
    thinking_blocks: Vec<Content<'a>>,
    calls: Vec<Call<'a>>,
}

struct Call<'a> {
    id: &'a str,
    name: &'a str,
    /// JSON text.
    arguments: String,
}

impl<'a> MessageParts<'a> {
    fn of(message: &Message<'a>, state: &'a State) -> Self {
        let mut parts = Self {
            state,
            text: String::new(),
            characters: 0,
            annotations: Vec::new(),
            json: None,
            reasoning: String::new(),
            thinking_blocks: Vec::new(),
            calls: Vec::new(),
        };
        message.content().for_each(|content| parts.add(content));
        parts
    }

    fn add(&mut self, content: Content<'a>) {
        match content {
            Content::Text { text, citations } => {
                let start = self.characters;
                self.text.push_str(text);
                // What came before is not counted anew: an answer may be of very many blocks.
                self.characters += characters(text);
                let end = self.characters;
                self.annotations.extend(citations.iter().map(|citation| (Citation(citation), start, end)));
            }
            Content::Thinking { text, .. } => {
                self.reasoning.push_str(text);
                self.thinking_blocks.push(content);
            }
            Content::Redacted(_) => self.thinking_blocks.push(content),
            Content::ToolUse { id, name, input } => {
                let arguments = input.map_or_else(|| "{}".into(), Value::to_json);
                if self.state.shape == Shape::JsonTool && name == JSON_TOOL {
                    self.json.get_or_insert(arguments);
                } else {
                    self.calls.push(Call { id, name: self.state.tool(name), arguments });
                }
            }
            Content::Other => {}
        }
    }

    /// The one choice.
    fn write(self, w: &mut Writer, stop_reason: Option<&str>) {
        let reason = finish_reason(stop_reason, !self.calls.is_empty());
        w.object(|w| {
            w.key("index").number(0);
            w.key("message").object(|w| self.write_message(w));
            w.key("logprobs").null();
            w.key("finish_reason").string(match reason {
                FinishReason::Stop => "stop",
                FinishReason::Length => "length",
                FinishReason::ContentFilter => "content_filter",
                FinishReason::ToolCalls if self.state.shape == Shape::Functions => "function_call",
                FinishReason::ToolCalls => "tool_calls",
            });
        });
    }

    fn write_message(&self, w: &mut Writer) {
        // What was said around an answer in JSON would make it none.
        let (content, commentary) = match &self.json {
            Some(json) => (json.as_str(), self.text.as_str()),
            None => (self.text.as_str(), ""),
        };
        w.key("role").string("assistant");
        match content {
            "" if !self.calls.is_empty() => w.key("content").null(),
            text => w.key("content").string(text),
        }
        w.key("refusal").null();
        if !self.reasoning.is_empty() || !commentary.is_empty() {
            w.key("reasoning_content").string(&[self.reasoning.as_str(), commentary].concat());
        }
        if !self.thinking_blocks.is_empty() {
            w.key("thinking_blocks").array(|w| self.thinking_blocks.iter().for_each(|it| write_thinking(w, it)));
        }
        if !self.annotations.is_empty() {
            w.key("annotations").array(|w| {
                for (citation, start, end) in &self.annotations {
                    write_annotation(w, citation, *start, *end);
                }
            });
        }
        self.write_calls(w);
    }

    fn write_calls(&self, w: &mut Writer) {
        match self.calls.first() {
            None => {}
            Some(call) if self.state.shape == Shape::Functions => w.key("function_call").object(|w| {
                w.key("name").string(call.name);
                w.key("arguments").string(&call.arguments);
            }),
            Some(_) => w.key("tool_calls").array(|w| {
                for call in &self.calls {
                    w.object(|w| {
                        w.key("id").string(call.id);
                        w.key("type").string("function");
                        w.key("function").object(|w| {
                            w.key("name").string(call.name);
                            w.key("arguments").string(&call.arguments);
                        });
                    });
                }
            }),
        }
    }
}

/// How long a text is as clients count it: indices into it count characters.
pub(crate) fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}

/// A citation as OpenAI annotates an answer; `start` and `end` are the characters that it stands for.
pub(crate) fn write_annotation(w: &mut Writer, citation: &Citation<'_>, start: u64, end: u64) {
    let kind = if citation.url().is_some() { "url_citation" } else { "file_citation" };
    w.object(|w| {
        w.key("type").string(kind);
        w.key(kind).object(|w| {
            w.key("start_index").number(start);
            w.key("end_index").number(end);
            match citation.url() {
                Some(url) => {
                    w.key("url").string(url);
                    w.key("title").string(citation.title().unwrap_or(url));
                }
                None => {
                    w.key("filename").string(citation.title().unwrap_or_default());
                    w.key("index").number(citation.document().unwrap_or_default());
                }
            }
            if let Some(quote) = citation.quote() {
                w.key("quote").string(quote);
            }
        });
    });
}

/// A block of thinking as clients carry it, to be given back unchanged.
pub(crate) fn write_thinking(w: &mut Writer, content: &Content<'_>) {
    match content {
        Content::Thinking { text, signature } => w.object(|w| {
            w.key("type").string("thinking");
            w.key("thinking").string(text);
            w.key("signature").string(signature);
        }),
        Content::Redacted(data) => w.object(|w| {
            w.key("type").string("redacted_thinking");
            w.key("data").string(data);
        }),
        _ => {}
    }
}

fn write_usage(w: &mut Writer, counts: &Counts) {
    let usage = counts.to_usage();
    w.object(|w| {
        w.key("prompt_tokens").number(usage.input_tokens);
        w.key("completion_tokens").number(usage.output_tokens);
        w.key("total_tokens").number(usage.input_tokens.saturating_add(usage.output_tokens));
        w.key("prompt_tokens_details").object(|w| {
            w.key("cached_tokens").number(usage.cached_tokens);
            w.key("cache_write_tokens").number(usage.cache_write_tokens);
            let split =
                [("cache_write_5m_tokens", counts.cache_write_5m), ("cache_write_1h_tokens", counts.cache_write_1h)];
            for (name, count) in split {
                if let Some(count) = count.filter(|_| usage.cache_write_tokens > 0) {
                    w.key(name).number(count);
                }
            }
        });
        w.key("completion_tokens_details").object(|w| w.key("reasoning_tokens").number(usage.reasoning_tokens));
    });
}
