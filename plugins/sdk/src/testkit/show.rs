//! What a plugin returns, as indented JSON for golden files.

use super::replay::Received;
use crate::{
    Answer, Auth, Blame, Event, Failure, FailureKind, FinishReason, Framing, Request, RequestBody, Usage,
    json::{Value, Writer},
};

pub fn show_request(encoded: &Result<Request, Failure>) -> String {
    pretty(|w| match encoded {
        Ok(request) => write_request(w, request),
        Err(failure) => w.object(|w| write_failure(w.key("failure"), failure)),
    })
}

pub fn show_answer(decoded: &Result<Answer, Failure>) -> String {
    pretty(|w| {
        w.object(|w| match decoded {
            Ok(answer) => {
                w.key("body").raw(&answer.body);
                match &answer.usage {
                    Some(usage) => write_usage(w.key("usage"), usage),
                    None => w.key("usage").null(),
                }
            }
            Err(failure) => write_failure(w.key("failure"), failure),
        });
    })
}

pub fn show_failure(failure: &Failure) -> String {
    pretty(|w| write_failure(w, failure))
}

pub fn show_received(received: &[Received]) -> String {
    pretty(|w| {
        w.array(|w| {
            for received in received {
                match received {
                    Received::Event(event) => write_event(w, event),
                    Received::Forwarded(data) => w.object(|w| w.key("forward").string(data)),
                    Received::Failed(failure) => w.object(|w| write_failure(w.key("failure"), failure)),
                }
            }
        });
    })
}

fn write_request(w: &mut Writer, request: &Request) {
    w.object(|w| {
        w.key("method").string(&request.method);
        w.key("path").string(&request.path);
        w.key("headers").object(|w| {
            for header in &request.headers {
                w.key(&header.name).string(&header.value);
            }
        });
        write_auth(w.key("auth"), &request.auth);
        w.key("framing").string(match request.framing {
            Framing::Whole => "whole",
            Framing::Sse => "sse",
            Framing::Ndjson => "ndjson",
            Framing::JsonArray => "json-array",
            Framing::AwsEventstream => "aws-eventstream",
        });
        w.key("passthrough").bool(request.passthrough);
        write_optional(w.key("state"), request.state.as_deref());
        match &request.body {
            RequestBody::Whole(body) => w.key("body").raw(body),
            RequestBody::Edits(edits) => w.key("edits").object(|w| {
                for edit in edits {
                    match &edit.value {
                        Some(json) => w.key(&edit.field).raw(json),
                        None => w.key(&edit.field).null(),
                    }
                }
            }),
        }
    });
}

fn write_auth(w: &mut Writer, auth: &Auth) {
    match auth {
        Auth::None => w.string("none"),
        Auth::Bearer => w.string("bearer"),
        Auth::Header(name) => w.object(|w| w.key("header").string(name)),
        Auth::Query(name) => w.object(|w| w.key("query").string(name)),
        Auth::Scheme(scheme) => w.object(|w| w.key(&scheme.name).raw(&scheme.params)),
    }
}

fn write_event(w: &mut Writer, event: &Event) {
    w.object(|w| match event {
        Event::Forward(index) => w.key("forward").number(u64::from(*index)),
        Event::Text(text) => w.key("text").string(text),
        Event::Reasoning(text) => w.key("reasoning").string(text),
        Event::Tool(tool) => w.key("tool").object(|w| {
            w.key("index").number(u64::from(tool.index));
            write_optional(w.key("id"), tool.id.as_deref());
            write_optional(w.key("name"), tool.name.as_deref());
            w.key("arguments").string(&tool.arguments);
        }),
        Event::Delta(json) => w.key("delta").raw(json),
        Event::Usage(usage) => write_usage(w.key("usage"), usage),
        Event::Finish(reason) => w.key("finish").string(match reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
        }),
        Event::Failed(failure) => write_failure(w.key("failed"), failure),
    });
}

fn write_usage(w: &mut Writer, usage: &Usage) {
    w.object(|w| {
        w.key("input").number(usage.input_tokens);
        w.key("output").number(usage.output_tokens);
        w.key("cached").number(usage.cached_tokens);
        w.key("cache_write").number(usage.cache_write_tokens);
        w.key("reasoning").number(usage.reasoning_tokens);
    });
}

fn write_failure(w: &mut Writer, failure: &Failure) {
    w.object(|w| {
        w.key("kind").string(match failure.kind {
            FailureKind::InvalidRequest => "invalid-request",
            FailureKind::ContextLength => "context-length",
            FailureKind::Authentication => "authentication",
            FailureKind::Permission => "permission",
            FailureKind::Quota => "quota",
            FailureKind::RateLimited => "rate-limited",
            FailureKind::Overloaded => "overloaded",
            FailureKind::Timeout => "timeout",
            FailureKind::ContentFilter => "content-filter",
            FailureKind::NotFound => "not-found",
            FailureKind::TooLarge => "too-large",
            FailureKind::Unsupported => "unsupported",
            FailureKind::Upstream => "upstream",
            FailureKind::Internal => "internal",
        });
        w.key("blame").string(match failure.blame {
            Blame::Request => "request",
            Blame::Credential => "credential",
            Blame::Model => "model",
            Blame::Provider => "provider",
        });
        w.key("retryable").bool(failure.retryable);
        match failure.retry_after_ms {
            Some(ms) => w.key("retry_after_ms").number(ms),
            None => w.key("retry_after_ms").null(),
        }
        write_optional(w.key("code"), failure.code.as_deref());
        write_optional(w.key("param"), failure.param.as_deref());
        w.key("message").string(&failure.message);
    });
}

fn write_optional(w: &mut Writer, text: Option<&str>) {
    match text {
        Some(text) => w.string(text),
        None => w.null(),
    }
}

/// What `body` writes, indented by two spaces a level.
fn pretty(body: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::new();
    body(&mut writer);
    let text = writer.finish();
    let value = Value::parse(&text).unwrap_or_else(|error| panic!("not JSON at byte {}: {text}", error.at));
    let mut out = String::new();
    indent(&mut out, &value, 0);
    out.push('\n');
    out
}

fn indent(out: &mut String, value: &Value<'_>, level: usize) {
    let (open, close, len) = match value {
        Value::Array(items) => ('[', ']', items.len()),
        Value::Object(object) => ('{', '}', object.len()),
        scalar => return out.push_str(&scalar.to_json()),
    };
    out.push(open);
    for at in 0..len {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(level + 1));
        match value {
            Value::Array(items) => indent(out, &items[at], level + 1),
            Value::Object(object) => {
                let (name, inner) = object.iter().nth(at).expect("below its length");
                out.push_str(&crate::json::quoted(name));
                out.push_str(": ");
                indent(out, inner, level + 1);
            }
            _ => {}
        }
    }
    if len > 0 {
        out.push('\n');
        out.push_str(&"  ".repeat(level));
    }
    out.push(close);
}
