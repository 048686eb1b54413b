//! The scanner: a cursor over JSON text.

use super::swar::{Text, special};
use super::{DEPTH_MAX, Fault, Kind, Token};

/// A cursor over JSON text. Its steps either read what they are named after or say what stood there instead.
///
/// An object is read by `enter_object`, then `key` and one value until `key` gives `None`; an array by `enter_array`,
/// then `element` and one value until `element` gives `false`.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    depth_max: usize,
    /// Nothing of the innermost container has been read.
    fresh: bool,
}

impl<'a> Scanner<'a> {
    /// `depth_max` containers may be open at once, and never more than `DEPTH_MAX`.
    pub fn new(text: &'a str, depth_max: usize) -> Scanner<'a> {
        Scanner { text, at: 0, depth: 0, depth_max: depth_max.min(DEPTH_MAX), fresh: false }
    }

    /// Offset of the next unread byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What the next value is; reads nothing of it.
    #[inline]
    pub fn kind(&mut self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.fault("a value")),
        }
    }

    pub fn enter_object(&mut self) -> Result<(), Fault> {
        self.enter(b'{', "`{`")
    }

    pub fn enter_array(&mut self) -> Result<(), Fault> {
        self.enter(b'[', "`[`")
    }

    /// The next key of the object entered last, its colon read as well; `None` when the object has ended.
    #[inline]
    pub fn key(&mut self) -> Result<Option<Token<'a>>, Fault> {
        match self.peek() {
            Some(b'}') => {
                self.leave();
                return Ok(None);
            }
            Some(b'"') if self.fresh => {}
            Some(b',') if !self.fresh => {
                self.at += 1;
                self.peek();
            }
            _ => return Err(self.fault(if self.fresh { "a key or `}`" } else { "`,` or `}`" })),
        }
        self.fresh = false;
        self.member().map(Some)
    }

    /// Whether the array entered last has another element, which is next.
    #[inline]
    pub fn element(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b']') => {
                self.leave();
                return Ok(false);
            }
            Some(b',') if !self.fresh => self.at += 1,
            Some(_) if self.fresh => {}
            _ => return Err(self.fault("`,` or `]`")),
        }
        self.fresh = false;
        Ok(true)
    }

    /// Reads one value of any kind and gives its text.
    #[inline]
    pub fn value(&mut self) -> Result<&'a str, Fault> {
        self.value_noting(|_, _| {})
    }

    /// Reads one value of any kind, showing `note` every string in it with the name read last before it.
    pub fn value_noting(&mut self, mut note: impl FnMut(&'a str, Token<'a>)) -> Result<&'a str, Fault> {
        // One bit for each container opened here, the innermost lowest; set for objects.
        let mut objects: u128 = 0;
        let mut name = "";
        let outside = self.depth;
        self.peek();
        let start = self.at;
        'value: loop {
            match self.peek() {
                Some(b'"') => note(name, self.string()?),
                Some(b'{') => {
                    self.enter_object()?;
                    objects = objects << 1 | 1;
                    if let Some(key) = self.key()? {
                        name = key.raw;
                        continue 'value;
                    }
                    objects >>= 1;
                }
                Some(b'[') => {
                    self.enter_array()?;
                    objects <<= 1;
                    if self.element()? {
                        continue 'value;
                    }
                    objects >>= 1;
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                _ => return Err(self.fault("a value")),
            }
            while self.depth > outside {
                if objects & 1 == 1 {
                    if let Some(key) = self.key()? {
                        name = key.raw;
                        continue 'value;
                    }
                } else if self.element()? {
                    continue 'value;
                }
                objects >>= 1;
            }
            return Ok(&self.text[start..self.at]);
        }
    }

    /// Reads a string.
    #[inline]
    pub fn string(&mut self) -> Result<Token<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("a string"));
        }
        let bytes = self.text.as_bytes();
        let at = self.at;
        let mut text = Text::default();
        let mut escaped = false;
        self.at += 1;
        loop {
            let Some(special) = special(bytes, self.at, &mut text) else {
                self.at = bytes.len();
                return Err(self.fault("`\"`"));
            };
            self.at = special;
            match bytes[special] {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape(&mut text)?;
                }
                _ => return Err(self.fault("no control character")),
            }
        }
        self.at += 1;
        Ok(Token { raw: &self.text[at + 1..self.at - 1], at, escaped, text })
    }

    /// Nothing may follow but whitespace.
    pub fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("the end")),
        }
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

    fn fault(&self, expected: &'static str) -> Fault {
        Fault::Syntax { at: self.at, expected }
    }

    #[inline]
    fn enter(&mut self, bracket: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(bracket) {
            return Err(self.fault(expected));
        }
        if self.depth == self.depth_max {
            return Err(Fault::Deep { depth_max: self.depth_max });
        }
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

    #[inline]
    fn member(&mut self) -> Result<Token<'a>, Fault> {
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.fault("`:`"));
        }
        self.at += 1;
        Ok(key)
    }

    /// Reads one escape, and with it the second half of a surrogate pair.
    #[cold]
    fn escape(&mut self, text: &mut Text) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        let kind = bytes.get(self.at + 1).copied();
        if kind != Some(b'u') {
            if !matches!(kind, Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) {
                return Err(self.fault("an escape sequence"));
            }
            self.at += 2;
            text.ascii += 1;
            return Ok(());
        }
        let unit = self.unit()?;
        match unit {
            0..0x80 => text.ascii += 1,
            0xd800..0xdc00 => {
                if !(0xdc00..0xe000).contains(&self.unit()?) {
                    return Err(self.fault("no lone surrogate before"));
                }
                text.wide += 1;
            }
            0xdc00..0xe000 => return Err(self.fault("no lone surrogate before")),
            _ => {
                text.wide += 1;
                text.cjk += u64::from((0x3000..0xe000).contains(&unit));
            }
        }
        Ok(())
    }

    /// Reads `\uXXXX`.
    fn unit(&mut self) -> Result<u32, Fault> {
        let digits = match self.text.as_bytes().get(self.at..self.at + 6) {
            Some([b'\\', b'u', digits @ ..]) => digits,
            _ => return Err(self.fault("`\\u` and four hexadecimal digits")),
        };
        let mut unit = 0;
        for &digit in digits {
            let Some(value) = (digit as char).to_digit(16) else {
                return Err(self.fault("four hexadecimal digits"));
            };
            unit = unit * 16 + value;
        }
        self.at += 6;
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Fault> {
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
    fn digits(&mut self) -> Result<(), Fault> {
        let digits = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.fault("a digit"));
        }
        self.at += digits;
        Ok(())
    }

    fn literal(&mut self, literal: &'static str) -> Result<(), Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.fault(literal));
        }
        self.at += literal.len();
        Ok(())
    }
}
