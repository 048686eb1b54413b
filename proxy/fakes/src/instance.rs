//! The smallest instance of a JSON Schema: what the fakes answer where a schema binds them, and with what they call
//! tools. Deterministic. Knows the keywords that providers accept; a pattern is not one of them.

use serde_json::{Map, Value, json};

const DEPTH_MAX: usize = 32;

/// A value that `schema` accepts. Beyond [`DEPTH_MAX`] levels, as in a schema that contains itself, it is null.
pub(super) fn instance(schema: &Value) -> Value {
    at_depth(schema, schema, "value", 0)
}

fn at_depth(root: &Value, schema: &Value, name: &str, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    for keyword in ["const", "default"] {
        if let Some(value) = schema.get(keyword) {
            return value.clone();
        }
    }
    if let Some(value) = schema.get("enum").and_then(|it| it.get(0)) {
        return value.clone();
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|it| root.pointer(it.strip_prefix('#')?))
    {
        return at_depth(root, target, name, depth + 1);
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(keyword).and_then(|it| it.get(0)) {
            return at_depth(root, first, name, depth + 1);
        }
    }
    match kind(schema) {
        "object" => object(root, schema, depth),
        "array" => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            let count = number(schema, "minItems").map_or(1, |it| it as usize).min(64);
            (0..count).map(|_| at_depth(root, items, name, depth + 1)).collect()
        }
        "integer" => json!(number(schema, "minimum").unwrap_or(1.0).ceil() as i64),
        "number" => json!(number(schema, "minimum").unwrap_or(1.5)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => text(schema, name),
    }
}

fn object(root: &Value, schema: &Value, depth: usize) -> Value {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return json!({}) };
    let fields = properties.iter().map(|(name, it)| (name.clone(), at_depth(root, it, name, depth + 1)));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// Text that names its place, as long as `minLength` and `maxLength` want it.
fn text(schema: &Value, name: &str) -> Value {
    let sample = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2025-11-20",
        Some("date-time") => "2025-11-20T12:00:00Z",
        Some("email") => "name@example.org",
        Some("uri") => "https://example.org/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => name,
    };
    let shortest = number(schema, "minLength").map_or(0, |it| it as usize).min(4096);
    let longest = number(schema, "maxLength").map_or(usize::MAX, |it| it as usize);
    let padding = std::iter::repeat_n('x', shortest.saturating_sub(sample.chars().count()));
    Value::String(sample.chars().chain(padding).take(longest).collect())
}

fn kind(schema: &Value) -> &str {
    let named = schema.get("type").and_then(|it| it.as_str().or_else(|| it.get(0)?.as_str()));
    named.unwrap_or(if schema.get("properties").is_some() { "object" } else { "string" })
}

fn number(schema: &Value, keyword: &str) -> Option<f64> {
    schema.get(keyword).and_then(Value::as_f64)
}
