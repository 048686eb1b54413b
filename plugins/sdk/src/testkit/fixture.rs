//! The context of a golden case.

use std::path::Path;

use crate::{Context, Operation, json::Value};

/// A whole chat call at a fixed time, for the model `model-x`.
pub fn context() -> Context {
    Context {
        request_id: "req_0123456789".to_owned(),
        operation: Operation::Chat,
        model: "model-x".to_owned(),
        streaming: false,
        config: "{}".to_owned(),
        now_unix_ms: 1_763_600_000_000,
        seed: 7,
        state: None,
    }
}

/// [`context`] with the fields that `json` gives: `request_id`, `operation`, `model`, `streaming`, `config` (an
/// object), `now_unix_ms`, `seed`, `state`.
///
/// # Panics
/// Where a field has another name or another type.
pub fn context_of(json: &Value<'_>) -> Context {
    let mut context = context();
    for (name, value) in json.as_object().expect("a context is an object").iter() {
        set(&mut context, name, value).unwrap_or_else(|| panic!("`{name}` is not a field of the context, or not this"));
    }
    context
}

pub(super) fn context_in(folder: &Path) -> Context {
    let path = folder.join("context.json");
    if !path.exists() {
        return context();
    }
    let text = std::fs::read_to_string(&path).expect("a file that exists can be read");
    context_of(&Value::parse(&text).unwrap_or_else(|error| panic!("{}: not JSON at {}", path.display(), error.at)))
}

fn set(context: &mut Context, name: &str, value: &Value<'_>) -> Option<()> {
    match name {
        "request_id" => context.request_id = value.as_str()?.to_owned(),
        "operation" => {
            context.operation = match value.as_str()? {
                "chat" => Operation::Chat,
                "embeddings" => Operation::Embeddings,
                _ => return None,
            }
        }
        "model" => context.model = value.as_str()?.to_owned(),
        "streaming" => context.streaming = value.as_bool()?,
        "config" => context.config = value.as_object().map(|_| value.to_json())?,
        "now_unix_ms" => context.now_unix_ms = value.as_u64()?,
        "seed" => context.seed = value.as_u64()?,
        "state" => context.state = Some(value.as_str()?.to_owned()),
        _ => return None,
    }
    Some(())
}
