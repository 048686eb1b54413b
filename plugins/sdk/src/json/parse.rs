//! Text to [`Value`], strictly.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::{Malformed, Object, Value, plain_len};

pub(super) fn document(text: &str, depth_max: usize) -> Result<Value<'_>, Malformed> {
    let mut parser = Parser { text, at: 0, depth_left: depth_max };
    let value = parser.value()?;
    parser.space();
    if parser.at < text.len() { Err(parser.malformed()) } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Containers that may still be opened inside one another.
    depth_left: usize,
}

impl<'a> Parser<'a> {
    fn malformed(&self) -> Malformed {
        Malformed { at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Malformed> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.malformed());
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        self.space();
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<Value<'a>, Malformed>) -> Result<Value<'a>, Malformed> {
        if self.depth_left == 0 {
            return Err(self.malformed());
        }
        self.depth_left -= 1;
        self.at += 1;
        let value = inner(self);
        self.depth_left += 1;
        value
    }

    fn object(&mut self) -> Result<Value<'a>, Malformed> {
        let mut fields = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Object::of(fields)));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.expect(b':')?;
            let value = self.value()?;
            fields.push((name, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => break,
            }
        }
        self.expect(b'}')?;
        Ok(Value::Object(Object::of(fields)))
    }

    fn array(&mut self) -> Result<Value<'a>, Malformed> {
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => break,
            }
        }
        self.expect(b']')?;
        Ok(Value::Array(items))
    }

    fn number(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.malformed()) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_len(&self.text.as_bytes()[start..]);
        match self.peek() {
            Some(b'"') => {
                let text = &self.text[start..self.at];
                self.at += 1;
                Ok(Cow::Borrowed(text))
            }
            Some(b'\\') => self.escaped(start).map(Cow::Owned),
            _ => Err(self.malformed()),
        }
    }

    /// A string with escapes in it, from the first of them on; `start` is its first byte.
    fn escaped(&mut self, start: usize) -> Result<String, Malformed> {
        let mut text = String::with_capacity((self.at - start) * 2 + 16);
        text.push_str(&self.text[start..self.at]);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escape()?;
                    text.push(character);
                }
                _ => return Err(self.malformed()),
            }
            let plain = plain_len(&self.text.as_bytes()[self.at..]);
            text.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let byte = self.peek().ok_or(self.malformed())?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => byte as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(Malformed { at: self.at - 1 }),
        })
    }

    /// What `\uXXXX` means, or two of them that are a surrogate pair. A surrogate without its partner means nothing.
    fn unicode(&mut self) -> Result<char, Malformed> {
        let high = self.hex()?;
        if let Some(character) = char::from_u32(high) {
            return Ok(character);
        }
        if high >= 0xDC00 || !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            return Err(self.malformed());
        }
        self.at += 2;
        let low = self.hex()?;
        let code = (0xDC00..0xE000).contains(&low).then(|| 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
        code.and_then(char::from_u32).ok_or(self.malformed())
    }

    fn hex(&mut self) -> Result<u32, Malformed> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| (byte as char).to_digit(16)).ok_or(self.malformed())?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}
