//! All that the author of a Tollgate plugin imports.
//!
//! A plugin is a pure function of its arguments: implement [`Adapter`] for a provider's dialect or [`Renderer`] for a
//! template language, export it with one line, and build for `wasm32-unknown-unknown`. The same crate is tested
//! natively with [`testkit`]; nothing here needs a wasm target to run.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod adapter;
pub mod arena;
#[doc(hidden)]
pub mod bindings;
mod failure;
pub mod host;
pub mod json;
mod panic;
mod renderer;
mod response;
#[cfg(not(target_family = "wasm"))]
pub mod testkit;

pub use adapter::{Adapter, Description, Stream, View};
pub use bindings::adapter::tollgate::plugin::types::{
    Answer, Auth, AuthScheme, Blame, CallContext as Context, Edit, Event, Failure, FailureKind, FinishReason, Frame,
    Framing, Header, Operation, RequestBody, ToolDelta, UpstreamRequest as Request, Usage,
};
pub use renderer::{Fault, RenderError, Renderer, RendererDescription};
pub use response::{ErrorBody, Response};

/// What the export macros expand to; not for authors.
#[doc(hidden)]
pub mod export {
    pub use crate::adapter::Exported as ExportedAdapter;
    pub use crate::renderer::Exported as ExportedRenderer;
}
