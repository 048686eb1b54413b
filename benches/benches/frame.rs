//! How long one frame of a streamed answer takes from its bytes to an event, through the anthropic adapter: split,
//! pushed into the stream's instance, checked.

mod sandbox;

use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::Criterion;
use sandbox::Sandbox;
use tollgate::{
    framing::{Frame, Framing, Splitter},
    plugin::Stream,
};

/// A stream may only use so much time in all, so it is opened anew, unmeasured, after as many frames.
const FRAMES_PER_STREAM: u64 = 1000;

const START: &[u8] = br#"event: message_start
data: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

"#;
const DELTA: &[u8] = br#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

"#;

fn frame(criterion: &mut Criterion, sandbox: &Sandbox) {
    let adapter = sandbox.adapter("anthropic");
    let context = sandbox::context();
    criterion.bench_function("frame, anthropic, one text delta", |bencher| {
        bencher.iter_custom(|count| {
            let mut taken = Duration::ZERO;
            let mut left = count;
            while left > 0 {
                let frames = left.min(FRAMES_PER_STREAM);
                let mut stream = adapter
                    .stream(adapter.reserve_stream().expect("a place is free"), &context)
                    .expect("the adapter opens a stream");
                let mut splitter = Splitter::new(Framing::Sse, 1 << 20);
                push(&mut splitter, &mut stream, START);
                let begun = Instant::now();
                for _ in 0..frames {
                    push(&mut splitter, &mut stream, DELTA);
                }
                taken += begun.elapsed();
                left -= frames;
            }
            taken
        });
    });
}

fn push(splitter: &mut Splitter, stream: &mut Stream, bytes: &'static [u8]) {
    let mut frames: Vec<Frame> = Vec::new();
    splitter.push(Bytes::from_static(bytes), &mut frames).expect("the frames above are well formed");
    let events = stream.push(&frames).expect("the adapter works").expect("the adapter knows the frames");
    std::hint::black_box(events);
}

fn main() {
    sandbox::run(frame);
}
