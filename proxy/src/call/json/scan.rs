//! The scanner: a cursor over JSON text.

use super::{
    fault::{Expected, JsonError},
    swar::special,
    token::{Kind, Token},
};

/// Containers that may be open at once, whatever bound is asked for.
pub const DEPTH_MAX: usize = 128;

/// A cursor over JSON text. Its steps either read what they are named after or say what should have stood there.
///
/// An object is read by `enter_object`, then `key` and one value until `key` gives `None`; an array by `enter_array`,
/// then `element` and one value until `element` gives `false`.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    depth_max: usize,
    values_left: u32,
    values_max: u32,
    fields_max: u32,
    /// Fields of each open object, the outermost first.
    fields: [u32; DEPTH_MAX],
    /// Nothing of the innermost container has been read.
    fresh: bool,
}

impl<'a> Scanner<'a> {
    /// `depth_max` containers may be open at once, and never more than `DEPTH_MAX`.
    pub fn new(text: &'a str, depth_max: usize) -> Scanner<'a> {
        Scanner {
            text,
            at: 0,
            depth: 0,
            depth_max: depth_max.min(DEPTH_MAX),
            values_left: u32::MAX,
            values_max: u32::MAX,
            fields_max: u32::MAX,
            fields: [0; DEPTH_MAX],
            fresh: false,
        }
    }

    /// So many elements of arrays and fields of objects may be read, and so many fields of one object. Without this, any
    /// number.
    pub fn within(self, values_max: usize, fields_max: usize) -> Scanner<'a> {
        let bound = |max: usize| u32::try_from(max).unwrap_or(u32::MAX);
        let (values_max, fields_max) = (bound(values_max), bound(fields_max));
        Scanner { values_left: values_max, values_max, fields_max, ..self }
    }

