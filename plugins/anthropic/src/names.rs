//! Names and ids in the alphabet that the provider takes: letters, digits, `_` and `-`.

use alloc::{borrow::Cow, collections::BTreeMap, string::String};

/// Names, each with a number: what a client sends may name thousands, of which none may cost a look at all others.
pub(crate) type Numbered<'a> = BTreeMap<Cow<'a, str>, usize>;

/// The longest name of a tool that every model takes, in bytes.
const TOOL_BYTES_MAX: usize = 64;

/// The name of a tool as the provider takes it.
pub(crate) fn of_tool(name: &str) -> Cow<'_, str> {
    accepted(name, TOOL_BYTES_MAX)
}

/// The id of a tool call as the provider takes it.
pub(crate) fn of_call(id: &str) -> Cow<'_, str> {
    accepted(id, usize::MAX)
}

/// A user's id as the provider takes it: opaque, and no e-mail address or telephone number.
pub(crate) fn of_user(id: &str) -> Cow<'_, str> {
    const BYTES_MAX: usize = 256;
    let digits = id.bytes().filter(u8::is_ascii_digit).count();
    let telephone = digits >= 7 && id.bytes().all(|byte| byte.is_ascii_digit() || b"+-(). /".contains(&byte));
    if id.len() <= BYTES_MAX && !telephone && !id.contains('@') {
        return Cow::Borrowed(id);
    }
    let mut opaque = String::from("user_");
    push_hash(&mut opaque, id);
    Cow::Owned(opaque)
}

/// `given` itself if it fits; else one that is made of it, the same for the same.
fn accepted(given: &str, bytes_max: usize) -> Cow<'_, str> {
    let fits = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    if given.len() <= bytes_max && given.chars().all(fits) {
        return Cow::Borrowed(given);
    }
    let kept = given.chars().take(bytes_max.saturating_sub(1 + HASH_DIGITS));
    let mut made: String = kept.map(|character| if fits(character) { character } else { '_' }).collect();
    made.push('_');
    // So that two that differ only in what was replaced or cut off stay apart.
    push_hash(&mut made, given);
    Cow::Owned(made)
}

const HASH_DIGITS: usize = 16;

/// FNV-1a, in hexadecimal.
pub(crate) fn push_hash(text: &mut String, of: &str) {
    let hash = of
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let digits = (0..HASH_DIGITS).rev().filter_map(|nibble| char::from_digit((hash >> (nibble * 4) & 15) as u32, 16));
    text.extend(digits);
}
