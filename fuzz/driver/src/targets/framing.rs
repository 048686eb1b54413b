//! Splitting an answer into frames: no cut changes them, and they keep their promises.

use bytes::Bytes;
use tollgate::framing::{Frame, Framing, FramingError, Splitter};

use super::{outcome, pieces};

pub(super) const WORDS: &[&str] = &[
    "data: ",
    "data:",
    "data",
    "event: ",
    "id: 1\n",
    ": comment\n",
    "\n\n",
    "\r\n\r\n",
    "\r",
    "\r\r",
    "\u{feff}",
    "{}",
    "{\"a\":[1,{}]}",
    "[",
    "]",
    ",",
    "\"",
    "\\\"",
    "data: [DONE]\n\n",
    "中",
    "\0\0\0\u{10}",
    "{\"error\":\n{}}",
    " ",
];

const FRAMINGS: [Framing; 5] =
    [Framing::Whole, Framing::Sse, Framing::Ndjson, Framing::JsonArray, Framing::AwsEventStream];
const FRAME_BYTES_MAX: [usize; 4] = [1 << 20, 4096, 200, 16];

/// The first byte chooses the framing, the second the longest frame; the rest is the answer.
pub fn run(data: &[u8]) -> u64 {
    let [framing, longest, answer @ ..] = data else { return 0 };
    let framing = FRAMINGS[usize::from(*framing) % FRAMINGS.len()];
    let frame_bytes_max = FRAME_BYTES_MAX[usize::from(*longest) % FRAME_BYTES_MAX.len()];
    let (frames, ended) = split(framing, &[answer], frame_bytes_max);
    for frame in &frames {
        assert!(!frame.data.is_empty(), "a frame without data");
        assert!(frame.data.len() <= frame_bytes_max, "a frame of {} bytes", frame.data.len());
        for part in [&frame.event, &frame.data, &frame.raw] {
            assert!(std::str::from_utf8(part).is_ok(), "a frame that is not UTF-8");
        }
    }
    let cut = split(framing, &pieces(answer), frame_bytes_max);
    // Blank lines and marks before a document are a part of it only if they come with it.
    if answer.first().is_some_and(u8::is_ascii_graphic) {
        // Where an answer is wrong in two ways, a cut may decide which is seen first.
        assert_eq!((&frames, ended.is_ok()), (&cut.0, cut.1.is_ok()), "a cut changed the frames");
    }
    outcome(&(framing, frames.len().min(4), frames.iter().any(|it| !it.event.is_empty()), ended, answer.is_ascii()))
}

fn split(framing: Framing, pieces: &[&[u8]], frame_bytes_max: usize) -> (Vec<Frame>, Result<(), FramingError>) {
    let mut splitter = Splitter::new(framing, frame_bytes_max);
    let mut frames = Vec::new();
    let pushed = pieces.iter().try_for_each(|piece| splitter.push(Bytes::copy_from_slice(piece), &mut frames));
    let ended = pushed.and_then(|()| splitter.finish(&mut frames));
    (frames, ended)
}
