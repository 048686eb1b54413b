//! Encoded bodies: which encodings are taken, and how a body is decoded within its bound.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The decoded body is larger than its bound.
    TooLarge,
    /// The bytes are not what `content-encoding` says.
    Invalid,
}

/// The largest window that a zstd body may ask for, as a power of two: 8 MiB, which every decoder is to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

impl Encoding {
    /// The encoding that a header of this value names; none where it is not one of those that are taken.
    pub(super) fn named(value: &[u8]) -> Option<Encoding> {
        let value = value.trim_ascii();
        let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if value.is_empty() || is("identity") => Some(Encoding::Identity),
            () if is("gzip") || is("x-gzip") => Some(Encoding::Gzip),
            () if is("zstd") => Some(Encoding::Zstd),
            () => None,
        }
    }

    /// Decodes a whole body to at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub(super) fn decode(self, body: Bytes, bytes_max: usize) -> Result<Bytes, DecodeError> {
        match self {
            Encoding::Identity => Ok(body),
            Encoding::Gzip => read_all(MultiGzDecoder::new(&body[..]), bytes_max),
            Encoding::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(&body[..]).map_err(|_| DecodeError::Invalid)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| DecodeError::Invalid)?;
                read_all(decoder, bytes_max)
            }
        }
    }
}

fn read_all(decoder: impl Read, bytes_max: usize) -> Result<Bytes, DecodeError> {
    let mut decoded = Vec::new();
    // One byte more than the bound, to see that there is more.
    let read: io::Result<usize> = decoder.take(bytes_max as u64 + 1).read_to_end(&mut decoded);
    match read {
        Err(_) => Err(DecodeError::Invalid),
        Ok(count) if count > bytes_max => Err(DecodeError::TooLarge),
        Ok(_) => Ok(decoded.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(body: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd(body: &[u8]) -> Bytes {
        zstd::encode_all(body, 3).unwrap().into()
    }

    #[test]
    fn a_body_decodes_to_its_bound_and_no_further() {
        let body = vec![b'a'; 100_000];
        for (encoding, encoded) in [(Encoding::Gzip, gzip(&body)), (Encoding::Zstd, zstd(&body))] {
            assert!(encoded.len() < 1000);
            assert_eq!(encoding.decode(encoded.clone(), 100_000).unwrap(), body, "{encoding:?}");
            assert_eq!(encoding.decode(encoded, 99_999), Err(DecodeError::TooLarge), "{encoding:?}");
        }
    }

    #[test]
    fn a_body_that_is_cut_or_is_something_else_is_refused() {
        let body = b"0123456789".repeat(50);
        for (encoding, encoded) in [(Encoding::Gzip, gzip(&body)), (Encoding::Zstd, zstd(&body))] {
            for length in 1..encoded.len() {
                let cut = encoded.slice(..length);
                assert_eq!(encoding.decode(cut, 1000), Err(DecodeError::Invalid), "{encoding:?} at {length}");
            }
            assert_eq!(encoding.decode(Bytes::from_static(b"{}"), 1000), Err(DecodeError::Invalid));
        }
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG_MAX + 1).unwrap();
        encoder.write_all(b"small").unwrap();
        let encoded = encoder.finish().unwrap();
        assert_eq!(Encoding::Zstd.decode(encoded.into(), 1000), Err(DecodeError::Invalid));
    }

    #[test]
    fn encodings_are_known_by_name() {
        for (name, encoding) in [
            ("", Some(Encoding::Identity)),
            ("identity", Some(Encoding::Identity)),
            (" GZip ", Some(Encoding::Gzip)),
            ("x-gzip", Some(Encoding::Gzip)),
            ("zstd", Some(Encoding::Zstd)),
            ("br", None),
            ("deflate", None),
            ("gzip, gzip", None),
        ] {
            assert_eq!(Encoding::named(name.as_bytes()), encoding, "{name}");
        }
    }
}
