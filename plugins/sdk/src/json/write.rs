//! [`Writer`]: a document written from front to back.

use alloc::string::String;

use super::{Value, plain_len};

/// Writes one JSON document without spaces. Commas are its business, and brackets close themselves.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    /// Whether a value stands before the place of writing, so that the next one needs a comma.
    follows: bool,
    open: usize,
    depth: usize,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// With room for `bytes`, so that a document of about the size of another is written without moving.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), ..Self::default() }
    }

    pub fn finish(self) -> String {
        self.out
    }

    /// The most containers that were open at once, not counting those inside [`Writer::raw`] text. The gateway refuses
    /// a document of more than [`DEPTH_MAX`](super::DEPTH_MAX).
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Begins a field: the next value written is its value.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.separate();
        push_quoted(&mut self.out, name);
        self.out.push(':');
        self.follows = false;
        self
    }

    pub fn object(&mut self, body: impl FnOnce(&mut Self)) {
        self.container('{', body, '}');
    }

    pub fn array(&mut self, body: impl FnOnce(&mut Self)) {
        self.container('[', body, ']');
    }

    pub fn string(&mut self, text: &str) {
        self.separate();
        push_quoted(&mut self.out, text);
        self.follows = true;
    }

    pub fn number(&mut self, number: u64) {
        self.separate();
        push_number(&mut self.out, number);
        self.follows = true;
    }

    pub fn bool(&mut self, flag: bool) {
        self.raw(if flag { "true" } else { "false" });
    }

    pub fn null(&mut self) {
        self.raw("null");
    }

    /// Text that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.separate();
        self.out.push_str(json);
        self.follows = true;
    }

    pub fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => self.null(),
            Value::Bool(flag) => self.bool(*flag),
            Value::Number(digits) => self.raw(digits),
            Value::String(text) => self.string(text),
            Value::Array(items) => self.array(|writer| items.iter().for_each(|item| writer.value(item))),
            Value::Object(object) => self.object(|writer| {
                for (name, value) in object.iter() {
                    writer.key(name).value(value);
                }
            }),
        }
    }

    fn separate(&mut self) {
        if self.follows {
            self.out.push(',');
        }
    }

    fn container(&mut self, open: char, body: impl FnOnce(&mut Self), close: char) {
        self.separate();
        self.out.push(open);
        self.follows = false;
        self.open += 1;
        self.depth = self.depth.max(self.open);
        body(self);
        self.open -= 1;
        self.out.push(close);
        self.follows = true;
    }
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        let plain = plain_len(rest.as_bytes());
        out.push_str(&rest[..plain]);
        let Some(&byte) = rest.as_bytes().get(plain) else { break };
        push_escape(out, byte);
        rest = &rest[plain + 1..];
    }
    out.push('"');
}

/// `byte` is a quote, a backslash or a control.
fn push_escape(out: &mut String, byte: u8) {
    out.push('\\');
    match byte {
        b'\n' => out.push('n'),
        b'\r' => out.push('r'),
        b'\t' => out.push('t'),
        b'"' | b'\\' => out.push(byte as char),
        _ => {
            out.push_str("u00");
            for digit in [byte >> 4, byte & 15] {
                out.push((if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }) as char);
            }
        }
    }
}

fn push_number(out: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    for &digit in &digits[at..] {
        out.push(digit as char);
    }
}
