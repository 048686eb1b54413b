//! OpenAI's own dialect, which is the canonical one.

use tollgate_plugin::{
    Adapter, Answer, Auth, Blame, Context, Description, Edit, Event, Failure, FailureKind, Frame, Framing, Operation,
    Request, RequestBody, Response, Stream, View,
};

pub struct OpenAi;

impl Adapter for OpenAi {
    type Stream = Frames;

    fn describe() -> Description {
        Description {
            name: "openai".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            operations: vec![Operation::Chat, Operation::Embeddings],
            view: View::Head,
            config_schema: r#"{"type":"object"}"#.into(),
        }
    }

    fn encode(context: &Context, _request: &str) -> Result<Request, Failure> {
        let mut edits = vec![Edit { field: "model".into(), value: Some(format!("\"{}\"", context.model)) }];
        let path = match context.operation {
            Operation::Chat => "/chat/completions",
            Operation::Embeddings => "/embeddings",
        };
        if context.streaming {
            edits.push(Edit { field: "stream_options".into(), value: Some(r#"{"include_usage":true}"#.into()) });
        }
        Ok(Request {
            method: "POST".into(),
            path: path.into(),
            headers: Vec::new(),
            body: RequestBody::Edits(edits),
            auth: Auth::Bearer,
            framing: if context.streaming { Framing::Sse } else { Framing::Whole },
            passthrough: true,
            state: None,
        })
    }

    fn decode(_context: &Context, response: &Response<'_>) -> Result<Answer, Failure> {
        Ok(Answer { body: response.body.into(), usage: None })
    }

    fn classify(_context: &Context, _response: &Response<'_>) -> Failure {
        Failure {
            kind: FailureKind::Upstream,
            blame: Blame::Provider,
            retryable: true,
            retry_after_ms: None,
            code: None,
            param: None,
            message: "the provider failed".into(),
        }
    }
}

pub struct Frames;

impl Stream for Frames {
    fn new(_context: &Context) -> Self {
        Self
    }

    fn push(&mut self, frames: &[Frame]) -> Result<Vec<Event>, Failure> {
        Ok((0..frames.len()).map(|index| Event::Forward(index as u32)).collect())
    }

    fn finish(&mut self) -> Result<Vec<Event>, Failure> {
        Ok(Vec::new())
    }
}

tollgate_plugin::export_adapter!(OpenAi, arena_kib = 32);
