//! How long a sound may be, by its first bytes.

use std::borrow::Cow;

use super::json::unquote;

/// MPEG's layer III has no lower rate: 8 kbit a second.
const MP3_BYTES_PER_SECOND_MIN: u64 = 1_000;
/// Of formats that spend next to nothing on silence, such as FLAC and Opus.
const OTHER_BYTES_PER_SECOND_MIN: u64 = 16;
/// How much base64 says what a sound is, with line breaks and escapes.
const CHARS_MAX: usize = 128;
/// The tag that may stand before an MP3's first frame.
const ID3_BYTES: usize = 10;

/// The most seconds that the sound of this base64 lasts.
pub(super) fn seconds_max(base64: &str) -> u64 {
    let bytes = (base64.len() as u64).saturating_mul(3).div_ceil(4);
    bytes / bytes_per_second_min(base64) + 1
}

fn bytes_per_second_min(base64: &str) -> u64 {
    let front = decoded(base64, 0);
    let rate = match front.as_slice() {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', b'f', b'm', b't', b' ', rest @ ..] => wave(rest),
        [b'I', b'D', b'3', _, _, _, sizes @ ..] if sizes.len() >= 4 => {
            let bytes = sizes[..4].iter().fold(0, |sum, size| sum << 7 | usize::from(size & 0x7f));
            mp3(&decoded(base64, ID3_BYTES + bytes))
        }
        front => mp3(front),
    };
    rate.unwrap_or(OTHER_BYTES_PER_SECOND_MIN).max(OTHER_BYTES_PER_SECOND_MIN)
}

/// The least that the format chunk of a WAVE file says, where its samples are not compressed.
fn wave(chunk: &[u8]) -> Option<u64> {
    let short = |at: usize| Some(u64::from(u16::from_le_bytes(*chunk.get(at..)?.first_chunk()?)));
    let long = |at: usize| Some(u64::from(u32::from_le_bytes(*chunk.get(at..)?.first_chunk()?)));
    let format = match short(4)? {
        // The format stands further on.
        0xfffe => short(28)?,
        format => format,
    };
    // Samples as integers, as floats, and the two laws of telephony.
    if !matches!(format, 1 | 3 | 6 | 7) {
        return None;
    }
    let (channels, samples, rate, block, bits) = (short(6)?, long(8)?, long(12)?, short(16)?, short(18)?);
    [rate, samples * block, samples * channels * bits / 8].into_iter().min()
}

/// The least rate of an MP3, if `front` is that of a frame whose rate is one of the table's.
fn mp3(front: &[u8]) -> Option<u64> {
    match front {
        [0xff, head, rate, ..] if head & 0xe6 == 0xe2 && rate >> 4 != 0 => Some(MP3_BYTES_PER_SECOND_MIN),
        _ => None,
    }
}

/// Some bytes of what `base64`, the inside of a JSON string, means, from `offset` on. None where what stands before
/// the offset is not base64 alone.
fn decoded(base64: &str, offset: usize) -> Vec<u8> {
    let (before, chars) = match base64.split_at_checked(offset / 3 * 4) {
        Some((before, chars)) if before.bytes().all(|char| sextet(char).is_some()) => (offset % 3, chars),
        _ => return Vec::new(),
    };
    let chars = &chars[..chars.floor_char_boundary(CHARS_MAX)];
    let chars = if chars.contains('\\') { Cow::Owned(unquote(chars)) } else { Cow::Borrowed(chars) };
    let (mut bytes, mut bits, mut filled) = (Vec::with_capacity(CHARS_MAX), 0_u32, 0);
    for value in chars.bytes().filter_map(sextet) {
        bits = bits << 6 | u32::from(value);
        filled += 6;
        if filled >= 8 {
            filled -= 8;
            bytes.push((bits >> filled) as u8);
        }
    }
    bytes.drain(..before.min(bytes.len()));
    bytes
}

fn sextet(char: u8) -> Option<u8> {
    Some(match char {
        b'A'..=b'Z' => char - b'A',
        b'a'..=b'z' => char - b'a' + 26,
        b'0'..=b'9' => char - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}
