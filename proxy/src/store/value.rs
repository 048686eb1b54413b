//! Values as they lie in the tree: a byte of schema version, then postcard.

use serde::{Serialize, de::DeserializeOwned};

use super::Error;

/// The schema of every table. Raised with the first change to any stored type.
pub(super) const VERSION: u8 = 1;

/// The bytes of a value.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION])
        .expect("growing a vector cannot fail, and no stored type refuses to serialize")
}

/// The value of the bytes. `what` names it in the error.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    Ok(decode_front(what, bytes)?.0)
}

/// The value at the front of the bytes, and the postcard behind it.
pub(super) fn decode_front<'a, T: DeserializeOwned>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(T, &'a [u8]), Error> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::take_from_bytes(rest).map_err(|_| Error::Broken { what }),
        Some((&found, _)) => Err(Error::Schema { what, found, known: VERSION }),
        None => Err(Error::Broken { what }),
    }
}
