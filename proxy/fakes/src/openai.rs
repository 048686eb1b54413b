//! The fake OpenAI: its paths, its authentication, its errors. Chat and embeddings have rooms of their own below.

mod chat;
mod check;
mod embeddings;

use serde_json::{Value, json};

use crate::{connection::Request, counters::Open, reply::Reply, script::Script};

/// Constant, so that equal questions get equal bytes.
const CREATED_S: u64 = 1_763_600_000;
const MODELS: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small", "text-embedding-3-large"];

/// What is wrong with a request, and with which of its fields.
#[derive(Debug)]
struct Wrong {
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

impl Wrong {
    fn new(param: impl Into<String>, message: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), param: Some(param.into()), code: None }
    }
}

/// Answers one call, and says under which scenario the answer travels.
pub(super) fn answer(request: &Request<'_>, call: &Open) -> (Reply, Script) {
    let (reply, script) = match routed(request, call) {
        Ok(answered) => answered,
        Err(refusal) => (*refusal, Script::default()),
    };
    let reply = reply
        .header("openai-organization", "tollgate-demo")
        .header("openai-processing-ms", "1")
        .header("openai-version", "2020-10-01")
        .header("x-ratelimit-limit-requests", "5000")
        .header("x-ratelimit-remaining-requests", "4999")
        .header("x-request-id", &format!("req_fake{:024}", call.number));
    (reply, script)
}

fn routed(request: &Request<'_>, call: &Open) -> Result<(Reply, Script), Box<Reply>> {
    authenticate(request)?;
    match (request.method, request.path) {
        ("POST", "/v1/chat/completions") => posted(request, call, chat::answer),
        ("POST", "/v1/embeddings") => posted(request, call, embeddings::answer),
        ("GET", "/v1/models") => {
            let models: Vec<Value> = MODELS.into_iter().map(model).collect();
            Ok((whole(&json!({ "object": "list", "data": models })), Script::default()))
        }
        ("GET", path) if path.starts_with("/v1/models/") => {
            let name = &path["/v1/models/".len()..];
            let known = MODELS.into_iter().find(|it| *it == name);
            Ok((whole(&model(known.ok_or_else(|| unknown_model(name))?)), Script::default()))
        }
        (method, path) => {
            let message = format!("Invalid URL ({method} {path})");
            Err(Box::new(error(404, &message, None, None)))
        }
    }
}

type Answering = fn(&Value, &Script, &Open) -> Result<Reply, Wrong>;

fn posted(request: &Request<'_>, call: &Open, answering: Answering) -> Result<(Reply, Script), Box<Reply>> {
    let body: Value = serde_json::from_slice(request.body).map_err(|_| {
        let message = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using \
            your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)";
        error(400, message, None, None)
    })?;
    let Some(model) = body.get("model").and_then(Value::as_str) else {
        return Err(Box::new(error(400, "you must provide a model parameter", None, None)));
    };
    let mut script = Script::parse(model).map_err(|what| error(404, &what, Some("model"), Some("model_not_found")))?;
    if script.missing {
        return Err(unknown_model(model));
    }
    super::tell(&mut script, request, &body);
    if let Some(reply) = super::instead(&mut script, call, |script| {
        let (message, code) = scripted(script.code);
        error(script.code, script.text.as_deref().unwrap_or(message), None, code)
    }) {
        return Ok((reply, script));
    }
    let reply = answering(&body, &script, call)
        .unwrap_or_else(|wrong| error(400, &wrong.message, wrong.param.as_deref(), wrong.code));
    Ok((reply, script))
}

fn authenticate(request: &Request<'_>) -> Result<(), Box<Reply>> {
    let key = request.header("authorization").and_then(|it| it.strip_prefix("Bearer ")).map_or("", str::trim);
    match key {
        "" => {
            let message = "You didn't provide an API key. You need to provide your API key in an Authorization header \
                using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
            Err(Box::new(error(401, message, None, None)))
        }
        "sk-bad-key" => {
            let message = "Incorrect API key provided: sk-bad-key. You can find your API key at \
                https://platform.openai.com/account/api-keys.";
            Err(Box::new(error(401, message, None, Some("invalid_api_key"))))
        }
        _ => Ok(()),
    }
}

/// An error in OpenAI's shape.
pub(super) fn error(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Reply {
    let body = json!({ "error": { "message": message, "type": kind(status), "param": param, "code": code } });
    Reply { status, ..whole(&body) }
}

/// The words and the code that OpenAI has for a status.
fn scripted(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        400 => {
            let message = "This model's maximum context length is 8192 tokens. However, your messages resulted in \
                8300 tokens. Please reduce the length of the messages.";
            (message, Some("context_length_exceeded"))
        }
        401 => ("Incorrect API key provided: sk-demo.", Some("invalid_api_key")),
        403 => ("You are not allowed to sample from this model", None),
        404 => ("The model does not exist or you do not have access to it.", Some("model_not_found")),
        429 => ("Rate limit reached for requests. Please try again in 1s.", Some("rate_limit_exceeded")),
        503 => ("The engine is currently overloaded, please try again later", None),
        _ => ("The server had an error while processing your request. Sorry about that!", None),
    }
}

fn kind(status: u16) -> &'static str {
    match status {
        429 => "requests",
        503 => "overloaded",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn unknown_model(name: &str) -> Box<Reply> {
    let message = format!("The model `{name}` does not exist or you do not have access to it.");
    Box::new(error(404, &message, None, Some("model_not_found")))
}

fn model(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 1_686_935_002, "owned_by": "openai" })
}

fn whole(body: &Value) -> Reply {
    Reply::json(200, body.to_string().into_bytes())
}