    /// Offset of the next unread byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What the next value is; reads nothing of it.
    #[inline]
    pub fn kind(&mut self) -> Result<Kind, JsonError> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.fault(Expected::Value)),
        }
    }

    pub fn enter_object(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.enter(),
            _ => Err(self.fault(Expected::Object)),
        }
    }

    pub fn enter_array(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'[') => self.enter(),
            _ => Err(self.fault(Expected::Array)),
        }
    }

    /// The next key of the object entered last, its colon read as well; `None` when the object has ended.
    #[inline]
    pub fn key(&mut self) -> Result<Option<Token<'a>>, JsonError> {
        if !self.member()? {
            return Ok(None);
        }
        let at = self.at;
        let escaped = self.quoted()?;
        let key = Token { raw: self.between(at + 1, self.at - 1), at, escaped };
        self.colon()?;
        Ok(Some(key))
    }

    /// Whether the array entered last has another element, which is next.
    #[inline]
    pub fn element(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b']') => {
                self.leave();
                return Ok(false);
            }
            Some(b',') if !self.fresh => self.at += 1,
            Some(_) if self.fresh => {}
            _ => return Err(self.fault(Expected::CommaOrBracket)),
        }
        self.fresh = false;
        self.count()?;
        Ok(true)
    }

    /// Reads one value of any kind and gives its text.
    pub fn value(&mut self) -> Result<&'a str, JsonError> {
        self.value_noting(|_, _| {})
    }

    /// Reads one value of any kind, showing `note` every string in it with the name read last before it.
    #[inline]
    pub fn value_noting(&mut self, mut note: impl FnMut(Token<'a>, Token<'a>)) -> Result<&'a str, JsonError> {
        self.value_visiting(|name, value| {
            if let Some(value) = value {
                note(name, value);
            }
        })
    }

    /// Reads one value of any kind, showing `visit` every string in it with the name read last before it, and that name
    /// alone where an object opens.
    #[inline]
    pub fn value_visiting(
        &mut self,
        mut visit: impl FnMut(Token<'a>, Option<Token<'a>>),
    ) -> Result<&'a str, JsonError> {
        // One bit for each container opened here, the innermost lowest; set for objects.
        let mut objects: u128 = 0;
        let mut name = Token { raw: "", at: 0, escaped: false };
        let outside = self.depth;
        self.peek();
        let start = self.at;
        'value: loop {
            match self.peek() {
                Some(b'"') => {
                    let at = self.at;
                    let escaped = self.quoted()?;
                    visit(name, Some(Token { raw: self.between(at + 1, self.at - 1), at, escaped }));
                }
                Some(b'{') => {
                    visit(name, None);
                    self.enter()?;
                    objects = objects << 1 | 1;
                }
                Some(b'[') => {
                    self.enter()?;
                    objects <<= 1;
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                _ => return Err(self.fault(Expected::Value)),
            }
            while self.depth > outside {
                if objects & 1 == 1 {
                    if self.member()? {
                        let at = self.at;
                        let escaped = self.quoted()?;
                        name = Token { raw: self.between(at + 1, self.at - 1), at, escaped };
                        self.colon()?;
                        continue 'value;
                    }
                } else if self.element()? {
                    continue 'value;
                }
                objects >>= 1;
            }
            return Ok(self.between(start, self.at));
        }
    }

    /// Reads a string.
    #[inline]
    pub fn string(&mut self) -> Result<Token<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(Expected::String));
        }
        let at = self.at;
        let escaped = self.quoted()?;
        Ok(Token { raw: self.between(at + 1, self.at - 1), at, escaped })
    }

    /// Nothing may follow but whitespace.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault(Expected::End)),
        }
    }

    /// The text from `start` to `end`, which are where ASCII bytes stand.
    #[inline]
    fn between(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Skips whitespace and shows the byte after it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    #[cold]
    fn fault(&self, expected: Expected) -> JsonError {
        JsonError::Syntax { at: u32::try_from(self.at).unwrap_or(u32::MAX), expected }
    }

    /// Reads the opening bracket, which is next.
    #[inline]
    fn enter(&mut self) -> Result<(), JsonError> {
        if self.depth == self.depth_max {
            return Err(JsonError::Deep { depth_max: self.depth_max as u32 });
        }
        self.fields[self.depth] = 0;
        self.at += 1;
        self.depth += 1;
        self.fresh = true;
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.at += 1;
        self.depth -= 1;
        self.fresh = false;
    }

    /// Whether the object entered last has another member, whose key is next.
    #[inline]
    fn member(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b'}') => {
                self.leave();
                return Ok(false);
            }
            Some(b'"') if self.fresh => {}
            Some(b',') if !self.fresh => {
                self.at += 1;
                if self.peek() != Some(b'"') {
                    return Err(self.fault(Expected::Key));
                }
            }
            _ => return Err(self.fault(if self.fresh { Expected::KeyOrEnd } else { Expected::CommaOrBrace })),
        }
        self.fresh = false;
        self.count()?;
        self.field()?;
        Ok(true)
    }

    /// Counts a field of the object entered last.
    #[inline]
    fn field(&mut self) -> Result<(), JsonError> {
        let fields = &mut self.fields[self.depth.saturating_sub(1)];
        *fields += 1;
        if *fields > self.fields_max { Err(JsonError::Wide { fields_max: self.fields_max }) } else { Ok(()) }
    }

    /// Counts an element or a field.
    #[inline]
    fn count(&mut self) -> Result<(), JsonError> {
        self.values_left = self.values_left.checked_sub(1).ok_or(JsonError::Long { values_max: self.values_max })?;
        Ok(())
    }

    #[inline]
    fn colon(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b':') {
            return Err(self.fault(Expected::Colon));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads the string whose opening quote is next, and says whether it has escapes.
    #[inline]
    fn quoted(&mut self) -> Result<bool, JsonError> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let mut escaped = false;
        loop {
            at = special(bytes, at);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    at = match bytes.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at + 2,
                        _ => self.unicode(at)?,
                    };
                }
                byte => {
                    self.at = at;
                    let expected = if byte.is_some() { Expected::NoControlCharacter } else { Expected::ClosingQuote };
                    return Err(self.fault(expected));
                }
            }
        }
    }

    /// Reads the escape at `at`, which is none of the short ones, and with it the second half of a surrogate pair.
    /// Gives where it ends.
    #[cold]
    fn unicode(&mut self, at: usize) -> Result<usize, JsonError> {
        self.at = at;
        if self.text.as_bytes().get(at + 1) != Some(&b'u') {
            return Err(self.fault(Expected::Escape));
        }
        match self.unit(at)? {
            0xd800..0xdc00 => match self.unit(at + 6) {
                Ok(0xdc00..0xe000) => Ok(at + 12),
                _ => Err(self.fault(Expected::SurrogatePair)),
            },
            0xdc00..0xe000 => Err(self.fault(Expected::SurrogatePair)),
            _ => Ok(at + 6),
        }
    }

    /// The code unit that `\uXXXX` at `at` stands for.
    fn unit(&self, at: usize) -> Result<u32, JsonError> {
        let Some([b'\\', b'u', digits @ ..]) = self.text.as_bytes().get(at..at + 6) else {
            return Err(self.fault(Expected::HexDigits));
        };
        let unit = digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + (digit as char).to_digit(16)?));
        unit.ok_or_else(|| self.fault(Expected::HexDigits))
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        let next = |at: usize| bytes.get(at).copied();
        if next(self.at) == Some(b'-') {
            self.at += 1;
        }
        if next(self.at) == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if next(self.at) == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(next(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(next(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Reads one digit or more.
    #[inline]
    fn digits(&mut self) -> Result<(), JsonError> {
        let digits = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.fault(Expected::Digit));
        }
        self.at += digits;
        Ok(())
    }

    #[inline]
    fn literal(&mut self, literal: &'static str) -> Result<(), JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.fault(Expected::Literal));
        }
        self.at += literal.len();
        Ok(())
    }
}
