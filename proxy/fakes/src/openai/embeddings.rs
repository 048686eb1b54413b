//! Embeddings on OpenAI's wire, as lists of floats or as base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::Wrong;
use crate::{
    answer::words,
    counters::Open,
    fingerprint,
    reply::Reply,
    script::{Form, Script},
};

const DIMENSIONS: usize = 1536;
const DIMENSIONS_MAX: usize = 3072;
const INPUTS_MAX: usize = 2048;

pub(super) fn answer(body: &Value, script: &Script, _call: &Open) -> Result<Reply, Wrong> {
    let inputs = inputs(body)?;
    let dimensions = match body.get("dimensions") {
        None | Some(Value::Null) => DIMENSIONS,
        Some(value) => {
            let count = value.as_u64().and_then(|it| usize::try_from(it).ok());
            let allowed = count.filter(|it| (1..=DIMENSIONS_MAX).contains(it));
            allowed.ok_or_else(|| Wrong::new("dimensions", "Invalid value for 'dimensions'."))?
        }
    };
    let base64 = match (script.form, body.get("encoding_format").and_then(Value::as_str)) {
        (Form::Base64, _) | (Form::Asked, Some("base64")) => true,
        (Form::Floats, _) | (Form::Asked, None | Some("float")) => false,
        (Form::Asked, Some(_)) => {
            return Err(Wrong::new("encoding_format", "Invalid value for 'encoding_format'."));
        }
    };
    let data: Vec<Value> =
        inputs.iter().enumerate().map(|(index, input)| one(index, input, dimensions, base64)).collect();
    let tokens = script.reported.input.unwrap_or_else(|| inputs.iter().map(tokens).sum::<u64>().into());
    let mut answer = json!({ "object": "list", "data": data, "model": body.get("model") }).to_string();
    if !script.reported.absent {
        // By hand: no value of serde_json's holds every count that a scenario may ask for.
        answer.pop();
        answer.push_str(&format!(r#","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#));
    }
    Ok(Reply::json(200, answer.into_bytes()))
}

/// The texts or token lists to embed.
fn inputs(body: &Value) -> Result<Vec<Value>, Wrong> {
    let wrong = |message: &str| Wrong::new("input", message);
    let inputs = match body.get("input") {
        Some(text @ Value::String(_)) => vec![text.clone()],
        Some(Value::Array(items)) if items.first().is_some_and(Value::is_u64) => vec![Value::from(items.clone())],
        Some(Value::Array(items)) => items.clone(),
        _ => return Err(wrong("Missing required parameter: 'input'.")),
    };
    let empty = |it: &Value| it.as_str().map_or_else(|| it.as_array().is_none_or(Vec::is_empty), str::is_empty);
    if inputs.is_empty() || inputs.len() > INPUTS_MAX || inputs.iter().any(empty) {
        return Err(wrong("'$.input' is invalid. Please check the API reference."));
    }
    Ok(inputs)
}

fn one(index: usize, input: &Value, dimensions: usize, base64: bool) -> Value {
    let vector = vector(input, dimensions);
    let embedding = if base64 {
        Value::from(STANDARD.encode(vector.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>()))
    } else {
        Value::from(vector)
    };
    json!({ "object": "embedding", "index": index, "embedding": embedding })
}

/// Numbers between −1 and 1 that depend on the input and are exact in 32 bits.
fn vector(input: &Value, dimensions: usize) -> Vec<f32> {
    let seed = fingerprint(input.to_string().as_bytes());
    let step = |index: usize| fingerprint(&(seed ^ index as u64).to_le_bytes());
    (0..dimensions).map(|index| f32::from((step(index) >> 48) as u16 as i16) / 32768.0).collect()
}

fn tokens(input: &Value) -> u64 {
    match input {
        Value::String(text) => words(text),
        other => other.as_array().map_or(0, |it| it.len() as u64),
    }
}
