//! What a plugin may ask of the host. Each is a capability that the operator grants; one that a plugin never calls is
//! not part of its component.
//!
//! On a native target, that is in tests, the [`testkit`](crate::testkit) answers.

/// Lines for the operator's log.
pub mod log {
    pub use crate::bindings::adapter::tollgate::plugin::log::Level;

    pub fn debug(message: &str) {
        write(Level::Debug, message);
    }

    pub fn info(message: &str) {
        write(Level::Info, message);
    }

    pub fn warn(message: &str) {
        write(Level::Warn, message);
    }

    pub fn error(message: &str) {
        write(Level::Error, message);
    }

    #[cfg(target_family = "wasm")]
    fn write(level: Level, message: &str) {
        crate::bindings::adapter::tollgate::plugin::log::write(level, message);
    }

    #[cfg(not(target_family = "wasm"))]
    fn write(level: Level, message: &str) {
        crate::testkit::host::log(level, message);
    }
}

/// The host's tokenizers.
pub mod tokenize {
    /// Tokens of `text` for `model`; none for a text that is too long to count here.
    pub fn count(model: &str, text: &str) -> Option<u32> {
        #[cfg(target_family = "wasm")]
        return crate::bindings::adapter::tollgate::plugin::tokenize::count(model, text);
        #[cfg(not(target_family = "wasm"))]
        return crate::testkit::host::count(model, text);
    }
}

/// Signatures under the attempt's credential, which the plugin never sees.
pub mod sign {
    use alloc::string::String;
    use alloc::vec::Vec;

    /// HMAC-SHA256 of `data` under the secret in `slot`; the only slot is `key`.
    ///
    /// # Errors
    /// A sentence, where the slot is unknown.
    pub fn hmac_sha256(slot: &str, data: &[u8]) -> Result<Vec<u8>, String> {
        #[cfg(target_family = "wasm")]
        return crate::bindings::adapter::tollgate::plugin::sign::hmac_sha256(slot, data);
        #[cfg(not(target_family = "wasm"))]
        return crate::testkit::host::hmac_sha256(slot, data);
    }
}
