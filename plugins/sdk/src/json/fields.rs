//! The top level of an object, read without building anything.

use super::plain_len;

/// One field as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Between its quotes, escapes not undone.
    pub name: &'a str,
    /// The value's JSON text.
    pub value: &'a str,
}

impl<'a> Field<'a> {
    /// The value if it is a string without escapes.
    pub fn as_str(&self) -> Option<&'a str> {
        let text = self.value.strip_prefix('"')?.strip_suffix('"')?;
        (!text.contains('\\')).then_some(text)
    }

    pub fn is_null(&self) -> bool {
        self.value == "null"
    }
}

/// The fields of the object that `text` is, in order.
///
/// Made for a text that is known to be JSON, such as a request or its head. Of any other it yields some fields or none,
/// and ends.
pub fn fields(text: &str) -> Fields<'_> {
    let trimmed = text.trim_ascii_start();
    Fields { rest: trimmed.strip_prefix('{').unwrap_or("") }
}

/// See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let start = self.rest.trim_ascii_start();
        let start = start.strip_prefix(',').unwrap_or(start).trim_ascii_start();
        let name_end = string_len(start)?;
        let name = &start[1..name_end - 1];
        let value = start[name_end..].trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
        let value_end = value_len(value)?;
        self.rest = &value[value_end..];
        Some(Field { name, value: &value[..value_end] })
    }
}

/// Length of the string literal at the start of `text`, both quotes included.
fn string_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += plain_len(&bytes[at..]);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            // The escaped character is ASCII in JSON, so the next position is one too.
            b'\\' if bytes.get(at + 1)?.is_ascii() => at += 2,
            _ => return None,
        }
    }
}

/// Length of the value at the start of `text`.
fn value_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += string_len(&text[at..])?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return (at > 0).then_some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return (at > 0).then_some(at),
            _ => {}
        }
        at += 1;
    }
}
