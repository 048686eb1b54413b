//! What the host answers in tests.

use std::cell::RefCell;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::bindings::adapter::tollgate::plugin::log::Level;

/// The secret in the slot `key` while testing.
pub const SECRET: &[u8] = b"test secret";

thread_local! {
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Takes what this thread's plugin calls have logged so far.
pub fn logged() -> Vec<(Level, String)> {
    LOGGED.take()
}

pub(crate) fn log(level: Level, message: &str) {
    LOGGED.with_borrow_mut(|lines| lines.push((level, message.to_owned())));
}

/// One token for four bytes, which is near enough for a test and the same on every machine.
pub(crate) fn count(_model: &str, text: &str) -> Option<u32> {
    u32::try_from(text.len().div_ceil(4)).ok()
}

pub(crate) fn hmac_sha256(slot: &str, data: &[u8]) -> Result<Vec<u8>, String> {
    if slot != "key" {
        return Err(format!("there is no slot `{slot}`"));
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).map_err(|error| error.to_string())?;
    mac.update(data);
    Ok(mac.finalize().into_bytes().to_vec())
}
