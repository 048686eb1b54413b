//! The elements of one JSON array, sent one by one.

use bytes::Bytes;

use super::frame::{Frame, FramingError, frame_of, trimmed};

/// Finds the ends of an array's elements, which are objects or arrays. An object in place of the array is taken for
/// its one element: so providers report errors.
#[derive(Debug, Default)]
pub(super) struct Elements {
    place: Place,
    /// Containers open inside the element at hand.
    depth: usize,
    in_string: bool,
    /// The last byte was a backslash in a string.
    escaped: bool,
    /// There is no array around the element.
    bare: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    /// After the opening bracket.
    Opened,
    Element,
    /// After an element.
    Between,
    /// After a comma.
    Comma,
    After,
}

impl Elements {
    /// Where the element at hand ends in `bytes`.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, FramingError> {
        let mut at = 0;
        while at < bytes.len() {
            if self.place == Place::Element {
                match self.element(&bytes[at..]) {
                    Some(len) => return Ok(Some(at + len)),
                    None => return Ok(None),
                }
            }
            self.place = match (self.place, bytes[at]) {
                (place, b' ' | b'\n' | b'\r' | b'\t') => place,
                (Place::Before, b'[') => Place::Opened,
                (Place::Before, b'{') => {
                    self.bare = true;
                    Place::Element
                }
                (Place::Opened | Place::Comma, b'{' | b'[') => Place::Element,
                (Place::Between, b',') => Place::Comma,
                (Place::Opened | Place::Between, b']') => Place::After,
                _ => return Err(FramingError::NotAnArray),
            };
            if self.place != Place::Element {
                at += 1;
            }
        }
        Ok(None)
    }

    /// Follows the element to its end.
    fn element(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if std::mem::take(&mut self.escaped) {
                at += 1;
                continue;
            }
            if self.in_string {
                let offset = memchr::memchr2(b'"', b'\\', &bytes[at..])?;
                at += offset + 1;
                match bytes[at - 1] {
                    b'\\' => self.escaped = true,
                    _ => self.in_string = false,
                }
                continue;
            }
            match bytes[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
            if self.depth == 0 {
                self.place = if self.bare { Place::After } else { Place::Between };
                return Some(at);
            }
        }
        None
    }

    /// The answer has ended, and nothing is left over but `rest`.
    pub(super) fn finish(&self, rest: &[u8]) -> Result<(), FramingError> {
        let nothing = self.place == Place::Before && rest.trim_ascii().is_empty();
        if nothing || self.place == Place::After { Ok(()) } else { Err(FramingError::Truncated) }
    }
}

/// The frame of an element and of the bracket or comma before it.
pub(super) fn frame(part: Bytes) -> Result<Option<Frame>, FramingError> {
    let part = trimmed(part);
    // The first of several brackets is the array's own.
    let separated = part.starts_with(b"[") || part.starts_with(b",");
    frame_of(part.slice(usize::from(separated)..))
}
