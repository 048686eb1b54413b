//! Which models a key may use.

use std::fmt;

/// A model's name, or the beginning of one: `gpt-4o`, `gpt-*`, `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// Whether anything may follow `text`.
    open: bool,
}

/// A pattern that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("is empty")]
    Empty,
    #[error("may have a `*` at its end only")]
    InnerStar,
    #[error("has a control character")]
    Control,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(PatternError::Control);
        }
        let stem = text.strip_suffix('*');
        let fixed = stem.unwrap_or(text);
        if fixed.contains('*') {
            return Err(PatternError::InnerStar);
        }
        Ok(Pattern { text: fixed.to_owned(), open: stem.is_some() })
    }

    pub fn matches(&self, model: &str) -> bool {
        if self.open { model.starts_with(&self.text) } else { model == self.text }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str(if self.open { "*" } else { "" })
    }
}
