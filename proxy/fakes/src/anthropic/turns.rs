//! What the Anthropic API demands of the messages: whose turn it is, which blocks a turn may hold, and that tool
//! results answer tool uses at once.

use serde_json::Value;

use crate::answer::{Question, signature, words};

/// Checks `messages`, and adds what they say to `question`.
pub(super) fn check(body: &Value, question: &mut Question) -> Result<(), String> {
    let messages = body.get("messages").ok_or("messages: Field required")?;
    let messages = messages.as_array().ok_or("messages: Input should be a valid list")?;
    if messages.is_empty() {
        return Err("messages: at least one message is required".to_owned());
    }
    let thinks = question.thinks;
    let mut asked: Vec<String> = Vec::new();
    let mut uses_tools = false;
    for (index, message) in messages.iter().enumerate() {
        let turn = Turn { index, last: index + 1 == messages.len(), role: role(message)? };
        if index == 0 && turn.role != "user" {
            return Err("messages: first message must use the \"user\" role".to_owned());
        }
        let blocks = turn.blocks(message, question)?;
        uses_tools |= blocks.iter().any(|it| matches!(kind(it), "tool_use" | "tool_result"));
        answered(&turn, &blocks, &asked)?;
        asked = blocks.iter().filter(|it| kind(it) == "tool_use").filter_map(|it| id(it, "id")).collect();
        if thinks && !asked.is_empty() && !matches!(kind(&blocks[0]), "thinking" | "redacted_thinking") {
            return Err(format!(
                "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`.",
                kind(&blocks[0])
            ));
        }
    }
    if !asked.is_empty() {
        return Err(dangling(messages.len() - 1, &asked));
    }
    if uses_tools && question.tools.is_empty() {
        return Err("Requests which include `tool_use` or `tool_result` blocks must define tools".to_owned());
    }
    Ok(())
}

struct Turn<'a> {
    index: usize,
    last: bool,
    role: &'a str,
}

impl Turn<'_> {
    /// The message's content as blocks, each of them checked.
    fn blocks(&self, message: &Value, question: &mut Question) -> Result<Vec<Value>, String> {
        let Turn { index, role, .. } = *self;
        if role == "user" {
            question.said.clear();
            question.tool_said = None;
            question.images = 0;
        }
        let content = message.get("content").ok_or_else(|| format!("messages.{index}.content: Field required"))?;
        let blocks = match content {
            Value::String(text) => vec![serde_json::json!({ "type": "text", "text": text })],
            Value::Array(blocks) => blocks.clone(),
            _ => return Err(format!("messages.{index}.content: Input should be a valid string or list")),
        };
        let empty = blocks.is_empty() || content.as_str().is_some_and(str::is_empty);
        if empty && !(self.last && role == "assistant") {
            return Err(format!(
                "messages.{index}: all messages must have non-empty content except for the optional final assistant message"
            ));
        }
        for (place, block) in blocks.iter().enumerate() {
            self.block(place, block, question).map_err(|what| what.replace("{at}", &format!("messages.{index}")))?;
        }
        let ending = blocks.last().and_then(|it| it.get("text")?.as_str()).unwrap_or_default();
        if self.last && role == "assistant" && ending.ends_with(char::is_whitespace) {
            return Err("messages: final assistant content cannot end with trailing whitespace".to_owned());
        }
        Ok(blocks)
    }

    fn block(&self, place: usize, block: &Value, question: &mut Question) -> Result<(), String> {
        let field = |name: &str| {
            let value =
                block.get(name).ok_or_else(|| format!("{{at}}.content.{place}.{}.{name}: Field required", kind(block)));
            value.and_then(|it| {
                it.as_str().ok_or_else(|| format!("{{at}}.content.{place}.{name}: Input should be a valid string"))
            })
        };
        match (kind(block), self.role) {
            ("text", role) => {
                let text = field("text")?;
                if text.is_empty() {
                    return Err("messages: text content blocks must be non-empty".to_owned());
                }
                let cites = block.get("citations").and_then(Value::as_array).is_some_and(|it| !it.is_empty());
                if cites && role == "user" {
                    return Err(format!("{{at}}.content.{place}.text.citations: must be empty in a user message"));
                }
                question.input_tokens += words(text);
                if role == "user" {
                    question.said.push_str(text);
                }
            }
            ("image", "user") => {
                image(place, block)?;
                question.images += 1;
            }
            ("document", "user") => {}
            ("tool_result", "user") => {
                field("tool_use_id")?;
                let text = result_text(block);
                question.input_tokens += words(&text);
                let said = question.tool_said.get_or_insert_default();
                said.push_str(if said.is_empty() { "" } else { " " });
                said.push_str(&text);
            }
            ("tool_use", "assistant") => {
                let (id, _name) = (field("id")?, field("name")?);
                if id.is_empty() || !id.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-') {
                    let pattern = "String should match pattern '^[a-zA-Z0-9_-]+$'";
                    return Err(format!("{{at}}.content.{place}.tool_use.id: {pattern}"));
                }
                if !block.get("input").is_some_and(Value::is_object) {
                    return Err(format!("{{at}}.content.{place}.tool_use.input: Input should be a valid dictionary"));
                }
            }
            ("thinking", "assistant") => {
                if field("signature")? != signature(field("thinking")?) {
                    return Err(format!("{{at}}.content.{place}: Invalid `signature` in `thinking` block"));
                }
            }
            ("redacted_thinking", "assistant") => drop(field("data")?),
            (other, role) => {
                return Err(format!(
                    "{{at}}.content.{place}: Input tag '{other}' is not allowed in a message of role '{role}'"
                ));
            }
        }
        Ok(())
    }
}

