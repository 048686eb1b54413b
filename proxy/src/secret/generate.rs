//! Keys drawn from randomness that the caller hands in.

use super::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const VIRTUAL_PREFIX: &str = "sk-tg-";
const ADMIN_PREFIX: &str = "tg-admin-";
const ID_PREFIX: &str = "key_";
/// 43 characters of base 62 hold 256 bits.
const DRAWN_CHARS: usize = 43;
const ID_CHARS: usize = 16;

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

/// Whether `text` has the form of a key that [`virtual_key`] draws.
pub fn is_virtual_key(text: &str) -> bool {
    text.strip_prefix(VIRTUAL_PREFIX)
        .is_some_and(|rest| rest.len() == DRAWN_CHARS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
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
