//! What one message holds, as blocks.

use alloc::{borrow::Cow, string::String, vec::Vec};

use tollgate_plugin::{
    Failure,
    json::{self, Value, Writer},
};

use super::{super::media, FieldPath};
use crate::wire::{Block, BlockKind, ToolContent};

/// What the assistant said in one message.
pub(super) struct AssistantMessage<'a> {
    /// Thinking and text.
    pub(super) blocks: Vec<Block<'a>>,
    pub(super) calls: Vec<Call<'a>>,
    pub(super) cache_control: Option<&'a Value<'a>>,
}

pub(super) struct Call<'a> {
    /// As the client has it; none in the older dialect.
    pub(super) id: Option<&'a str>,
    pub(super) name: &'a str,
    /// JSON text of an object.
    pub(super) input: Cow<'a, str>,
}

/// What a tool gave back.
pub(super) struct ToolOutput<'a> {
    pub(super) id: Option<&'a str>,
    /// The function's name, by which the older dialect refers to its call.
    pub(super) name: Option<&'a str>,
    pub(super) content: ToolContent<'a>,
    pub(super) is_error: bool,
    pub(super) cache_control: Option<&'a Value<'a>>,
}

/// The items of `content`: a list's, or the content itself; a null or a missing content has none.
fn items<'a>(message: &'a Value<'a>) -> &'a [Value<'a>] {
    match message.get("content") {
        Some(Value::Array(parts)) => parts,
        Some(single) => core::slice::from_ref(single),
        None => &[],
    }
}

/// A text that the provider takes: it refuses one without a visible character.
fn text_block<'a>(text: &'a str, cache_control: Option<&'a Value<'a>>) -> Option<Block<'a>> {
    (!text.trim().is_empty()).then_some(Block { kind: BlockKind::Text(Cow::Borrowed(text)), cache_control })
}

/// The text of a text or refusal part, or of a string.
fn text_of<'a>(part: &'a Value<'a>) -> Option<&'a str> {
    match part.text("type") {
        Some("text" | "input_text" | "output_text") => part.text("text"),
        Some("refusal") => part.text("refusal"),
        Some(_) => None,
        None => part.as_str().or(part.text("text")),
    }
}

pub(super) fn system<'a>(message: &'a Value<'a>, at: FieldPath) -> Result<Vec<Block<'a>>, Failure> {
    let mut blocks = Vec::new();
    for (index, part) in items(message).iter().enumerate() {
        let text = text_of(part)
            .ok_or_else(|| Failure::invalid(at.part(index), "A system message must hold nothing but text."))?;
        blocks.extend(text_block(text, part.get("cache_control")));
    }
    Ok(blocks)
}

pub(super) fn user<'a>(message: &'a Value<'a>, at: FieldPath) -> Result<Vec<Block<'a>>, Failure> {
    let mut blocks = Vec::new();
    for (index, part) in items(message).iter().enumerate() {
        blocks.extend(user_part(part, at, index)?);
    }
    Ok(blocks)
}

fn user_part<'a>(part: &'a Value<'a>, at: FieldPath, index: usize) -> Result<Option<Block<'a>>, Failure> {
    let cache_control = part.get("cache_control");
    if let Some(text) = text_of(part) {
        return Ok(text_block(text, cache_control));
    }
    let kind = match part.text("type") {
        Some("image_url" | "input_image") => {
            let image = part.get("image_url");
            let url = image.and_then(|image| image.as_str().or(image.text("url")));
            let url = url.ok_or_else(|| Failure::invalid(at.part(index), "The image must have a URL."))?;
            media::block(url, &at.part(index))?
        }
        Some("file" | "input_file") => {
            let file = part.get("file").unwrap_or(part);
            let data = file.text("file_data");
            let data = data.ok_or_else(|| Failure::unsupported(at.part(index), "A file must be given by its data."))?;
            media::file(data, file.text("filename"), &at.part(index))?
        }
        Some("input_audio") => return Err(Failure::unsupported(at.part(index), "The provider takes no audio.")),
        // A block in Anthropic's own words carries its `cache_control` itself.
        Some("image" | "document" | "search_result") => return Ok(Some(Block::plain(BlockKind::Native(part)))),
        _ => {
            return Err(Failure::invalid(
                at.part(index),
                "A part of a user message must be a text, an image or a file.",
            ));
        }
    };
    Ok(Some(Block { kind, cache_control }))
}

pub(super) fn assistant<'a>(message: &'a Value<'a>, at: FieldPath) -> Result<AssistantMessage<'a>, Failure> {
    let mut blocks = thinking(message);
    let has_thinking = !blocks.is_empty();
    for (index, part) in items(message).iter().enumerate() {
        if let Some(text) = text_of(part) {
            blocks.extend(text_block(text, part.get("cache_control")));
            continue;
        }
        match part.text("type") {
            // Kept from `thinking_blocks` where the client has both.
            Some("thinking" | "redacted_thinking") if has_thinking => {}
            Some("thinking" | "redacted_thinking") => blocks.push(Block::plain(BlockKind::Native(part))),
            _ => {
                return Err(Failure::invalid(
                    at.part(index),
                    "A part of an assistant message must be a text or a refusal.",
                ));
            }
        }
    }
    if items(message).is_empty() {
        blocks.extend(message.text("refusal").and_then(|refusal| text_block(refusal, None)));
    }
    let listed = match message.get("tool_calls") {
        Some(Value::Array(listed)) => listed.as_slice(),
        Some(_) => return Err(Failure::invalid(at.field("tool_calls"), "This field must be an array.")),
        None => &[],
    };
    let mut calls = Vec::with_capacity(listed.len());
    for call in listed {
        let function = call.get("function").or(call.get("custom"));
        calls.push(called(function, call.text("id"), at)?);
    }
    if let Some(function) = message.get("function_call") {
        calls.push(called(Some(function), None, at)?);
    }
    Ok(AssistantMessage { blocks, calls, cache_control: message.get("cache_control") })
}

