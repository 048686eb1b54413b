//! The plugins that come with the gateway. Ordinary components, granted no more than any other.

use std::borrow::Cow;

use super::{Capabilities, Kind, Source};

/// What every gateway has without being told.
pub fn builtins() -> impl Iterator<Item = Source<'static>> {
    let embedded: [(&str, Kind, &'static [u8]); 1] =
        [("openai", Kind::Adapter, include_bytes!("../../../plugins/prebuilt/openai.wasm"))];
    embedded.into_iter().map(|(name, kind, wasm)| Source {
        name,
        kind,
        wasm: Cow::Borrowed(wasm),
        granted: Capabilities::default(),
    })
}
