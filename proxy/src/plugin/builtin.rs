//! The plugins that come with the gateway. Ordinary components, granted no more than any other.

use std::borrow::Cow;

use super::{Capabilities, Kind, Source};

/// What every gateway has without being told.
pub fn builtins() -> impl Iterator<Item = Source<'static>> {
    let embedded: [(&str, Kind, &[u8]); 3] = [
        ("openai", Kind::Adapter, include_bytes!("../../../plugins/prebuilt/openai.wasm")),
        ("anthropic", Kind::Adapter, include_bytes!("../../../plugins/prebuilt/anthropic.wasm")),
        ("braces", Kind::Renderer, include_bytes!("../../../plugins/prebuilt/braces.wasm")),
    ];
    embedded.into_iter().map(|(name, kind, wasm)| Source {
        name,
        kind,
        wasm: Cow::Borrowed(wasm),
        granted: Capabilities::default(),
    })
}
