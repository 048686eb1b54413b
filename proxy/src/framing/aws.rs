//! The binary frames of AWS event streams: prelude, headers, payload, each under a checksum.

use bytes::Bytes;

use super::frame::{Frame, FramingError};
use crate::call::json::push_quoted;

/// Total length, length of the headers, CRC-32 of both.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
const HEADERS_BYTES_MAX: usize = 128 * 1024;

/// Where in `rest` the frame ends that began in `pending`.
pub(super) fn end(pending: &[u8], rest: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, FramingError> {
    let mut prelude = [0; PRELUDE_BYTES];
    let mut come = 0;
    for (place, &byte) in prelude.iter_mut().zip(pending.iter().chain(rest)) {
        *place = byte;
        come += 1;
    }
    if come < PRELUDE_BYTES {
        return Ok(None);
    }
    if crc32fast::hash(&prelude[..8]) != u32_at(&prelude, 8) {
        return Err(FramingError::Checksum);
    }
    let total = u32_at(&prelude, 0) as usize;
    let headers = u32_at(&prelude, 4) as usize;
    if total < PRELUDE_BYTES + CHECKSUM_BYTES
        || headers > HEADERS_BYTES_MAX
        || headers > total - PRELUDE_BYTES - CHECKSUM_BYTES
    {
        return Err(FramingError::Malformed);
    }
    if total > frame_bytes_max {
        return Err(FramingError::TooLong { frame_bytes_max });
    }
    // No complete frame is ever pending, so what is missing of it is in `rest` or still to come.
    let missing = total - pending.len().min(total);
    Ok((missing <= rest.len()).then_some(missing))
}

/// The frame in `part`, which `end` has measured; none if it has no payload.
pub(super) fn frame(part: Bytes) -> Result<Option<Frame>, FramingError> {
    let body_end = part.len() - CHECKSUM_BYTES;
    if crc32fast::hash(&part[..body_end]) != u32_at(&part, body_end) {
        return Err(FramingError::Checksum);
    }
    let headers_end = PRELUDE_BYTES + u32_at(&part, 4) as usize;
    let headers = Headers::read(&part[PRELUDE_BYTES..headers_end]).ok_or(FramingError::Malformed)?;
    let bytes_of = |text: &str| part.slice_ref(text.as_bytes());
    if headers.message_type == "error" {
        // An error of the connection has no payload; it is all in the headers.
        let mut data = b"{\"message\":".to_vec();
        push_quoted(headers.error_message, &mut data);
        data.push(b'}');
        let data = Bytes::from(data);
        return Ok(Some(Frame { event: bytes_of(headers.error_code), raw: data.clone(), data }));
    }
    let data = part.slice(headers_end..body_end);
    std::str::from_utf8(&data).map_err(|_| FramingError::NotUtf8)?;
    if data.is_empty() {
        return Ok(None);
    }
    let event = if headers.message_type == "exception" { headers.exception_type } else { headers.event_type };
    Ok(Some(Frame { event: bytes_of(event), raw: data.clone(), data }))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

/// The headers that say what a frame is.
#[derive(Default)]
struct Headers<'a> {
    message_type: &'a str,
    event_type: &'a str,
    exception_type: &'a str,
    error_code: &'a str,
    error_message: &'a str,
}

impl<'a> Headers<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Headers<'a>> {
        let mut headers = Headers::default();
        while !bytes.is_empty() {
            let name_len = take(&mut bytes, 1)?[0];
            let name = take(&mut bytes, usize::from(name_len))?;
            let kind = take(&mut bytes, 1)?[0];
            let value_len = match kind {
                0 | 1 => 0,
                2 => 1,
                3 => 2,
                4 => 4,
                5 | 8 => 8,
                6 | 7 => usize::from(u16::from_be_bytes(*take(&mut bytes, 2)?.first_chunk()?)),
                9 => 16,
                _ => return None,
            };
            let value = take(&mut bytes, value_len)?;
            let text = if kind == 7 { std::str::from_utf8(value).ok()? } else { "" };
            match name {
                b":message-type" => headers.message_type = text,
                b":event-type" => headers.event_type = text,
                b":exception-type" => headers.exception_type = text,
                b":error-code" => headers.error_code = text,
                b":error-message" => headers.error_message = text,
                _ => {}
            }
        }
        Some(headers)
    }
}

/// Takes `len` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}
