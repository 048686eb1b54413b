//! What the OpenAI API demands of a chat request, and what the request asks for. Owns the refusals; never answers.

use serde_json::Value;

use super::Wrong;
use crate::answer::{Choice, Format, Question, Tool, words};

/// A request that passed.
pub(super) struct Checked {
    pub(super) question: Question,
    pub(super) choices: usize,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

/// Checks all that the fake knows of; fields it does not know ride along.
pub(super) fn check(body: &Value) -> Result<Checked, Wrong> {
    let messages = body.get("messages").and_then(Value::as_array);
    let messages = messages.ok_or_else(|| Wrong::new("messages", "Missing required parameter: 'messages'."))?;
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty \
            array instead.";
        return Err(Wrong { code: Some("empty_array"), ..Wrong::new("messages", message) });
    }
    let mut question = Question::default();
    for (index, message) in messages.iter().enumerate() {
        read_message(index, message, &mut question)?;
    }
    check_tool_turns(messages)?;
    question.tool_said = tool_said(messages);
    range(body, "temperature", 0.0, 2.0)?;
    range(body, "top_p", 0.0, 1.0)?;
    range(body, "frequency_penalty", -2.0, 2.0)?;
    range(body, "presence_penalty", -2.0, 2.0)?;
    range(body, "n", 1.0, 128.0)?;
    range(body, "max_tokens", 1.0, 1e9)?;
    range(body, "max_completion_tokens", 1.0, 1e9)?;
    let (old, new) = (given(body, "max_tokens"), given(body, "max_completion_tokens"));
    if old.is_some() && new.is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Wrong::new("max_tokens", message));
    }
    question.output_tokens_max = new.or(old).and_then(Value::as_u64);
    let stream = boolean(body, "stream")?.unwrap_or(false);
    let options = given(body, "stream_options");
    if options.is_some() && !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Wrong::new("stream_options", message));
    }
    read_tools(body, &mut question)?;
    question.format = format(body, messages)?;
    let include_usage = options.and_then(|it| it.get("include_usage")).and_then(Value::as_bool).unwrap_or(false);
    let choices = given(body, "n").and_then(Value::as_u64).unwrap_or(1) as usize;
    Ok(Checked { question, choices, stream, include_usage })
}

fn read_message(index: usize, message: &Value, question: &mut Question) -> Result<(), Wrong> {
    let at = |field: &str| format!("messages[{index}].{field}");
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    if !matches!(role, "system" | "developer" | "user" | "assistant" | "tool" | "function") {
        let message = format!(
            "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and \
             'developer'."
        );
        return Err(Wrong { code: Some("invalid_value"), ..Wrong::new(at("role"), message) });
    }
    if role == "user" {
        question.said.clear();
        question.images = 0;
    }
    match message.get("content") {
        Some(Value::String(text)) => read_text(text, role, question),
        Some(Value::Array(parts)) => {
            for (place, part) in parts.iter().enumerate() {
                read_part(&format!("{}[{place}]", at("content")), part, role, question)?;
            }
        }
        None | Some(Value::Null) if role == "assistant" && message.get("tool_calls").is_some() => {}
        None | Some(Value::Null) => {
            let message = format!("Invalid value for 'content': expected a string, got null. ({})", at("content"));
            return Err(Wrong::new(at("content"), message));
        }
        Some(_) => return Err(Wrong::new(at("content"), "Invalid type for 'content': expected a string or an array.")),
    }
    Ok(())
}

fn read_part(at: &str, part: &Value, role: &str, question: &mut Question) -> Result<(), Wrong> {
    match part.get("type").and_then(Value::as_str) {
        Some("text") => {
            let text = part.get("text").and_then(Value::as_str);
            read_text(text.ok_or_else(|| missing(at, "text"))?, role, question);
        }
        Some("image_url") => {
            let url = part.pointer("/image_url/url").and_then(Value::as_str);
            let url = url.ok_or_else(|| missing(at, "image_url.url"))?;
            if !(url.starts_with("data:image/") || url.starts_with("https://") || url.starts_with("http://")) {
                let message = "Invalid image URL: expected a data URL or an http URL.";
                return Err(Wrong { code: Some("invalid_image_url"), ..Wrong::new(at, message) });
            }
            question.images += 1;
        }
        Some("input_audio" | "file" | "refusal") => {}
        other => {
            let message = format!(
                "Invalid value: '{}'. Supported values are: 'text', 'image_url', 'input_audio', \
                'refusal', and 'file'.",
                other.unwrap_or_default()
            );
            return Err(Wrong { code: Some("invalid_value"), ..Wrong::new(format!("{at}.type"), message) });
        }
    }
    Ok(())
}

fn read_text(text: &str, role: &str, question: &mut Question) {
    question.input_tokens += words(text);
    if role == "user" {
        question.said.push_str(text);
    }
}

