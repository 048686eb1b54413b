//! All that the author of a Tollgate plugin imports.
//!
//! A plugin is a pure function of its arguments: implement [`Adapter`] for a provider's dialect or [`Renderer`] for a
//! template language, export it with one line, and build for `wasm32-unknown-unknown`. The same crate is tested
//! natively with [`testkit`]; nothing here needs a wasm target to run.

mod adapter;
pub mod arena;
#[doc(hidden)]
pub mod bindings;
mod renderer;

pub use adapter::{Adapter, Response, Stream};
pub use bindings::adapter::exports::tollgate::plugin::adapter::{Description, View};
pub use bindings::adapter::tollgate::plugin::types::{
    Answer, Auth, AuthScheme, Blame, CallContext as Context, Edit, Event, Failure, FailureKind, FinishReason, Frame,
    Framing, Header, Operation, RequestBody, ToolDelta, UpstreamRequest as Request, Usage,
};
pub use renderer::Renderer;

/// What the export macros expand to; not for authors.
#[doc(hidden)]
pub mod export {
    pub use crate::adapter::Exported as ExportedAdapter;
    pub use crate::renderer::Exported as ExportedRenderer;
}
