//! Encoded bodies: which encodings are taken, and how a body is decoded within its bound.

use std::io::{self, Read};

use bytes::{Buf, Bytes, buf::Reader};
use flate2::bufread::MultiGzDecoder;
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};

use super::bodies::Held;
use crate::engine::BodyError;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// What is decoded before other tasks of the worker move on, in bytes: some tenth of a millisecond's work.
const PIECE_BYTES: usize = 64 << 10;
/// A body that decodes to more than this is large, in bytes: so many of those at one time.
const LARGE_BYTES: usize = 256 << 10;
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

    /// Decodes a whole body, which is `held`, to at most `bytes_max` bytes, and holds those in its place. What is decoded
    /// is held from the first byte on, and a large body waits for its turn until `by`.
    ///
    /// # Errors
    /// [`BodyError`] where it becomes too large, is not what it is said to be, or finds no room.
    pub(super) async fn decode(
        self,
        body: Bytes,
        bytes_max: usize,
        by: Instant,
        held: &mut Held,
    ) -> Result<Bytes, BodyError> {
        let sent = held.bytes();
        let mut decoded = Vec::new();
        let mut decoder = match self {
            Encoding::Identity => return Ok(body),
            Encoding::Gzip => Decoder::Gzip(MultiGzDecoder::new(body.reader())),
            Encoding::Zstd => Decoder::Zstd(zstd_decoder(body).map_err(|_| BodyError::InvalidEncoding)?),
        };
        let mut turn = None;
        loop {
            if decoded.len() > LARGE_BYTES && turn.is_none() {
                turn = Some(timeout_at(by, held.turn()).await.map_err(|_| BodyError::NoRoom)?);
            }
            // One byte more than the bound, to see that there is more.
            let wanted = PIECE_BYTES.min(bytes_max - decoded.len() + 1);
            make_room(&mut decoded, wanted, held)?;
            let count = decoder.piece(wanted, &mut decoded).map_err(|_| BodyError::InvalidEncoding)?;
            if decoded.len() > bytes_max {
                return Err(BodyError::TooLarge(bytes_max));
            }
            if !held.add(count) {
                return Err(BodyError::NoRoom);
            }
            if count < wanted {
                break;
            }
            yield_now().await;
        }
        drop(decoder);
        held.give_back(sent);
        decoded.shrink_to_fit();
        Ok(decoded.into())
    }
}

/// A body on its way out of its encoding.
enum Decoder {
    Gzip(MultiGzDecoder<Reader<Bytes>>),
    Zstd(zstd::Decoder<'static, Reader<Bytes>>),
}

impl Decoder {
    /// Decodes at most `wanted` bytes; fewer at the body's end alone.
    fn piece(&mut self, wanted: usize, decoded: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Decoder::Gzip(decoder) => decoder.take(wanted as u64).read_to_end(decoded),
            Decoder::Zstd(decoder) => decoder.take(wanted as u64).read_to_end(decoded),
        }
    }
}

fn zstd_decoder(body: Bytes) -> io::Result<zstd::Decoder<'static, Reader<Bytes>>> {
    let mut decoder = zstd::Decoder::with_buffer(body.reader())?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Has room for so many bytes more. While what is there moves, it is held twice.
