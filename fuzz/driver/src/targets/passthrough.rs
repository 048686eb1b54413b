//! A stream in the client's dialect, forwarded: what the client gets is whole, ends when it ends, and shows usage only
//! where it was asked for.

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tollgate::{
    call::{Bounds, Call, Operation, Tokens, json},
    dialect::Dialect,
    framing::{Frame, Framing, Splitter},
};

use super::{events, outcome};

pub(super) const WORDS: &[&str] = &[
    "data: ",
    "\n\n",
    "\r\n\r\n",
    "data: [DONE]\n\n",
    "event: error\n",
    "{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[",
    "{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null}",
    "\"finish_reason\":\"stop\"",
    "\"finish_reason\":\"\"",
    ",\"usage\":null}",
    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}",
    "\"choices\":[]",
    "\"error\":{\"message\":\"x\",\"code\":429}",
    "\"error\":null",
    "99999999999999999999",
    "\"usage\"",
    "null",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"\\\"usage\\\"\"",
    "\n",
    ": comment\n\n",
];

/// The first byte says whether the client asked for usage, and whether frames come with their bytes; the rest is the
/// provider's stream.
pub fn run(data: &[u8]) -> u64 {
    let [choice, answer @ ..] = data else { return 0 };
    let (include_usage, with_raw) = (choice % 2 == 1, choice & 2 == 0);
    let mut encoder = Dialect::OpenAi.stream(&call(include_usage), None);
    let (mut out, mut marks, mut is_over, mut has_failed) = (BytesMut::new(), Vec::new(), false, false);
    for frame in events(answer).into_iter().flatten() {
        let begun = out.len();
        let raw = with_raw.then_some(&frame.raw[..]);
        match encoder.frame(&frame.event, &frame.data, raw, &mut out) {
            Ok(seen) => {
                shown(&frame, &out[begun..], include_usage);
                assert!(!is_over || out.len() == begun, "something follows the end");
                is_over |= seen.done;
                marks.push((out.len() > begun, seen.usage.is_some(), seen.done, encoder.is_finished(), None));
            }
            Err(failure) => {
                marks.push((false, false, false, encoder.is_finished(), Some(failure.code)));
                has_failed = true;
                break;
            }
        }
    }
    if !has_failed {
        let begun = out.len();
        encoder.finish(&Tokens::default(), &mut out);
        finished(&out[begun..], include_usage);
    }
    marks.dedup();
    marks.truncate(6);
    outcome(&(choice % 4, marks, out.is_empty()))
}

fn call(include_usage: bool) -> Call {
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"stream":true,"stream_options":{{"include_usage":{include_usage}}}}}"#
    );
    Call::parse(Operation::Chat, Bytes::from(body), &Bounds::default()).expect("the request above is a call")
}

/// What the client is shown of a frame: nothing, or one event that says no less.
fn shown(frame: &Frame, written: &[u8], include_usage: bool) {
    let Some(data) = whole(written).pop() else { return };
    let Ok(chunk) = serde_json::from_slice::<Value>(&data) else {
        let given = serde_json::from_slice::<Value>(&frame.data);
        assert!(given.is_err(), "a frame that was JSON is none any more: {}", String::from_utf8_lossy(&data));
        return;
    };
    // A name with an escape in it is one that no provider writes, and means nothing to the gateway.
    let is_plain = !data.contains(&b'\\');
    let is_silent = chunk.get("usage").is_none_or(Value::is_null);
    assert!(include_usage || !is_plain || is_silent, "usage that nobody asked for: {chunk}");
}

/// What ends a stream: a chunk with usage where it is owed, and the end mark.
fn finished(written: &[u8], include_usage: bool) {
    let mut events = whole(written);
    assert_eq!(events.pop().as_deref(), Some(&b"[DONE]"[..]));
    if let Some(chunk) = events.pop() {
        assert!(include_usage && events.is_empty(), "usage is owed to nobody");
        let chunk = std::str::from_utf8(&chunk).expect("a frame is UTF-8");
        json::check(chunk, json::DEPTH_MAX).unwrap_or_else(|fault| panic!("{fault}: {chunk}"));
        assert!(chunk.contains(r#","choices":[],"usage":{"#), "{chunk}");
    }
}

/// The data of the events in `written`, each of which is complete.
fn whole(written: &[u8]) -> Vec<Bytes> {
    assert!(written.is_empty() || written.ends_with(b"\n\n"), "an event without its end");
    let mut frames = Vec::new();
    let mut splitter = Splitter::new(Framing::Sse, usize::MAX >> 1);
    splitter.push(Bytes::copy_from_slice(written), &mut frames).expect("what is written can be read");
    frames.into_iter().map(|frame| frame.data).collect()
}
