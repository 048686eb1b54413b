//! OpenAI's dialect, which is the canonical one: what goes out is the client's request with a few fields edited.
//!
//! Invariant: `encode` sees the head alone. The prompt never enters this component, and an answer is forwarded as it
//! is; `decode` and the stream are for hosts that ask all the same.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod answer;
mod encode;
mod errors;
mod settings;

use alloc::vec;

use tollgate_plugin::{Adapter, Answer, Context, Description, Failure, Operation, Request, Response, View};

pub use answer::Chunks;

/// The adapter for OpenAI, and for every provider that speaks its dialect.
pub struct OpenAi;

impl Adapter for OpenAi {
    type Stream = Chunks;

    fn describe() -> Description {
        Description {
            name: "openai".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            operations: vec![Operation::Chat, Operation::Embeddings],
            view: View::Head,
            config_schema: settings::SCHEMA.into(),
        }
    }

    fn encode(context: &Context, head: &str) -> Result<Request, Failure> {
        encode::request(context, head)
    }

    fn decode(_: &Context, response: &Response<'_>) -> Result<Answer, Failure> {
        answer::whole(response)
    }

    fn classify(context: &Context, response: &Response<'_>) -> Failure {
        errors::classify(context, response)
    }
}

// The head is small and so is the answer; a smaller memory is cleared faster between two calls.
tollgate_plugin::export_adapter!(OpenAi, arena_kib = 48);