fn make_room(decoded: &mut Vec<u8>, wanted: usize, held: &mut Held) -> Result<(), BodyError> {
    if decoded.capacity() - decoded.len() >= wanted {
        return Ok(());
    }
    let moved = decoded.len();
    if !held.add(moved) {
        return Err(BodyError::NoRoom);
    }
    decoded.reserve(wanted);
    held.give_back(moved);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use flate2::{Compression, write::GzEncoder};

    use super::{super::bodies::Bodies, *};

    fn gzip(body: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd(body: &[u8]) -> Bytes {
        zstd::encode_all(body, 3).unwrap().into()
    }

    /// Decodes a body that is held in `bodies`, and says what was held of it in the end.
    async fn decode_in(
        bodies: &Arc<Bodies>,
        encoding: Encoding,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<(Bytes, usize), BodyError> {
        let mut held = bodies.hold();
        assert!(held.add(body.len()));
        let by = Instant::now() + Duration::from_secs(60);
        encoding.decode(body, bytes_max, by, &mut held).await.map(|decoded| (decoded, held.bytes()))
    }

    async fn decode(encoding: Encoding, body: Bytes, bytes_max: usize) -> Result<Bytes, BodyError> {
        decode_in(&Bodies::new(usize::MAX, 1), encoding, body, bytes_max).await.map(|(decoded, _)| decoded)
    }

    #[tokio::test]
    async fn a_body_decodes_to_its_bound_and_no_further() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * LARGE_BYTES] {
            let body = vec![b'a'; length];
            for (encoding, encoded) in [(Encoding::Gzip, gzip(&body)), (Encoding::Zstd, zstd(&body))] {
                assert_eq!(decode(encoding, encoded.clone(), length).await.unwrap(), body, "{encoding:?}");
                if let Some(less) = length.checked_sub(1) {
                    let refused = decode(encoding, encoded, less).await;
                    assert!(matches!(refused, Err(BodyError::TooLarge(max)) if max == less), "{encoding:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_is_cut_or_is_something_else_is_refused() {
        let body = b"0123456789".repeat(50);
        for (encoding, encoded) in [(Encoding::Gzip, gzip(&body)), (Encoding::Zstd, zstd(&body))] {
            let other = Bytes::from_static(b"{}");
            for wrong in (1..encoded.len()).map(|length| encoded.slice(..length)).chain([other]) {
                let refused = decode(encoding, wrong.clone(), 1000).await;
                assert!(matches!(refused, Err(BodyError::InvalidEncoding)), "{encoding:?} {wrong:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_window_beyond_the_bound_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG_MAX + 1).unwrap();
        encoder.write_all(b"small").unwrap();
        let refused = decode(Encoding::Zstd, encoder.finish().unwrap().into(), 1000).await;
        assert!(matches!(refused, Err(BodyError::InvalidEncoding)), "{refused:?}");
    }

    #[tokio::test]
    async fn what_is_decoded_is_held_while_it_grows() {
        let body = vec![b'a'; 8 << 20];
        for (encoding, encoded) in [(Encoding::Gzip, gzip(&body)), (Encoding::Zstd, zstd(&body))] {
            // Were it decoded to its end first, it would be found to be cut.
            let cut = encoded.slice(..encoded.len() - 4);
            let bodies = Bodies::new(1 << 20, 1);
            let refused = decode_in(&bodies, encoding, cut, 16 << 20).await;
            assert!(matches!(refused, Err(BodyError::NoRoom)), "{encoding:?} {refused:?}");
            assert!(bodies.hold().add(1 << 20), "what was refused holds nothing");
            let room = Bodies::new(32 << 20, 1);
            let (decoded, held) = decode_in(&room, encoding, encoded, 16 << 20).await.unwrap();
            assert_eq!((decoded.len(), held), (body.len(), body.len()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_their_turn_and_small_ones_do_not() {
        let bodies = Bodies::new(usize::MAX, 1);
        let (small, large) = (gzip(&vec![b'a'; LARGE_BYTES]), gzip(&vec![b'a'; LARGE_BYTES + PIECE_BYTES + 1]));
        let other = bodies.hold().turn().await;
        decode_in(&bodies, Encoding::Gzip, small, 1 << 20).await.unwrap();
        let refused = decode_in(&bodies, Encoding::Gzip, large.clone(), 1 << 20).await;
        assert!(matches!(refused, Err(BodyError::NoRoom)), "{refused:?}");
        drop(other);
        decode_in(&bodies, Encoding::Gzip, large, 1 << 20).await.unwrap();
    }

    #[tokio::test]
    async fn others_move_on_while_a_body_is_decoded() {
        let pieces = 100;
        let encoded = gzip(&vec![b'a'; pieces * PIECE_BYTES]);
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let neighbour = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        decode(Encoding::Gzip, encoded, pieces * PIECE_BYTES).await.unwrap();
        neighbour.abort();
        assert!(turns.load(Ordering::Relaxed) >= pieces / 2, "{turns:?}");
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
