//! The plugins that come with the gateway. Ordinary components, granted no more than any other.

use std::borrow::Cow;

use super::{Capabilities, Kind, Source};

/// What every gateway has without being told.
pub fn builtins() -> Vec<Source<'static>> {
    Vec::new()
}
