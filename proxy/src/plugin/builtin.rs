//! The plugins that come with the gateway, as `plugins/list.rs` names them. Ordinary components, granted no more than
//! any other.

use std::borrow::Cow;

use super::{Capabilities, Kind, Source};

macro_rules! builtins {
    ($($kind:ident $name:literal,)*) => {
        [$(($name, builtins!($kind), prebuilt!($name))),*]
    };
    (adapter) => { Kind::Adapter };
    (renderer) => { Kind::Renderer };
}

macro_rules! prebuilt {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/prebuilt/", $name, ".wasm")).as_slice()
    };
}

/// What every gateway has without being told.
pub fn builtins() -> impl Iterator<Item = Source<'static>> {
    include!("../../../plugins/list.rs").into_iter().map(|(name, kind, wasm)| Source {
        name,
        kind,
        wasm: Cow::Borrowed(wasm),
        granted: Capabilities::default(),
    })
}
