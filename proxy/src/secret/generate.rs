//! Keys drawn from randomness that the caller hands in.

use super::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const VIRTUAL_PREFIX: &str = "sk-tg-";
const ADMIN_PREFIX: &str = "tg-admin-";
const ID_PREFIX: &str = "key_";
/// 43 characters of base 62 hold 256 bits.
const DRAWN_CHARS: usize = 43;
const ID_CHARS: usize = 16;
/// `sk-tg-` and six characters of 43.
const PREFIX_BYTES_MAX: usize = 12;
/// Of a shorter key nothing is shown.
const SHOWN_OF_BYTES_MIN: usize = 32;

/// Fills `buffer` from the operating system. Hand this to whatever here wants randomness.
pub fn fill_from_system(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the kernel serves randomness to every process once it has booted");
}

/// A new client key: `sk-tg-` and 43 characters of base 62.
pub fn virtual_key(fill: &mut dyn FnMut(&mut [u8])) -> Secret {
    Secret::new(generate(VIRTUAL_PREFIX, DRAWN_CHARS, fill))
}

/// A new token for the admin listener: `tg-admin-` and 43 characters of base 62.
pub fn admin_token(fill: &mut dyn FnMut(&mut [u8])) -> Secret {
    Secret::new(generate(ADMIN_PREFIX, DRAWN_CHARS, fill))
}

/// A new id for a client key: `key_` and 16 characters of base 62. No secret.
pub fn key_id(fill: &mut dyn FnMut(&mut [u8])) -> String {
    generate(ID_PREFIX, ID_CHARS, fill)
}

/// How a client's key begins, for people to tell keys apart: at most a quarter of it, and nothing of a short one, which
/// people have chosen and others may guess.
pub fn shown_prefix(key: &Secret) -> &str {
    let text = key.expose();
    let bytes = if text.len() < SHOWN_OF_BYTES_MIN { 0 } else { PREFIX_BYTES_MAX.min(text.len() / 4) };
    &text[..text.floor_char_boundary(bytes)]
}

fn generate(prefix: &str, mut wanted: usize, fill: &mut dyn FnMut(&mut [u8])) -> String {
    // The capacity is exact: a string that grows would leave a copy behind that nobody wipes.
    let mut text = String::with_capacity(prefix.len() + wanted);
    text.push_str(prefix);
    while wanted > 0 {
        let mut bytes = [0; 64];
        fill(&mut bytes);
        // 248 is the largest multiple of 62 in a byte: above it, the first characters would come up more often.
        for byte in bytes.into_iter().filter(|byte| *byte < 248).take(wanted) {
            text.push(char::from(ALPHABET[usize::from(byte % 62)]));
            wanted -= 1;
        }
    }
    text
}
