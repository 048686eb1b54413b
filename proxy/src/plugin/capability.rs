//! What an operator may grant a plugin.

/// The imports that an operator grants a plugin. None, unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub log: bool,
    pub tokenize: bool,
    pub sign: bool,
}

/// The host's tokenizers, for guests that were granted them.
pub trait Tokenize: Send + Sync {
    /// Tokens of `text` for `model`; none if they cannot be counted. `text` has at most 64 KiB.
    fn count(&self, model: &str, text: &str) -> Option<u32>;
}

/// No tokenizer.
impl Tokenize for () {
    fn count(&self, _model: &str, _text: &str) -> Option<u32> {
        None
    }
}
