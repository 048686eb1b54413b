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
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

pub(super) use answer::answer;
pub use answer::{tells_error, whole};
pub use chunks::EventError;
pub(super) use failure::{error_body, error_event};
pub(super) use header::go_duration;
pub(super) use model::{model_body, models_list};
pub use stream::{ForwardedFrame, StreamEncoder};
pub use text::{answer_text, delta_text, prompt_text, whole_prompt_text};

/// A comment that every SSE reader ignores: it keeps silent connections open.
pub(super) const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";
