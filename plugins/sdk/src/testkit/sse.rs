//! Server-sent events, split as the host splits them: small and slow, for tests alone.

use crate::Frame;

/// Bytes in any pieces to frames.
#[derive(Debug, Default)]
pub struct Splitter {
    line: Vec<u8>,
    /// The last byte ended a line as a CR; an LF right after it belongs to the same line end.
    after_cr: bool,
    event: String,
    data: Vec<String>,
}

impl Splitter {
    pub fn new() -> Self {
        Self::default()
    }

    /// The frames that `bytes` complete.
    ///
    /// # Panics
    /// Where a line is not UTF-8.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    frames.extend(self.line());
                }
                _ => self.line.push(byte),
            }
        }
        frames
    }

    /// The frame that the end of the stream completes.
    pub fn finish(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        if !self.line.is_empty() {
            frames.extend(self.line());
        }
        frames.extend(self.frame());
        frames
    }

    fn line(&mut self) -> Option<Frame> {
        let line = String::from_utf8(std::mem::take(&mut self.line)).expect("a fixture is UTF-8");
        if line.is_empty() {
            return self.frame();
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.event = value.to_owned(),
            "data" => self.data.push(value.to_owned()),
            _ => {}
        }
        None
    }

    fn frame(&mut self) -> Option<Frame> {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        (!data.is_empty()).then(|| Frame { event, data: data.join("\n") })
    }
}
