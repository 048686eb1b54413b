//! For a plugin's own tests, natively: golden cases, and streams replayed however the network may cut them.
//!
//! A golden case is a folder of inputs and the outputs they are to have:
//!
//! | input | call | output |
//! |---|---|---|
//! | `request.json` | `encode` | `encoded.json` |
//! | `response.json` | `decode` | `answer.json` |
//! | `error.json`: `{"status", "headers", "body"}` | `classify` | `failure.json` |
//! | `stream.sse` | `stream` | `events.json` |
//!
//! A folder holds one input or several, and a `context.json` with whatever of the context is not the default.
//! With `UPDATE_GOLDEN` in the environment the outputs are written instead of compared. [`shared_cases`] are those that
//! every adapter is to pass: one input each, and beside it one output for each adapter.

mod fixture;
mod golden;
pub mod host;
mod replay;
mod show;
mod sse;

#[cfg(test)]
mod tests;

pub use fixture::{context, context_of};
pub use golden::{Case, Input, cases, differences, golden, shared_cases};
pub use replay::{Received, replay_every_way};
pub use show::{show_answer, show_failure, show_received, show_request};
pub use sse::Splitter;
