//! Whether a text is one strict JSON value in which no object names a field twice.
//!
//! A provider that reads the last of two equal fields and a host that reads the first do not see the same request.

use std::{borrow::Cow, collections::HashSet};

use crate::call::json::{JsonError, Kind, Scanner};

/// How deep JSON from a guest may nest.
pub(super) const DEPTH_MAX: usize = 128;
/// Objects with more fields than this are checked for duplicates by hashing, smaller ones by comparing.
const SMALL_OBJECT_FIELDS: usize = 32;

/// Why a text is not JSON that the host takes from a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuestJsonError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("a field is named twice at byte {at}")]
    Twice { at: usize },
    #[error("not a JSON object")]
    NotAnObject,
}

/// Checks that `text` is one JSON value.
pub(super) fn value(text: &str, depth_max: usize) -> Result<Kind, GuestJsonError> {
    let mut walk = Walk { scanner: Scanner::new(text, depth_max), names: Vec::new() };
    let kind = walk.scanner.kind()?;
    walk.value()?;
    walk.scanner.end()?;
    Ok(kind)
}

/// Checks that `text` is one JSON object.
pub(in super::super) fn object(text: &str, depth_max: usize) -> Result<(), GuestJsonError> {
    match value(text, depth_max)? {
        Kind::Object => Ok(()),
        _ => Err(GuestJsonError::NotAnObject),
    }
}

struct Walk<'a> {
    scanner: Scanner<'a>,
    /// Names of the fields read so far of every object that is open, outermost first.
    names: Vec<Cow<'a, str>>,
}

impl Walk<'_> {
    /// Recurses, as deep as the scanner lets containers nest.
    fn value(&mut self) -> Result<(), GuestJsonError> {
        match self.scanner.kind()? {
            Kind::Object => self.object(),
            Kind::Array => {
                self.scanner.enter_array()?;
                while self.scanner.element()? {
                    self.value()?;
                }
                Ok(())
            }
            _ => Ok(self.scanner.value().map(drop)?),
        }
    }

    fn object(&mut self) -> Result<(), GuestJsonError> {
        self.scanner.enter_object()?;
        let first = self.names.len();
        let mut many: Option<HashSet<Cow<'_, str>>> = None;
        while let Some(key) = self.scanner.key()? {
            let name = key.decode();
            let known = match &mut many {
                Some(many) => !many.insert(name),
                None => {
                    let known = self.names[first..].contains(&name);
                    self.names.push(name);
                    if self.names.len() - first > SMALL_OBJECT_FIELDS {
                        many = Some(self.names.drain(first..).collect());
                    }
                    known
                }
            };
            if known {
                return Err(GuestJsonError::Twice { at: key.at });
            }
            self.value()?;
        }
        self.names.truncate(first);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
