//! How many tokens a request has, where the scenario names a tokenizer. Owns the counting of a request's body; never
//! knows a dialect: texts are counted wherever they stand, media by a fixed number.

use serde_json::Value;
use tiktoken_rs::CoreBPE;

use crate::answer::words;

/// What a message, and the answer's beginning, cost beside their text, as OpenAI counts them.
const TOKENS_PER_MESSAGE: u64 = 4;
const TOKENS_FOR_ANSWER: u64 = 3;
/// Fields whose content is a medium and no text.
const MEDIA: [&str; 4] = ["image_url", "source", "input_audio", "file"];

/// By what a request's tokens are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tokenizer {
    /// One word is one token, and only what people and tools say counts.
    #[default]
    Words,
    /// One byte is one token: the most that a tokenizer over bytes can make of a text.
    Bytes,
    O200k,
    Cl100k,
}

impl Tokenizer {
    /// Tokens of all that a chat request says: messages, system prompt, tools, schemas. None where words decide.
    /// Each medium counts `media_tokens`.
    pub(super) fn input_tokens(self, body: &Value, media_tokens: u64) -> Option<u64> {
        let count: &dyn Fn(&str) -> u64 = match self {
            Tokenizer::Words => return None,
            Tokenizer::Bytes => &|text| text.len() as u64,
            Tokenizer::O200k => &|text| ordinary(tiktoken_rs::o200k_base_singleton(), text),
            Tokenizer::Cl100k => &|text| ordinary(tiktoken_rs::cl100k_base_singleton(), text),
        };
        let messages = body.get("messages").and_then(Value::as_array);
        let around = messages.map_or(0, |it| it.len() as u64 * TOKENS_PER_MESSAGE) + TOKENS_FOR_ANSWER;
        let said = ["messages", "system"].iter().filter_map(|field| body.get(*field));
        let said: u64 = said.map(|value| texts(value, count, media_tokens)).sum();
        // A schema is rendered for the model, names and all: its JSON text is what comes closest.
        let declared = ["tools", "functions", "response_format", "output_config"];
        let declared = declared.iter().filter_map(|field| body.get(*field)).filter(|it| !it.is_null());
        Some(around + said + declared.map(|value| count(&value.to_string())).sum::<u64>())
    }
}

fn ordinary(tokenizer: &CoreBPE, text: &str) -> u64 {
    tokenizer.count_ordinary(text) as u64
}

/// Tokens of every text within `value`, whatever its field is called.
fn texts(value: &Value, count: &dyn Fn(&str) -> u64, media_tokens: u64) -> u64 {
    match value {
        Value::String(text) => count(text),
        Value::Array(items) => items.iter().map(|item| texts(item, count, media_tokens)).sum(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| match name.as_str() {
                "role" | "type" => 0,
                name if MEDIA.contains(&name) => media_tokens,
                _ => texts(value, count, media_tokens),
            };
            fields.iter().map(field).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => words(&value.to_string()),
    }
}
