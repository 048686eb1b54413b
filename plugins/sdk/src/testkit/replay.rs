//! A stream, received however the network may cut it.

use super::sse::Splitter;
use crate::{Adapter, Context, Event, Failure, Frame, Stream};

/// What a stream said in the end.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// An event; `forward` names the frame's data, for its index means nothing outside its push.
    Event(Event),
    Forwarded(String),
    /// `push` or `finish` returned this, and nothing was asked afterwards.
    Failed(Failure),
}

/// Replays `bytes`, cut at each of `cuts`, and then the end of the stream.
///
/// # Panics
/// Where the adapter forwards a frame that it was not given.
fn replay<A: Adapter>(context: &Context, bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<Received> {
    let mut received = Vec::new();
    let mut splitter = Splitter::new();
    let mut stream = A::Stream::new(context);
    let mut start = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        let frames = splitter.push(&bytes[start..cut]);
        start = cut;
        if !frames.is_empty() && !note(&mut received, stream.push(&frames), &frames) {
            return received;
        }
    }
    let frames = splitter.finish();
    if !frames.is_empty() && !note(&mut received, stream.push(&frames), &frames) {
        return received;
    }
    note(&mut received, stream.finish(), &[]);
    received
}

/// Replays `text` whole, byte by byte, cut once at every byte, and at random places, each with LF and with CRLF line
/// ends, and returns what it says.
///
/// # Panics
/// Where two of them differ.
pub fn replay_every_way<A: Adapter>(context: &Context, text: &str) -> Vec<Received> {
    let lf = text.replace("\r\n", "\n");
    let crlf = lf.replace('\n', "\r\n");
    let expected = replay::<A>(context, lf.as_bytes(), []);
    for bytes in [lf.as_bytes(), crlf.as_bytes()] {
        assert_eq!(replay::<A>(context, bytes, 1..bytes.len()), expected, "byte by byte");
        for cut in 1..bytes.len() {
            assert_eq!(replay::<A>(context, bytes, [cut]), expected, "cut at byte {cut}");
        }
        for seed in 1..=20 {
            let cuts = random_cuts(seed, bytes.len());
            assert_eq!(replay::<A>(context, bytes, cuts.iter().copied()), expected, "cut at {cuts:?}");
        }
    }
    expected
}

/// Adds what one call said; false if nothing may follow.
fn note(received: &mut Vec<Received>, said: Result<Vec<Event>, Failure>, frames: &[Frame]) -> bool {
    match said {
        Ok(events) => {
            received.extend(events.into_iter().map(|event| match event {
                Event::Forward(index) => Received::Forwarded(frames[index as usize].data.clone()),
                event => Received::Event(event),
            }));
            true
        }
        Err(failure) => {
            received.push(Received::Failed(failure));
            false
        }
    }
}

/// Ascending places below `len`, the same for the same seed.
fn random_cuts(seed: u64, len: usize) -> Vec<usize> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut cuts: Vec<usize> = (0..8)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % len.max(1) as u64) as usize
        })
        .collect();
    cuts.sort_unstable();
    cuts
}
