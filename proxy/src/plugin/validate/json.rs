//! Whether a text is one strict JSON value: bounded in depth, no field named twice.
//!
//! A provider that reads the last of two equal fields and a host that reads the first do not see the same request.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Objects with more fields than this are checked for duplicates through a hash set, smaller ones by comparing.
const SMALL_OBJECT_FIELDS: usize = 32;

/// Why a text is not JSON that the host accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flaw} at byte {at}")]
pub struct Invalid {
    pub flaw: Flaw,
    pub at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("not JSON")]
    Syntax,
    #[error("nested too deep")]
    Depth,
    #[error("a field is named twice")]
    Twice,
    #[error("not a JSON object")]
    NotAnObject,
    #[error("something follows the JSON value")]
    Trailing,
}

/// Checks that `text` is one JSON value.
pub(super) fn value(text: &str, depth_max: usize) -> Result<(), Invalid> {
    let mut scan = Scan { text: text.as_bytes(), at: 0, depth_left: depth_max };
    scan.space();
    scan.value()?;
    scan.space();
    if scan.at < text.len() {
        return Err(scan.flaw(Flaw::Trailing));
    }
    Ok(())
}

/// Checks that `text` is one JSON object.
pub(in super::super) fn object(text: &str, depth_max: usize) -> Result<(), Invalid> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Invalid { flaw: Flaw::NotAnObject, at: 0 });
    }
    value(text, depth_max)
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    /// Bounds the recursion below as well as the text.
    depth_left: usize,
}

impl<'a> Scan<'a> {
    fn flaw(&self, flaw: Flaw) -> Invalid {
        Invalid { flaw, at: self.at }
    }

    fn peek(&self) -> u8 {
        // NUL is in no JSON token, so it can stand for the end.
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn take(&mut self, expected: &[u8]) -> Result<(), Invalid> {
        if !self.text[self.at..].starts_with(expected) {
            return Err(self.flaw(Flaw::Syntax));
        }
        self.at += expected.len();
        Ok(())
    }

    fn value(&mut self) -> Result<(), Invalid> {
        match self.peek() {
            b'{' => self.nested(Self::fields),
            b'[' => self.nested(Self::items),
            b'"' => self.string().map(drop),
            b't' => self.take(b"true"),
            b'f' => self.take(b"false"),
            b'n' => self.take(b"null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.flaw(Flaw::Syntax)),
        }
    }

    fn nested(&mut self, inside: fn(&mut Self) -> Result<(), Invalid>) -> Result<(), Invalid> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or_else(|| self.flaw(Flaw::Depth))?;
        self.at += 1;
        self.space();
        inside(self)?;
        self.depth_left += 1;
        Ok(())
    }

    fn items(&mut self) -> Result<(), Invalid> {
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            if self.ends(b']')? {
                return Ok(());
            }
        }
    }

    fn fields(&mut self) -> Result<(), Invalid> {
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        let mut names = Names::default();
        loop {
            let start = self.at;
            let name = self.string()?;
            if !names.add(name) {
                return Err(Invalid { flaw: Flaw::Twice, at: start });
            }
            self.space();
            self.take(b":")?;
            self.space();
            self.value()?;
            if self.ends(b'}')? {
                return Ok(());
            }
        }
    }

    /// After an element: whether the container ends here; otherwise stands at the next element.
    fn ends(&mut self, end: u8) -> Result<bool, Invalid> {
        self.space();
        if self.peek() == end {
            self.at += 1;
            return Ok(true);
        }
        self.take(b",")?;
        self.space();
        Ok(false)
    }

    /// Passes a string; returns its text between the quotes, escapes as they stand.
    fn string(&mut self) -> Result<&'a [u8], Invalid> {
        self.take(b"\"")?;
        let start = self.at;
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ').unwrap_or(rest.len());
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                b'\\' => self.escape()?,
                _ => return Err(self.flaw(Flaw::Syntax)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Invalid> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                let digits = self.text.get(self.at + 1..self.at + 5).unwrap_or_default();
                if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.flaw(Flaw::Syntax));
                }
                self.at += 5;
            }
            _ => return Err(self.flaw(Flaw::Syntax)),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Invalid> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        if !self.peek().is_ascii_digit() {
            return Err(self.flaw(Flaw::Syntax));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }
}

/// The names of one object's fields, so far.
#[derive(Default)]
struct Names<'a> {
    few: Vec<&'a [u8]>,
    /// Hashes of names, once there are many. Two names that collide are refused as one; with random keys, never.
    many: Option<(RandomState, HashSet<u64>)>,
    /// Names with escapes, as the text they mean: `"\u0061"` names the field `a`.
    unescaped: Vec<Vec<u8>>,
}

impl<'a> Names<'a> {
    /// Adds a name; false if it was there.
    fn add(&mut self, name: &'a [u8]) -> bool {
        if name.contains(&b'\\') {
            return self.add_escaped(name);
        }
        if self.unescaped.iter().any(|other| other == name) {
            return false;
        }
        if let Some((hasher, many)) = &mut self.many {
            return many.insert(hasher.hash_one(name));
        }
        if self.few.contains(&name) {
            return false;
        }
        self.few.push(name);
        if self.few.len() > SMALL_OBJECT_FIELDS {
            let hasher = RandomState::new();
            let many = self.few.drain(..).map(|name| hasher.hash_one(name)).collect();
            self.many = Some((hasher, many));
        }
        true
    }

    fn add_escaped(&mut self, name: &[u8]) -> bool {
        // Comparing is quadratic, so an object may not have many such names; nobody writes even one.
        if self.unescaped.len() >= SMALL_OBJECT_FIELDS {
            return false;
        }
        let mut quoted = Vec::with_capacity(name.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(name);
        quoted.push(b'"');
        // A lone surrogate is no text at all, and is refused with the duplicates.
        let Ok(meant) = serde_json::from_slice::<String>(&quoted).map(String::into_bytes) else {
            return false;
        };
        let plain_twin = match &self.many {
            Some((hasher, many)) => many.contains(&hasher.hash_one(meant.as_slice())),
            None => self.few.contains(&meant.as_slice()),
        };
        if plain_twin || self.unescaped.contains(&meant) {
            return false;
        }
        self.unescaped.push(meant);
        true
    }
}

#[cfg(test)]
mod tests;
