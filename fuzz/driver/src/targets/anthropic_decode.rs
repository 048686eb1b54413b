//! Anthropic's whole answer as canonical JSON.

use serde_json::Value;
use tollgate::call::json;
use tollgate_plugin::{Adapter, Blame, Response};
use tollgate_plugin_anthropic::Anthropic;

use super::{anthropic_stream::context, outcome};

/// The first byte chooses the shape of the answer; the rest is the provider's body.
pub fn run(data: &[u8]) -> u64 {
    let [shape, body @ ..] = data else { return 0 };
    let Ok(body) = std::str::from_utf8(body) else { return 0 };
    let context = context(*shape);
    let response = Response { status: 200, headers: &[], body };
    let failure = Anthropic::classify(&context, &Response { status: 400, ..response });
    let classified = (failure.kind, failure.blame);
    let decoded = match Anthropic::decode(&context, &response) {
        Ok(answer) => {
            json::check(&answer.body, json::DEPTH_MAX).unwrap_or_else(|fault| panic!("{fault}: {}", answer.body));
            let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let choice = &said["choices"][0];
            assert!(said.is_null() || choice["message"].is_object(), "an answer without a message: {said}");
            let message = choice["message"].as_object().into_iter().flatten();
            let names: Vec<String> = message.map(|(name, _)| name.clone()).collect();
            (names, choice["finish_reason"].to_string(), answer.usage.is_some())
        }
        Err(failure) => {
            assert!(!matches!(failure.blame, Blame::Request), "an answer is never the request's fault: {failure:?}");
            (Vec::new(), failure.message.chars().take(24).collect(), false)
        }
    };
    outcome(&(classified, decoded))
}