/// The thinking that a client carries for us. Without its signature it would be refused, so it stays behind, as does
/// `reasoning_content`, which has none.
fn thinking<'a>(message: &'a Value<'a>) -> Vec<Block<'a>> {
    let listed = message.get("thinking_blocks").and_then(Value::as_array).unwrap_or_default();
    let kinds = listed.iter().filter_map(|block| match block.text("type")? {
        "thinking" => {
            let signature = block.text("signature").filter(|signature| !signature.is_empty())?;
            Some(BlockKind::Thinking { text: block.text("thinking").unwrap_or_default(), signature })
        }
        "redacted_thinking" => block.text("data").map(BlockKind::Redacted),
        _ => None,
    });
    kinds.map(Block::plain).collect()
}

fn called<'a>(function: Option<&'a Value<'a>>, id: Option<&'a str>, at: FieldPath) -> Result<Call<'a>, Failure> {
    let name = function.and_then(|function| function.text("name")).filter(|name| !name.is_empty());
    let (Some(function), Some(name)) = (function, name) else {
        return Err(Failure::invalid(at.field("tool_calls"), "A tool call must name its function."));
    };
    let id = id.filter(|id| !id.is_empty());
    Ok(Call { id, name, input: input(function.get("arguments").or(function.get("input"))) })
}

/// Arguments nest at most this deep: what stands around them in the request must still fit.
const ARGUMENTS_DEPTH_MAX: usize = json::DEPTH_MAX - 8;

/// Arguments as an object, which is all that the provider takes. What is no JSON goes as it was written, in a field.
fn input<'a>(arguments: Option<&'a Value<'a>>) -> Cow<'a, str> {
    match arguments {
        None => Cow::Borrowed("{}"),
        Some(Value::String(text)) if text.trim().is_empty() => Cow::Borrowed("{}"),
        Some(Value::String(text)) => match Value::parse_within(text, ARGUMENTS_DEPTH_MAX) {
            // Written anew: the client's own text may give a name twice.
            Ok(object @ Value::Object(_)) => Cow::Owned(object.to_json()),
            Ok(other) => Cow::Owned(wrapped(&other)),
            Err(_) => Cow::Owned(wrapped(&Value::String(Cow::Borrowed(text)))),
        },
        Some(object @ Value::Object(_)) => Cow::Owned(object.to_json()),
        Some(other) => Cow::Owned(wrapped(other)),
    }
}

fn wrapped(value: &Value<'_>) -> String {
    let mut writer = Writer::new();
    writer.object(|writer| writer.key("arguments").value(value));
    writer.finish()
}

pub(super) fn tool_result<'a>(message: &'a Value<'a>, at: FieldPath) -> Result<ToolOutput<'a>, Failure> {
    Ok(ToolOutput {
        id: message.text("tool_call_id").filter(|id| !id.is_empty()),
        name: None,
        content: tool_content(message, at)?,
        is_error: message.get("is_error").and_then(Value::as_bool).unwrap_or(false),
        cache_control: message.get("cache_control"),
    })
}

pub(super) fn function_result<'a>(message: &'a Value<'a>, at: FieldPath) -> Result<ToolOutput<'a>, Failure> {
    Ok(ToolOutput { id: None, name: message.text("name"), ..tool_result(message, at)? })
}

/// Some clients give a tool's JSON as it is: what is not a list of parts goes as its text.
fn tool_content<'a>(message: &'a Value<'a>, at: FieldPath) -> Result<ToolContent<'a>, Failure> {
    let Some(content) = message.get("content") else { return Ok(ToolContent::Nothing) };
    match content {
        Value::String(text) if text.is_empty() => Ok(ToolContent::Nothing),
        Value::String(text) => Ok(ToolContent::Text(Cow::Borrowed(text))),
        Value::Array(parts) if parts.iter().all(|part| part.text("type").is_some()) => {
            let blocks = user(message, at)?;
            Ok(if blocks.is_empty() { ToolContent::Nothing } else { ToolContent::Blocks(blocks) })
        }
        other => Ok(ToolContent::Text(Cow::Owned(other.to_json()))),
    }
}

/// A message's own `cache_control` is its last block's.
pub(super) fn keep_cache_control<'a>(message: &'a Value<'a>, blocks: &mut [Block<'a>]) {
    if let (Some(value), Some(last)) = (message.get("cache_control"), blocks.last_mut()) {
        last.cache_control = Some(value);
    }
}
