//! The host's values as the plugin kit spells them.

use tollgate::{call::Operation, plugin::Context};

/// The kit's context as the host gives it to a component.
pub(crate) fn context(context: &tollgate_plugin::Context) -> Context<'_> {
    Context {
        request_id: &context.request_id,
        caller: 1,
        operation: match context.operation {
            tollgate_plugin::Operation::Chat => Operation::Chat,
            tollgate_plugin::Operation::Embeddings => Operation::Embeddings,
        },
        model: &context.model,
        streaming: context.streaming,
        config: &context.config,
        now_ms: context.now_unix_ms,
        seed: context.seed,
        state: context.state.as_deref(),
    }
}

pub(crate) mod as_native {
    use tollgate::call;
    use tollgate::framing::Framing;
    use tollgate::plugin::{self, Auth, Body};
    use tollgate_plugin as kit;

    pub(crate) fn request(request: plugin::Request) -> kit::Request {
        let header = |(name, value)| kit::Header { name, value };
        kit::Request {
            method: request.method.to_owned(),
            path: request.path,
            headers: request.headers.into_iter().map(header).collect(),
            body: match request.body {
                Body::Whole(text) => kit::RequestBody::Whole(text),
                Body::Edits(edits) => {
                    let edit = |call::Edit { field, value }| kit::Edit { field, value };
                    kit::RequestBody::Edits(edits.into_iter().map(edit).collect())
                }
            },
            auth: match request.auth {
                Auth::None => kit::Auth::None,
                Auth::Bearer => kit::Auth::Bearer,
                Auth::Header(name) => kit::Auth::Header(name),
                Auth::Query(name) => kit::Auth::Query(name),
                Auth::Scheme { name, params } => kit::Auth::Scheme(kit::AuthScheme { name, params }),
            },
            framing: match request.framing {
                Framing::Whole => kit::Framing::Whole,
                Framing::Sse => kit::Framing::Sse,
                Framing::Ndjson => kit::Framing::Ndjson,
                Framing::JsonArray => kit::Framing::JsonArray,
                Framing::AwsEventStream => kit::Framing::AwsEventstream,
            },
            passthrough: request.passthrough,
            state: request.state,
        }
    }

    pub(crate) fn answer(answer: plugin::Answer) -> kit::Answer {
        kit::Answer { body: answer.body, usage: answer.usage.map(usage) }
    }

    fn usage(tokens: call::Tokens) -> kit::Usage {
        kit::Usage {
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cached_tokens: tokens.cached,
            cache_write_tokens: tokens.cache_write,
            reasoning_tokens: tokens.reasoning,
        }
    }

    pub(crate) fn failure(failure: call::Failure) -> kit::Failure {
        use call::FailureKind as Kind;
        kit::Failure {
            kind: match failure.kind {
                Kind::InvalidRequest => kit::FailureKind::InvalidRequest,
                Kind::ContextLength => kit::FailureKind::ContextLength,
                Kind::Authentication => kit::FailureKind::Authentication,
                Kind::Permission => kit::FailureKind::Permission,
                Kind::Quota => kit::FailureKind::Quota,
                Kind::RateLimited => kit::FailureKind::RateLimited,
                Kind::Overloaded => kit::FailureKind::Overloaded,
                Kind::Timeout => kit::FailureKind::Timeout,
                Kind::ContentFilter => kit::FailureKind::ContentFilter,
                Kind::NotFound => kit::FailureKind::NotFound,
                Kind::TooLarge => kit::FailureKind::TooLarge,
                Kind::Unsupported => kit::FailureKind::Unsupported,
                Kind::Upstream => kit::FailureKind::Upstream,
                Kind::Internal => kit::FailureKind::Internal,
            },
            blame: match failure.blame {
                call::Blame::Request => kit::Blame::Request,
                call::Blame::Credential => kit::Blame::Credential,
                call::Blame::Model => kit::Blame::Model,
                call::Blame::Provider => kit::Blame::Provider,
            },
            retryable: failure.retryable,
            retry_after_ms: failure.retry_after_ms,
            code: failure.code,
            param: failure.param,
            message: failure.message,
        }
    }

    /// Any event but a forward, whose index means nothing outside its push.
    pub(crate) fn event(event: call::Event) -> kit::Event {
        use call::Event;
        match event {
            Event::Forward(index) => kit::Event::Forward(index),
            Event::Text(text) => kit::Event::Text(text),
            Event::Reasoning(text) => kit::Event::Reasoning(text),
            Event::Tool(delta) => kit::Event::Tool(kit::ToolDelta {
                index: delta.index,
                id: delta.id,
                name: delta.name,
                arguments: delta.arguments,
            }),
            Event::Delta(text) => kit::Event::Delta(text),
            Event::Usage(tokens) => kit::Event::Usage(usage(tokens)),
            Event::Finish(reason) => kit::Event::Finish(match reason {
                call::FinishReason::Stop => kit::FinishReason::Stop,
                call::FinishReason::Length => kit::FinishReason::Length,
                call::FinishReason::ToolCalls => kit::FinishReason::ToolCalls,
                call::FinishReason::ContentFilter => kit::FinishReason::ContentFilter,
            }),
            Event::Failed(reported) => kit::Event::Failed(failure(reported)),
        }
    }

    pub(crate) fn render_error(error: plugin::RenderError) -> kit::RenderError {
        match error {
            plugin::RenderError::Missing(name) => kit::RenderError::Missing(name),
            plugin::RenderError::Invalid(fault) => {
                kit::RenderError::Invalid(kit::Fault { line: fault.line, column: fault.column, message: fault.message })
            }
        }
    }
}
