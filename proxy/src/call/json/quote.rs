//! Text into JSON strings and back.

use super::swar::special;

/// Appends `text` as a JSON string, quotes included.
pub fn push_quoted(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut copied = 0;
    loop {
        let at = special(bytes, copied);
        out.extend_from_slice(&bytes[copied..at]);
        let Some(&byte) = bytes.get(at) else { break };
        push_escape(byte, out);
        copied = at + 1;
    }
    out.push(b'"');
}

fn push_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends `number` in decimal.
pub fn push_u64(mut number: u64, out: &mut Vec<u8>) {
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
    out.extend_from_slice(&digits[at..]);
}

/// The text meant by the inside of a JSON string.
///
/// `raw` has been scanned; what is not an escape that the scanner accepts stands for itself.
pub fn unquote(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (meant, len) = escape(&rest[at..]);
        text.push(meant);
        rest = &rest[at + len..];
    }
    text.push_str(rest);
    text
}

/// What an escape at the start of `raw` means, and its length in bytes.
pub(super) fn escape(raw: &str) -> (char, usize) {
    let meant = match raw.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'"') => '"',
        Some(b'/') => '/',
        Some(b'\\') => '\\',
        Some(b'u') => return unicode(raw).unwrap_or(('\\', 1)),
        _ => return ('\\', 1),
    };
    (meant, 2)
}

/// What `\uXXXX`, or two of them that are a surrogate pair, means.
fn unicode(raw: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u32::from_str_radix(raw.get(at..at + 4)?, 16).ok();
    let high = unit(2)?;
    if let Some(meant) = char::from_u32(high) {
        return Some((meant, 6));
    }
    let code = 0x1_0000 + ((high & 0x3ff) << 10 | unit(8)? & 0x3ff);
    Some((char::from_u32(code)?, 12))
}