/// Tool messages answer the calls of the assistant message before them, each of them and no other.
fn check_tool_turns(messages: &[Value]) -> Result<(), Wrong> {
    let mut open: Vec<&str> = Vec::new();
    let mut in_turn = false;
    for (index, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str);
        if role == Some("tool") {
            let id = message.get("tool_call_id").and_then(Value::as_str);
            let id = id.ok_or_else(|| missing(&format!("messages[{index}]"), "tool_call_id"))?;
            if !in_turn {
                let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding \
                    message with 'tool_calls'.";
                return Err(Wrong::new(format!("messages.[{index}].role"), message));
            }
            open.retain(|it| *it != id);
            continue;
        }
        unanswered(&open)?;
        let calls = message.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty());
        in_turn = calls.is_some();
        open = calls.into_iter().flatten().filter_map(|call| call.get("id")?.as_str()).collect();
    }
    unanswered(&open)
}

fn unanswered(open: &[&str]) -> Result<(), Wrong> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(Wrong::new("messages", message))
}

fn tool_said(messages: &[Value]) -> Option<String> {
    let results = messages.iter().rev().take_while(|it| it.get("role").and_then(Value::as_str) == Some("tool"));
    let mut texts: Vec<String> = results.filter_map(|it| it.get("content")).map(plain).collect();
    texts.reverse();
    (!texts.is_empty()).then(|| texts.join(" "))
}

fn plain(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|it| it.get("text")?.as_str()).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn read_tools(body: &Value, question: &mut Question) -> Result<(), Wrong> {
    let tools = given(body, "tools").and_then(Value::as_array);
    if tools.is_some_and(Vec::is_empty) {
        let message = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array \
            instead.";
        return Err(Wrong { code: Some("empty_array"), ..Wrong::new("tools", message) });
    }
    for (index, tool) in tools.into_iter().flatten().enumerate() {
        let name = tool.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
        if tool.get("type").and_then(Value::as_str) != Some("function") || !is_name(name) {
            let at = format!("tools[{index}].function.name");
            let message = format!(
                "Invalid '{at}': string does not match pattern. Expected a string that matches the \
                pattern '^[a-zA-Z0-9_-]+$'."
            );
            return Err(Wrong { code: Some("invalid_value"), ..Wrong::new(at, message) });
        }
        let schema = tool.pointer("/function/parameters").cloned();
        let schema = schema.unwrap_or_else(|| serde_json::json!({ "type": "object" }));
        question.tools.push(Tool { name: name.to_owned(), schema });
    }
    let choice = given(body, "tool_choice");
    for field in ["tool_choice", "parallel_tool_calls"] {
        if tools.is_none() && given(body, field).is_some_and(|it| it != "none") {
            let message = format!("Invalid value for '{field}': '{field}' is only allowed when 'tools' are specified.");
            return Err(Wrong::new(field, message));
        }
    }
    question.parallel = boolean(body, "parallel_tool_calls")?;
    question.choice = match choice {
        Some(Value::String(word)) if word == "none" => Choice::Never,
        Some(value) => match value.pointer("/function/name").and_then(Value::as_str) {
            Some(name) => Choice::Named(name.to_owned()),
            None => Choice::Auto,
        },
        None => Choice::Auto,
    };
    Ok(())
}

fn format(body: &Value, messages: &[Value]) -> Result<Format, Wrong> {
    let Some(format) = given(body, "response_format") else { return Ok(Format::Free) };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Free),
        Some("json_object") => {
            let text = Value::from(messages).to_string().to_ascii_lowercase();
            if text.contains("json") {
                return Ok(Format::Object);
            }
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                'json_object'.";
            Err(Wrong::new("messages", message))
        }
        Some("json_schema") => {
            let name = format.pointer("/json_schema/name").and_then(Value::as_str);
            name.filter(|it| is_name(it)).ok_or_else(|| missing("response_format.json_schema", "name"))?;
            Ok(Format::Schema(format.pointer("/json_schema/schema").cloned().unwrap_or_default()))
        }
        _ => Err(Wrong::new("response_format.type", "Invalid value for 'response_format.type'.")),
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-')
}

/// A field that is present and not null.
fn given<'a>(body: &'a Value, field: &str) -> Option<&'a Value> {
    body.get(field).filter(|it| !it.is_null())
}

fn boolean(body: &Value, field: &str) -> Result<Option<bool>, Wrong> {
    let wrong = || {
        let message = format!("Invalid type for '{field}': expected a boolean.");
        Wrong { code: Some("invalid_type"), ..Wrong::new(field, message) }
    };
    given(body, field).map(|it| it.as_bool().ok_or_else(wrong)).transpose()
}

fn range(body: &Value, field: &str, least: f64, most: f64) -> Result<(), Wrong> {
    let Some(value) = given(body, field) else { return Ok(()) };
    let Some(number) = value.as_f64() else {
        let message = format!("Invalid type for '{field}': expected a number.");
        return Err(Wrong { code: Some("invalid_type"), ..Wrong::new(field, message) });
    };
    if (least..=most).contains(&number) {
        return Ok(());
    }
    let message = format!("Invalid '{field}': {number} is not between {least} and {most}.");
    Err(Wrong { code: Some("invalid_value"), ..Wrong::new(field, message) })
}

fn missing(at: &str, field: &str) -> Wrong {
    let message = format!("Missing required parameter: '{at}.{field}'.");
    Wrong { code: Some("missing_required_parameter"), ..Wrong::new(format!("{at}.{field}"), message) }
}
