//! What is wrong with a configuration, and where.

use std::fmt;

use strsim::osa_distance;

/// One fault: the path of the key, its line, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Such as `models."gpt-4o".targets[0].provider`; empty for a fault of the file's syntax.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    pub message: String,
}

/// Every fault of a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n" };
            write!(f, "{gap}line {}: {fault}", fault.line)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// ` (did you mean …?)` with the nearest of `known`, or nothing if none is near.
pub(super) fn guess<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let near = (written.chars().count() / 3).max(1);
    let nearest = known.into_iter().map(|known| (osa_distance(written, known), known)).min();
    match nearest {
        Some((edits, known)) if edits <= near => format!(" (did you mean `{known}`?)"),
        _ => String::new(),
    }
}
