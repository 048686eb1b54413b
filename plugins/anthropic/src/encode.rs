//! The canonical request as a Messages request.

mod base64;
mod fields;
mod format;
mod media;
mod messages;
mod options;
mod schema;
mod tools;

use alloc::{string::String, vec, vec::Vec};

use tollgate_plugin::{
    Blame, Context, Failure, FailureKind, Framing, Header, Operation, Request, RequestBody, json::Value,
};

use crate::{
    models::Model,
    settings::Settings,
    state::{Shape, State},
    wire::{Block, Body},
};
use format::Format;
use messages::Conversation;
use schema::Told;
use tools::Tools;

pub(crate) fn request(context: &Context, text: &str) -> Result<Request, Failure> {
    if context.operation != Operation::Chat {
        return Err(Failure::new(FailureKind::Unsupported, Blame::Provider, "The provider has no embeddings."));
    }
    let asked = match Value::parse(text) {
        Ok(asked @ Value::Object(_)) => asked,
        _ => {
            return Err(Failure::new(FailureKind::InvalidRequest, Blame::Request, "The request is not a JSON object."));
        }
    };
    let settings = Settings::read(&context.config)?;
    let (body, state) = body(context, &asked, &settings, text.len())?;
    Ok(Request {
        method: "POST".into(),
        path: "/v1/messages".into(),
        headers: headers(&settings),
        body: RequestBody::Whole(body),
        auth: settings.auth(),
        framing: if context.streaming { Framing::Sse } else { Framing::Whole },
        passthrough: false,
        state: state.to_text()?,
    })
}

fn headers(settings: &Settings<'_>) -> Vec<Header> {
    let mut headers = vec![Header { name: "anthropic-version".into(), value: settings.version().into() }];
    let betas = settings.betas().collect::<Vec<_>>().join(",");
    if !betas.is_empty() {
        headers.push(Header { name: "anthropic-beta".into(), value: betas });
    }
    headers
}

/// Fields of Anthropic's own that mean nothing to OpenAI: who sends them wants them sent.
const NATIVE: [&str; 6] = ["cache_control", "container", "context_management", "inference_geo", "mcp_servers", "speed"];

/// What the rewritten request has more than the client's: keys and defaults, not counting its messages.
const BODY_BYTES_EXTRA: usize = 1024;

fn body<'a>(
    context: &'a Context,
    asked: &'a Value<'a>,
    settings: &Settings<'_>,
    bytes: usize,
) -> Result<(String, State), Failure> {
    fields::check(asked)?;
    refuse_what_cannot_be(asked)?;
    let model = Model::of(&context.model, settings.models());
    let Conversation { mut system, turns, tool_names, loop_without_thinking } = messages::conversation(asked)?;
    let mut told = Told::default();
    let mut tools = Tools::of(asked, &model, &tool_names, &mut told)?;
    let format = Format::of(asked, &model, tools.list.is_empty(), &mut told)?;
    let shape = match format {
        Format::Tool(_) => Shape::JsonTool,
        _ if tools.legacy => Shape::Functions,
        _ => Shape::Plain,
    };
    let state = State::new(shape, tools.list.iter().filter_map(|tool| tool.function_name()).chain(tool_names))?;
    system.extend(format.instruction().map(Block::text));
    tools.add(format.tool());
    let bounds = options::thinking(asked, &model, settings.max_tokens_default(), loop_without_thinking)?;
    if bounds.forbids_forced_tools() || !model.forced_tools {
        tools.force_nothing();
    }
    let body = Body {
        model: &context.model,
        max_tokens: bounds.max_tokens,
        stream: context.streaming,
        system,
        turns,
        tool_choice: tools.choice,
        tools: tools.list,
        stop_sequences: options::stop_sequences(asked),
        sampling: options::sampling(asked, &model, bounds.thinks()),
        user_id: options::user_id(asked),
        service_tier: asked.text("service_tier").filter(|tier| matches!(*tier, "auto" | "standard_only")),
        thinking: bounds.thinking,
        output: format.output(asked, bounds.effort, &mut told)?,
        native: NATIVE.iter().filter_map(|name| Some((*name, asked.get(name)?))).collect(),
    };
    Ok((body.to_json(bytes + BODY_BYTES_EXTRA)?, state))
}

/// What changes the meaning of the answer, and has no counterpart here.
fn refuse_what_cannot_be(asked: &Value<'_>) -> Result<(), Failure> {
    if asked.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1) {
        return Err(Failure::unsupported("n", "The provider gives one choice for each request."));
    }
    if asked.get("logprobs").and_then(Value::as_bool) == Some(true) {
        return Err(Failure::unsupported("logprobs", "The provider gives no log probabilities."));
    }
    let modalities = asked.get("modalities").and_then(Value::as_array).unwrap_or_default();
    if modalities.iter().any(|modality| modality.as_str() == Some("audio")) {
        return Err(Failure::unsupported("modalities", "The provider gives no audio."));
    }
    if asked.get("audio").is_some() {
        return Err(Failure::unsupported("audio", "The provider gives no audio."));
    }
    Ok(())
}
