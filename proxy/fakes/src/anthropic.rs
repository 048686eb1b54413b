//! The fake Anthropic: its paths, its authentication, its errors. Messages have rooms of their own below.

mod check;
mod messages;
mod turns;

use serde_json::{Value, json};

use crate::{connection::Request, counters::Open, reply::Reply, script::Script};

const MODELS: [&str; 3] = ["claude-sonnet-4", "claude-haiku-4-5", "claude-opus-4-1"];

const OLD_VERSION: &str = "2023-06-01";
/// Knows no `temperature`, `top_p` and `top_k`.
const NEW_VERSION: &str = "2026-10-21";

/// Answers one call, and says under which scenario the answer travels.
pub(super) fn answer(request: &Request<'_>, call: &Open) -> (Reply, Script) {
    let (reply, script) = match routed(request, call) {
        Ok(answered) => answered,
        Err(refusal) => (*refusal, Script::default()),
    };
    let reply = reply
        .header("anthropic-organization-id", "tollgate-demo")
        .header("anthropic-ratelimit-requests-limit", "4000")
        .header("anthropic-ratelimit-requests-remaining", "3999")
        .header("anthropic-ratelimit-requests-reset", "2025-11-20T12:00:00Z")
        .header("request-id", &format!("req_fake{:024}", call.number));
    (reply, script)
}

fn routed(request: &Request<'_>, call: &Open) -> Result<(Reply, Script), Box<Reply>> {
    authenticate(request)?;
    match (request.method, request.path) {
        ("POST", "/v1/messages") => posted(request, call, messages::answer),
        ("POST", "/v1/messages/count_tokens") => posted(request, call, messages::count),
        ("GET", "/v1/models") => {
            let models: Vec<Value> = MODELS.into_iter().map(model).collect();
            let (first, last) = (MODELS[0], MODELS[MODELS.len() - 1]);
            let page = json!({ "data": models, "has_more": false, "first_id": first, "last_id": last });
            Ok((whole(&page), Script::default()))
        }
        ("GET", path) if path.starts_with("/v1/models/") => {
            let name = &path["/v1/models/".len()..];
            let known = MODELS.into_iter().find(|it| *it == name);
            Ok((whole(&model(known.ok_or_else(|| unknown_model(name))?)), Script::default()))
        }
        _ => Err(Box::new(error(404, "Not Found"))),
    }
}

/// Answers a checked body, or says in one sentence what is wrong with it.
type Answering = fn(&Asked<'_>, &Script, &Open) -> Result<Reply, String>;

/// A request's body, and whether it came under [`NEW_VERSION`].
struct Asked<'a> {
    body: &'a Value,
    model: &'a str,
    new: bool,
}

fn posted(request: &Request<'_>, call: &Open, answering: Answering) -> Result<(Reply, Script), Box<Reply>> {
    let body: Value = serde_json::from_slice(request.body)
        .map_err(|fault| error(400, &format!("The request body is not valid JSON: {fault}")))?;
    let model = body.get("model").and_then(Value::as_str).ok_or_else(|| error(400, "model: Field required"))?;
    let mut script = Script::parse(model).map_err(|what| error(404, &what))?;
    if script.missing {
        return Err(unknown_model(model));
    }
    super::tell(&mut script, request, &body);
    if let Some(reply) = super::instead(&mut script, call, |script| {
        error(script.code, script.text.as_deref().unwrap_or_else(|| words(script.code)))
    }) {
        return Ok((reply, script));
    }
    let asked = Asked { body: &body, model, new: request.header("anthropic-version") == Some(NEW_VERSION) };
    let reply = answering(&asked, &script, call).unwrap_or_else(|wrong| error(400, &wrong));
    Ok((reply, script))
}

fn authenticate(request: &Request<'_>) -> Result<(), Box<Reply>> {
    let bearer = request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
    match request.header("x-api-key").or(bearer) {
        None | Some("") => return Err(Box::new(error(401, "x-api-key header is required"))),
        Some("sk-bad-key") => return Err(Box::new(error(401, "invalid x-api-key"))),
        Some(_) => {}
    }
    match request.header("anthropic-version") {
        None => Err(Box::new(error(400, "anthropic-version: header is required"))),
        Some(OLD_VERSION | NEW_VERSION) => Ok(()),
        Some(other) => Err(Box::new(error(400, &format!("anthropic-version: \"{other}\" is not a valid version")))),
    }
}

/// An error in Anthropic's shape.
pub(super) fn error(status: u16, message: &str) -> Reply {
    Reply { status, ..Reply::json(200, error_body(status, message)) }
}

fn error_body(status: u16, message: &str) -> Vec<u8> {
    let error = json!({ "type": kind(status), "message": message });
    json!({ "type": "error", "error": error, "request_id": "req_fake" }).to_string().into_bytes()
}

fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// The words that Anthropic has for a status.
fn words(status: u16) -> &'static str {
    match status {
        400 => "prompt is too long: 208310 tokens > 200000 maximum",
        401 => "invalid x-api-key",
        403 => "Your API key does not have permission to use the specified resource.",
        404 => "Not Found",
        429 => "This request would exceed your account's rate limit. Please try again later.",
        529 => "Overloaded",
        _ => "Internal server error",
    }
}

fn unknown_model(name: &str) -> Box<Reply> {
    Box::new(error(404, &format!("model: {name}")))
}

fn model(id: &str) -> Value {
    json!({ "type": "model", "id": id, "display_name": id, "created_at": "2025-05-22T00:00:00Z" })
}

fn whole(body: &Value) -> Reply {
    Reply::json(200, body.to_string().into_bytes())
}