/// An image's source, and that its bytes are what its media type says.
fn image(place: usize, block: &Value) -> Result<(), String> {
    let at = format!("{{at}}.content.{place}.image.source");
    let source = |field: &str| block.pointer(&format!("/source/{field}")).and_then(Value::as_str);
    match source("type") {
        Some("url") => match source("url") {
            Some(url) if url.starts_with("https://") => Ok(()),
            _ => Err(format!("{at}.url: Only HTTPS URLs are supported.")),
        },
        Some("base64") => {
            let (declared, data) = (source("media_type").unwrap_or_default(), source("data").unwrap_or_default());
            let begins = match declared {
                "image/png" => "iVBORw0KGgo",
                "image/jpeg" => "/9j/",
                "image/gif" => "R0lGOD",
                "image/webp" => "UklGR",
                _ => {
                    let allowed = "'image/jpeg', 'image/png', 'image/gif' or 'image/webp'";
                    return Err(format!("{at}.base64.media_type: Input should be {allowed}"));
                }
            };
            if data.starts_with(begins) {
                return Ok(());
            }
            Err(format!(
                "{at}.base64: The image was specified using the {declared} media type, but does not appear to be one"
            ))
        }
        _ => Err(format!("{at}: Input tag does not match any of 'base64', 'url'")),
    }
}

/// Tool results answer the tool uses of the turn before: all of them, first in their message, and no other.
fn answered(turn: &Turn<'_>, blocks: &[Value], asked: &[String]) -> Result<(), String> {
    let leading = blocks.iter().take_while(|it| kind(it) == "tool_result");
    let leading: Vec<String> = leading.filter_map(|it| id(it, "tool_use_id")).collect();
    for (place, block) in blocks.iter().enumerate().filter(|(_, it)| kind(it) == "tool_result") {
        let id = id(block, "tool_use_id").unwrap_or_default();
        if !asked.contains(&id) {
            return Err(format!(
                "messages.{}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                 `tool_result` block must have a corresponding `tool_use` block in the previous message.",
                turn.index
            ));
        }
    }
    let missing: Vec<String> = asked.iter().filter(|it| !leading.contains(it)).cloned().collect();
    if missing.is_empty() { Ok(()) } else { Err(dangling(turn.index - 1, &missing)) }
}

fn dangling(index: usize, ids: &[String]) -> String {
    format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
         block must have a corresponding `tool_result` block in the next message.",
        ids.join(", ")
    )
}

fn role(message: &Value) -> Result<&str, String> {
    match message.get("role").and_then(Value::as_str) {
        Some(role @ ("user" | "assistant")) => Ok(role),
        Some("system") => Err("messages: Unexpected role \"system\". The Messages API accepts a top-level `system` \
            parameter, not \"system\" as an input message role."
            .to_owned()),
        other => Err(format!("messages: Unexpected role \"{}\"", other.unwrap_or_default())),
    }
}

fn result_text(block: &Value) -> String {
    match block.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|it| it.get("text")?.as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn id(block: &Value, field: &str) -> Option<String> {
    block.get(field).and_then(Value::as_str).map(str::to_owned)
}
