//! Embeddings in the form that the client asked for.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::failure;
use crate::call::{
    Failure,
    json::{DEPTH_MAX, JsonError, Kind, Scanner},
};

/// `body` with every embedding as base64 of little-endian `f32`, or as an array of numbers. One that is in the wanted
/// form already is left as it came, and so is a body in which all are.
pub(super) fn embeddings_as(body: Bytes, base64: bool) -> Result<Bytes, Failure> {
    let fail = || failure::not_an_answer("The provider's embeddings cannot be read.");
    let text = std::str::from_utf8(&body).map_err(|_| fail())?;
    let other = if base64 { Kind::Array } else { Kind::String };
    let spans = embeddings(text, other).map_err(|_| fail())?;
    if spans.is_empty() {
        return Ok(body);
    }
    let mut converted = Vec::with_capacity(text.len());
    let mut copied = 0;
    for span in spans {
        converted.extend_from_slice(&body[copied..span.start]);
        let embedding = &text[span.clone()];
        let done = if base64 { push_base64(embedding, &mut converted) } else { push_floats(embedding, &mut converted) };
        done.ok_or_else(fail)?;
        copied = span.end;
    }
    converted.extend_from_slice(&body[copied..]);
    Ok(Bytes::from(converted))
}

/// Where the embeddings of this kind stand.
fn embeddings(text: &str, wanted: Kind) -> Result<Vec<Range<usize>>, JsonError> {
    let mut spans = Vec::new();
    let mut scanner = Scanner::new(text, DEPTH_MAX);
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        if key.raw != "data" || scanner.kind()? != Kind::Array {
            scanner.value()?;
            continue;
        }
        scanner.enter_array()?;
        while scanner.element()? {
            if scanner.kind()? != Kind::Object {
                scanner.value()?;
                continue;
            }
            scanner.enter_object()?;
            while let Some(key) = scanner.key()? {
                let kind = scanner.kind()?;
                let start = scanner.at();
                scanner.value()?;
                if key.raw == "embedding" && kind == wanted {
                    spans.push(start..scanner.at());
                }
            }
        }
    }
    scanner.end()?;
    Ok(spans)
}

fn push_base64(array: &str, out: &mut Vec<u8>) -> Option<()> {
    let inside = array[1..array.len() - 1].trim_ascii();
    let mut floats = Vec::with_capacity(inside.len() / 2);
    for number in inside.split_terminator(',') {
        let float: f32 = number.trim_ascii().parse().ok()?;
        floats.extend_from_slice(&float.to_le_bytes());
    }
    out.push(b'"');
    let start = out.len();
    out.resize(start + floats.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(&floats, &mut out[start..]).ok()?;
    out.push(b'"');
    Some(())
}

fn push_floats(string: &str, out: &mut Vec<u8>) -> Option<()> {
    let bytes = STANDARD.decode(serde_json::from_str::<std::borrow::Cow<'_, str>>(string).ok()?.as_bytes()).ok()?;
    let (floats, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    out.push(b'[');
    for (index, float) in floats.iter().enumerate() {
        let float = f32::from_le_bytes(*float);
        if !float.is_finite() {
            return None;
        }
        if index > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &float).ok()?;
    }
    out.push(b']');
    Some(())
}
