//! Server-sent events, as providers really send them.

use bytes::Bytes;

use super::frame::{Frame, FramingError, trimmed};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Finds the blank lines between events. Lines end in LF, CRLF or CR, and a cut may fall into a CRLF.
#[derive(Debug, Default)]
pub(super) struct Lines {
    shape: Shape,
    /// How many of the bytes to come have been searched for the shape already, so that none is searched twice.
    searched: usize,
    /// The line at hand has bytes already.
    in_line: bool,
    /// The event at hand has lines already.
    in_event: bool,
    /// The last byte was a CR, whose LF may still come.
    after_cr: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Shape {
    #[default]
    Unknown,
    Events,
    /// The provider sent one document where events were due: an error as a rule.
    Document,
}

impl Lines {
    /// Where the event at hand ends in `bytes`.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.shape == Shape::Unknown {
            self.shape = shape_of(&bytes[self.searched..]);
        }
        if self.shape == Shape::Document {
            return None;
        }
        let end = self.event_end(bytes);
        self.searched = end.map_or(0, |end| bytes.len() - end);
        end
    }

    /// The same of what is no document.
    fn event_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if std::mem::take(&mut self.after_cr) && bytes.first() == Some(&b'\n') {
            if !self.in_event {
                return Some(1);
            }
            at = 1;
        }
        while at < bytes.len() {
            let Some(offset) = memchr::memchr2(b'\n', b'\r', &bytes[at..]) else {
                (self.in_line, self.in_event) = (true, true);
                return None;
            };
            let blank = offset == 0 && !self.in_line;
            at += offset + 1;
            if bytes[at - 1] == b'\r' {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            (self.in_line, self.in_event) = (false, !blank);
            if blank {
                return Some(at);
            }
        }
        None
    }

    /// What stands after the last blank line when the answer ends.
    pub(super) fn last(&mut self, rest: Bytes) -> Result<Option<Frame>, FramingError> {
        if self.shape == Shape::Document {
            return document(rest);
        }
        if trimmed(rest.clone()).is_empty() {
            return Ok(None);
        }
        // A CR at the end becomes one line end together with the LF after it.
        let ending: &[u8] = if self.in_line || rest.ends_with(b"\r") { b"\n\n" } else { b"\n" };
        frame(Bytes::from([&rest, ending].concat()))
    }
}

fn shape_of(bytes: &[u8]) -> Shape {
    // No field of an event begins like a document.
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace() && !BOM.contains(byte)) {
        Some(b'{' | b'[' | b'<') => Shape::Document,
        Some(_) => Shape::Events,
        None => Shape::Unknown,
    }
}

fn document(rest: Bytes) -> Result<Option<Frame>, FramingError> {
    let data = trimmed(without_bom(trimmed(rest)));
    std::str::from_utf8(&data).map_err(|_| FramingError::NotUtf8)?;
    let line: Vec<u8> = data.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect();
    let raw = Bytes::from([b"data: ", line.as_slice(), b"\n\n"].concat());
    Ok(Some(Frame { event: Bytes::new(), data, raw }))
}

/// The frame of one event, blank line included; none if it has no data.
pub(super) fn frame(part: Bytes) -> Result<Option<Frame>, FramingError> {
    let raw = without_bom(part);
    let raw = if memchr::memchr(b'\r', &raw).is_some() { with_lf(&raw) } else { raw };
    std::str::from_utf8(&raw).map_err(|_| FramingError::NotUtf8)?;
    let mut event: &[u8] = b"";
    let mut data: Option<&[u8]> = None;
    // Only an event of several data lines has to be put together.
    let mut joined: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < raw.len() {
        let end = memchr::memchr(b'\n', &raw[at..]).map_or(raw.len(), |offset| at + offset);
        let line = &raw[at..end];
        at = end + 1;
        if let Some(value) = field(line, b"data") {
            match (data, &mut joined) {
                (None, _) => data = Some(value),
                (Some(first), None) => joined = Some([first, b"\n", value].concat()),
                (Some(_), Some(joined)) => {
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                }
            }
        } else if let Some(value) = field(line, b"event") {
            event = value;
        }
    }
    let Some(first) = data else { return Ok(None) };
    let data = joined.map_or_else(|| raw.slice_ref(first), Bytes::from);
    if data.trim_ascii().is_empty() {
        return Ok(None);
    }
    let event = if event.is_empty() { Bytes::new() } else { raw.slice_ref(event) };
    Ok(Some(Frame { event, data, raw }))
}

/// The value of a line if its field is `name`.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => rest.is_empty().then_some(rest),
    }
}

fn without_bom(part: Bytes) -> Bytes {
    if part.starts_with(BOM) { part.slice(BOM.len()..) } else { part }
}

/// `part` with its line ends, CRLF or CR, as LF.
fn with_lf(part: &[u8]) -> Bytes {
    let mut lines = Vec::with_capacity(part.len());
    let mut after_cr = false;
    for &byte in part {
        match byte {
            b'\n' if after_cr => {}
            b'\r' => lines.push(b'\n'),
            _ => lines.push(byte),
        }
        after_cr = byte == b'\r';
    }
    Bytes::from(lines)
}
