//! What a client may write never makes a built-in adapter fail: it is encoded, or refused as the request's fault.

use bytes::Bytes;
use serde_json::Value;
use tollgate::call::{Bounds, Call, Operation, json};
use tollgate_plugin::{Adapter, Blame, Context, Failure, FailureKind, Request, RequestBody, testkit};
use tollgate_plugin_anthropic::Anthropic;
use tollgate_plugin_openai::OpenAi;

use super::outcome;

/// Models that the adapters know something of, and one that nobody knows.
const MODELS: [&str; 5] =
    ["claude-sonnet-4-5", "claude-opus-4-1", "claude-3-5-haiku-latest", "claude-opus-5", "nobody-knows"];

/// The first byte chooses the provider's model; the rest is the client's body.
pub fn run(data: &[u8]) -> u64 {
    let [model, body @ ..] = data else { return 0 };
    let Ok(call) = Call::parse(Operation::Chat, Bytes::copy_from_slice(body), &Bounds::default()) else { return 1 };
    let model = MODELS[usize::from(*model) % MODELS.len()];
    let context = Context { model: model.to_owned(), streaming: call.stream, ..testkit::context() };
    let text = std::str::from_utf8(call.body()).expect("a call's body is UTF-8");
    let anthropic = checked(Anthropic::encode(&context, text));
    let openai = checked(OpenAi::encode(&context, &call.head()));
    outcome(&(anthropic, openai))
}

/// What came of it: the names that the provider's body has, or the code and field of the refusal.
fn checked(encoded: Result<Request, Failure>) -> Vec<String> {
    match encoded {
        Ok(Request { body: RequestBody::Whole(text), .. }) => {
            json::check(&text, json::DEPTH_MAX).unwrap_or_else(|fault| panic!("{fault}: {text}"));
            let body: Value = serde_json::from_str(&text).unwrap_or_default();
            body.as_object().into_iter().flatten().map(|(name, _)| name.chars().take(16).collect()).collect()
        }
        Ok(Request { body: RequestBody::Edits(edits), .. }) => {
            for value in edits.iter().filter_map(|edit| edit.value.as_ref()) {
                json::check(value, json::DEPTH_MAX).unwrap_or_else(|fault| panic!("{fault}: {value}"));
            }
            edits.into_iter().map(|edit| edit.field.chars().take(16).collect()).collect()
        }
        Err(failure) => {
            // What this provider cannot do, another may.
            let is_refusal =
                matches!(failure.blame, Blame::Request) || matches!(failure.kind, FailureKind::Unsupported);
            assert!(is_refusal && failure.message.len() < 4096, "the adapter failed: {failure:?}");
            vec![failure.message.chars().filter(|it| it.is_alphabetic()).take(24).collect()]
        }
    }
}
