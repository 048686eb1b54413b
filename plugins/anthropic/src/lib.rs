//! Anthropic's Messages dialect, translated both ways.
//!
//! `encode` turns the canonical request into a Messages request, `decode` and `stream` turn the answer back, `errors`
//! says what a refusal means. `wire` alone spells Anthropic's keys.
//! Invariant: nothing is remembered between calls but the short `state` that `encode` hands to the decoder.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod decode;
mod encode;
mod errors;
mod models;
mod names;
mod settings;
mod state;
mod stream;
mod wire;

use alloc::vec;

use tollgate_plugin::{Adapter, Answer, Context, Description, Failure, Operation, Request, Response, View};

pub use stream::Events;

/// The adapter for Anthropic's Messages API.
pub struct Anthropic;

impl Adapter for Anthropic {
    type Stream = Events;

    fn describe() -> Description {
        Description {
            name: "anthropic".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            operations: vec![Operation::Chat],
            view: View::Whole,
            config_schema: settings::SCHEMA.into(),
        }
    }

    fn encode(context: &Context, request: &str) -> Result<Request, Failure> {
        encode::request(context, request)
    }

    fn decode(context: &Context, response: &Response<'_>) -> Result<Answer, Failure> {
        decode::whole(context, response)
    }

    fn classify(context: &Context, response: &Response<'_>) -> Failure {
        errors::classify(context, response)
    }
}

tollgate_plugin::export_adapter!(Anthropic);
