//! A template, taken apart.

use alloc::vec::Vec;

use tollgate_plugin::Fault;

use crate::fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// The pieces of `source`, in order; nothing follows a fault.
pub(crate) fn pieces(source: &str) -> Pieces<'_> {
    Pieces { source, at: 0, open: Vec::new() }
}

pub(crate) struct Pieces<'a> {
    source: &'a str,
    at: usize,
    /// The literal braces that are open here, which say how a `}}` is meant.
    open: Vec<Brace>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brace {
    /// Written `{`.
    Single,
    /// Written `{{`.
    Double,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.source[self.at..];
        match rest.as_bytes().first()? {
            b'{' => Some(self.opening(rest)),
            b'}' => Some(Ok(self.closing(rest))),
            _ => {
                let len = rest.find(['{', '}']).unwrap_or(rest.len());
                Some(Ok(self.text(rest, len, len)))
            }
        }
    }
}

impl<'a> Pieces<'a> {
    /// The first `shown` bytes as text, and `consumed` bytes passed.
    fn text(&mut self, rest: &'a str, shown: usize, consumed: usize) -> Piece<'a> {
        self.at += consumed;
        Piece::Text(&rest[..shown])
    }

    fn opening(&mut self, rest: &'a str) -> Result<Piece<'a>, Fault> {
        if rest.starts_with("{{") {
            self.open.push(Brace::Double);
            return Ok(self.text(rest, 1, 2));
        }
        let inner = &rest[1..];
        let len = inner.find(|next: char| next != '_' && !next.is_alphanumeric()).unwrap_or(inner.len());
        let (word, after) = inner.split_at(len);
        let named = !word.is_empty() && !word.starts_with(|first: char| first.is_ascii_digit());
        if named && after.starts_with('}') {
            if !word.is_ascii() {
                let message = "a variable's name is ASCII letters, digits and `_`; write `{{` for a brace";
                return self.fail(message);
            }
            self.at += len + 2;
            return Ok(Piece::Variable(word));
        }
        if named && after.is_empty() {
            return self.fail("the variable is not closed; write `{{` for a brace");
        }
        self.open.push(Brace::Single);
        Ok(self.text(rest, 1, 1))
    }

    fn closing(&mut self, rest: &'a str) -> Piece<'a> {
        let opened = self.open.pop();
        let doubled = rest.starts_with("}}") && opened != Some(Brace::Single);
        self.text(rest, 1, if doubled { 2 } else { 1 })
    }

    fn fail(&mut self, message: &str) -> Result<Piece<'a>, Fault> {
        let at = core::mem::replace(&mut self.at, self.source.len());
        Err(fault(self.source, at, message))
    }
}
