//! A whole Messages answer as a canonical one.

use crate::errors;
use crate::shape::{JSON_TOOL, Shape};
use crate::wire::{Content, Message};
use alloc::string::String;
use alloc::vec::Vec;
use tollgate_plugin::json::{Value, Writer};
use tollgate_plugin::{Answer, Context, ErrorBody, Failure, FinishReason, Response, Usage};

pub(crate) fn whole(context: &Context, response: &Response<'_>) -> Result<Answer, Failure> {
    let body = match Value::parse(response.body) {
        Ok(body @ Value::Object(_)) => body,
        _ => return Err(Failure::upstream("the provider answered with something other than a JSON object")),
    };
    if body.get("error").is_some() {
        return Err(errors::failure(response.status, &ErrorBody::of(&body)));
    }
    let Some(message) = Message::of(&body) else {
        return Err(Failure::upstream("the provider answered with something other than a message"));
    };
    let spoken = Spoken::of(&message, Shape::of(context));
    let usage = message.counts().map(|counts| counts.to_usage());
    let mut writer = Writer::with_capacity(response.body.len() + 512);
    writer.object(|w| {
        match message.id() {
            Some(id) => w.key("id").string(id),
            None => w.key("id").string(&context.request_id),
        }
        w.key("object").string("chat.completion");
        w.key("created").number(context.now_unix_ms / 1000);
        w.key("model").string(message.model().unwrap_or(&context.model));
        w.key("choices").array(|w| spoken.write(w, message.finish_reason()));
        if let Some(usage) = &usage {
            write_usage(w.key("usage"), usage);
        }
    });
    Ok(Answer { body: writer.finish(), usage })
}

/// What a message says, sorted into the fields of a canonical one.
struct Spoken<'a> {
    shape: Shape,
    text: String,
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

impl<'a> Spoken<'a> {
    fn of(message: &Message<'a>, shape: Shape) -> Self {
        let mut spoken = Self {
            shape,
            text: String::new(),
            reasoning: String::new(),
            thinking_blocks: Vec::new(),
            calls: Vec::new(),
        };
        for content in message.content() {
            spoken.add(content);
        }
        spoken
    }

    fn add(&mut self, content: Content<'a>) {
        match content {
            Content::Text(text) => self.text.push_str(text),
            Content::Thinking { text, .. } => {
                self.reasoning.push_str(text);
                self.thinking_blocks.push(content);
            }
            Content::Redacted(_) => self.thinking_blocks.push(content),
            Content::ToolUse { id, name, input } => {
                let arguments = input.map_or_else(|| "{}".into(), Value::to_json);
                if self.shape == Shape::JsonTool && name == JSON_TOOL {
                    self.text.push_str(&arguments);
                } else {
                    self.calls.push(Call { id, name, arguments });
                }
            }
            Content::Other => {}
        }
    }

    /// The one choice.
    fn write(&self, w: &mut Writer, reason: FinishReason) {
        w.object(|w| {
            w.key("index").number(0);
            w.key("message").object(|w| {
                w.key("role").string("assistant");
                match self.text.as_str() {
                    "" if !self.calls.is_empty() => w.key("content").null(),
                    text => w.key("content").string(text),
                }
                w.key("refusal").null();
                if !self.reasoning.is_empty() {
                    w.key("reasoning_content").string(&self.reasoning);
                }
                if !self.thinking_blocks.is_empty() {
                    w.key("thinking_blocks")
                        .array(|w| self.thinking_blocks.iter().for_each(|it| write_thinking(w, it)));
                }
                self.write_calls(w);
            });
            w.key("logprobs").null();
            w.key("finish_reason").string(self.finish_reason(reason));
        });
    }

    fn write_calls(&self, w: &mut Writer) {
        match self.calls.first() {
            None => {}
            Some(call) if self.shape == Shape::Functions => w.key("function_call").object(|w| {
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

    fn finish_reason(&self, reason: FinishReason) -> &'static str {
        match reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ContentFilter => "content_filter",
            FinishReason::ToolCalls if self.shape == Shape::JsonTool && self.calls.is_empty() => "stop",
            FinishReason::ToolCalls if self.shape == Shape::Functions => "function_call",
            FinishReason::ToolCalls => "tool_calls",
        }
    }
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

fn write_usage(w: &mut Writer, usage: &Usage) {
    w.object(|w| {
        w.key("prompt_tokens").number(usage.input_tokens);
        w.key("completion_tokens").number(usage.output_tokens);
        w.key("total_tokens").number(usage.input_tokens.saturating_add(usage.output_tokens));
        w.key("prompt_tokens_details").object(|w| {
            w.key("cached_tokens").number(usage.cached_tokens);
            w.key("cache_write_tokens").number(usage.cache_write_tokens);
        });
        w.key("completion_tokens_details").object(|w| w.key("reasoning_tokens").number(usage.reasoning_tokens));
    });
}
