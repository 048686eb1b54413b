//! What the Anthropic API demands of a request besides its messages, and what the request asks for. As strict as the
//! real one: a field that it does not know is refused. Owns the refusals; never answers.

use serde_json::Value;

use super::{Asked, turns};
use crate::answer::{Choice, Format, Question, Tool, words};

const FIELDS: [&str; 24] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "container",
    "mcp_servers",
    "output_config",
    "context_management",
    "cache_control",
    "diagnostics",
    "inference_geo",
    "speed",
    "user_profile_id",
    "workspace_id",
];
const CACHE_MARKS_MAX: usize = 4;
const BUDGET_TOKENS_MIN: u64 = 1024;

/// What the request asks for, or what is wrong with it. `counting` is whether the tokens shall only be counted, which
/// needs no `max_tokens`.
pub(super) fn check(asked: &Asked<'_>, counting: bool) -> Result<Question, String> {
    let body = asked.body;
    let fields = body.as_object().into_iter().flat_map(|it| it.keys());
    if let Some(unknown) = fields.into_iter().find(|it| !FIELDS.contains(&it.as_str())) {
        return Err(format!("{unknown}: Extra inputs are not permitted"));
    }
    let mut question = Question { output_tokens_max: output_tokens_max(body, counting)?, ..Question::default() };
    sampling(body, asked.new)?;
    system(body, &mut question)?;
    tools(body, &mut question)?;
    question.thinks = thinking(body, &question)?;
    if cache_marks(body) > CACHE_MARKS_MAX {
        return Err(format!("A maximum of 4 blocks with cache_control may be provided. Found {}.", cache_marks(body)));
    }
    question.format = match body.pointer("/output_config/format") {
        None | Some(Value::Null) => Format::Free,
        Some(format) if format.get("type").and_then(Value::as_str) == Some("json_schema") => {
            let schema = format.get("schema").filter(|it| it.is_object());
            Format::Schema(schema.ok_or("output_config.format.schema: Field required")?.clone())
        }
        Some(_) => return Err("output_config.format.type: Input should be 'json_schema'".to_owned()),
    };
    turns::check(body, &mut question)?;
    Ok(question)
}

fn output_tokens_max(body: &Value, counting: bool) -> Result<Option<u64>, String> {
    let value = match body.get("max_tokens") {
        None if counting => return Ok(None),
        value => value.ok_or("max_tokens: Field required")?,
    };
    let count = value.as_u64().ok_or("max_tokens: Input should be a valid integer")?;
    Ok(Some(count))
}

fn sampling(body: &Value, new: bool) -> Result<(), String> {
    for field in ["temperature", "top_p", "top_k"] {
        if new && body.get(field).is_some() {
            return Err(format!("{field}: Extra inputs are not permitted"));
        }
    }
    for field in ["temperature", "top_p"] {
        let Some(value) = body.get(field) else { continue };
        let number = value.as_f64().ok_or_else(|| format!("{field}: Input should be a valid number"))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(format!("{field}: range: 0..1"));
        }
    }
    if body.get("temperature").is_some() && body.get("top_p").is_some() {
        let message = "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
        return Err(message.to_owned());
    }
    for field in body.get("metadata").and_then(Value::as_object).into_iter().flat_map(|it| it.keys()) {
        if field != "user_id" {
            return Err(format!("metadata.{field}: Extra inputs are not permitted"));
        }
    }
    if body.get("stream").is_some_and(|it| !it.is_boolean()) {
        return Err("stream: Input should be a valid boolean".to_owned());
    }
    let stops =
        body.get("stop_sequences").map(|it| it.as_array().ok_or("stop_sequences: Input should be a valid list"));
    for stop in stops.transpose()?.into_iter().flatten() {
        if stop.as_str().is_none_or(|it| it.trim().is_empty()) {
            return Err("stop_sequences: each stop sequence must contain non-whitespace".to_owned());
        }
    }
    match body.get("service_tier").map(Value::as_str) {
        None | Some(Some("auto" | "standard_only")) => Ok(()),
        Some(_) => Err("service_tier: Input should be 'auto' or 'standard_only'".to_owned()),
    }
}

