//! OpenAI's chat completions, embeddings and models, as its SDKs read them.
//!
//! Stream chunks are written by hand: no JSON tree is built between a provider's frame and the client's bytes.

mod answer;
mod chunks;
mod embeddings;
mod failure;
mod header;
mod model;
mod passthrough;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

pub use answer::whole;
pub use chunks::{Chunks, EventError};
pub use embeddings::embeddings_as;
pub use failure::{error_body, error_event};
pub use header::go_duration;
pub use model::{model_body, models_list};
pub use passthrough::{Forward, Passthrough, Seen};
pub use text::{answer_text, prompt_text, text_of};

/// A comment that every SSE reader ignores: it keeps silent connections open.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// What ends a stream that is complete.
pub const DONE: &[u8] = b"data: [DONE]\n\n";