fn system(body: &Value, question: &mut Question) -> Result<(), String> {
    match body.get("system") {
        None => {}
        Some(Value::String(text)) => question.input_tokens += words(text),
        Some(Value::Array(blocks)) => {
            for (index, block) in blocks.iter().enumerate() {
                let text =
                    block.get("text").and_then(Value::as_str).filter(|_| block.get("type") == Some(&"text".into()));
                let text = text.ok_or_else(|| format!("system.{index}.type: Input should be 'text'"))?;
                if text.is_empty() {
                    return Err("system: text content blocks must be non-empty".to_owned());
                }
                question.input_tokens += words(text);
            }
        }
        Some(_) => return Err("system: Input should be a valid string or list".to_owned()),
    }
    Ok(())
}

fn tools(body: &Value, question: &mut Question) -> Result<(), String> {
    let tools = body.get("tools").and_then(Value::as_array);
    for (index, tool) in tools.into_iter().flatten().enumerate() {
        let name =
            tool.get("name").and_then(Value::as_str).ok_or(format!("tools.{index}.custom.name: Field required"))?;
        let legal = name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-');
        if !legal || !(1..=128).contains(&name.len()) {
            let pattern = "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'";
            return Err(format!("tools.{index}.custom.name: {pattern}"));
        }
        if question.tools.iter().any(|it| it.name == name) {
            return Err("tools: Tool names must be unique.".to_owned());
        }
        let schema = tool.get("input_schema").ok_or(format!("tools.{index}.custom.input_schema: Field required"))?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(format!("tools.{index}.custom.input_schema.type: Field required"));
        }
        question.tools.push(Tool { name: name.to_owned(), schema: schema.clone() });
    }
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    if question.tools.is_empty() {
        return Err("tool_choice may only be specified while providing tools".to_owned());
    }
    let named = choice.get("name").and_then(Value::as_str);
    question.choice = match (choice.get("type").and_then(Value::as_str), named) {
        (Some("auto" | "any"), _) => Choice::Auto,
        (Some("none"), _) => Choice::Never,
        (Some("tool"), Some(name)) if question.tools.iter().any(|it| it.name == name) => Choice::Named(name.to_owned()),
        (Some("tool"), Some(name)) => return Err(format!("Tool '{name}' not found in provided tools")),
        (Some("tool"), None) => return Err("tool_choice.tool.name: Field required".to_owned()),
        _ => return Err("tool_choice: Input tag does not match any of 'auto', 'any', 'tool', 'none'".to_owned()),
    };
    question.parallel = choice.get("disable_parallel_tool_use").and_then(Value::as_bool).map(|disabled| !disabled);
    Ok(())
}

fn thinking(body: &Value, question: &Question) -> Result<bool, String> {
    let Some(thinking) = body.get("thinking") else { return Ok(false) };
    let enabled = match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => return Ok(false),
        Some("adaptive" | "between_tools") => false,
        Some("enabled") => true,
        _ => {
            return Err("thinking: Input tag does not match any of 'disabled', 'enabled', 'adaptive', 'between_tools'"
                .to_owned());
        }
    };
    if enabled {
        let budget = thinking.get("budget_tokens").and_then(Value::as_u64);
        let budget = budget.ok_or("thinking.enabled.budget_tokens: Field required")?;
        if budget < BUDGET_TOKENS_MIN {
            return Err("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024".to_owned());
        }
        if question.output_tokens_max.is_some_and(|most| most <= budget) {
            return Err("`max_tokens` must be greater than `thinking.budget_tokens`.".to_owned());
        }
        let kind = body.pointer("/tool_choice/type").and_then(Value::as_str);
        if matches!(kind, Some("any" | "tool")) {
            return Err("Thinking may not be enabled when tool_choice forces tool use.".to_owned());
        }
    }
    if body.get("temperature").is_some_and(|it| it.as_f64() != Some(1.0)) {
        return Err("`temperature` may only be set to 1 when thinking is enabled.".to_owned());
    }
    if body.get("top_k").is_some() {
        return Err("`top_k` must be unset when thinking is enabled.".to_owned());
    }
    Ok(true)
}

/// Counts the blocks that carry `cache_control`, wherever they stand.
fn cache_marks(value: &Value) -> usize {
    match value {
        Value::Object(fields) => {
            usize::from(fields.contains_key("cache_control")) + fields.values().map(cache_marks).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(cache_marks).sum(),
        _ => 0,
    }
}
