//! Anthropic's stream as canonical events: however its frames come together, each event keeps its promises.

use serde_json::Value;
use tollgate_plugin::{Context, Event, Frame, Stream, testkit};
use tollgate_plugin_anthropic::Events;

use super::{events, outcome};

pub(super) const WORDS: &[&str] = &[
    "event: message_start\n",
    "data: ",
    "\n\n",
    "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1}}}",
    "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}",
    "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"json\",\"input\":{}}}",
    "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}",
    "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}}",
    "{\"type\":\"content_block_stop\",\"index\":0}",
    "{\"type\":\"message_stop\"}",
    "{\"type\":\"ping\"}",
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":2}}",
    "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}",
    "\"stop_reason\":\"end_turn\"",
    "99999999999999999999",
    "-1",
    "null",
    "\"redacted_thinking\",\"data\":\"x\"",
    "\\ud800",
    "{\"a\":{\"a\":{\"a\":",
    "[[[[[[[[",
    "}",
    "\"type\":\"message\",\"content\":[",
    "{\"type\":\"text\",\"text\":\"x\"}",
    "\"citations\":[{}]",
];

/// A context whose answer has the shape that `choice` chooses.
pub(super) fn context(choice: u8) -> Context {
    let states = [
        None,
        Some(r#"{"shape":"functions"}"#),
        Some(r#"{"shape":"json_tool"}"#),
        Some(r#"{"renamed":{"get_weather":"get.weather/now"}}"#),
    ];
    let state = states[usize::from(choice) % states.len()];
    Context { model: "claude-sonnet-4-5".to_owned(), state: state.map(str::to_owned), ..testkit::context() }
}

/// The first byte chooses the shape of the answer; the rest is the provider's stream.
pub fn run(data: &[u8]) -> u64 {
    let [shape, answer @ ..] = data else { return 0 };
    let context = Context { streaming: true, ..context(*shape) };
    let frame = |frame: tollgate::framing::Frame| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("a frame is UTF-8");
        Frame { event: text(&frame.event), data: text(&frame.data) }
    };
    let pushes: Vec<Vec<Frame>> =
        events(answer).into_iter().map(|frames| frames.into_iter().map(frame).collect()).collect();
    let together = heard(&context, &pushes);
    let alone: Vec<Vec<Frame>> = pushes.into_iter().flatten().map(|frame| vec![frame]).collect();
    assert_eq!(
        format!("{together:?}"),
        format!("{:?}", heard(&context, &alone)),
        "frames in one push say something else"
    );
    promises(&together);
    let mut kinds: Vec<String> = together.iter().map(kind).collect();
    kinds.dedup();
    kinds.truncate(8);
    outcome(&(shape % 4, kinds))
}

fn heard(context: &Context, pushes: &[Vec<Frame>]) -> Vec<Event> {
    let mut stream = Events::new(context);
    let mut events = Vec::new();
    for frames in pushes.iter().filter(|frames| !frames.is_empty()) {
        match stream.push(frames) {
            Ok(more) => events.extend(more),
            Err(failure) => {
                events.push(Event::Failed(failure));
                return events;
            }
        }
    }
    match stream.finish() {
        Ok(more) => events.extend(more),
        Err(failure) => events.push(Event::Failed(failure)),
    }
    events
}

fn promises(events: &[Event]) {
    let mut tools = 0;
    let mut ended = false;
    for event in events {
        assert!(!ended, "{event:?} follows the end");
        match event {
            Event::Tool(delta) if delta.id.is_some() => {
                assert_eq!(delta.index, tools, "tool calls are counted from 0");
                tools += 1;
            }
            Event::Tool(delta) => assert!(delta.index < tools, "a piece of a call that never began"),
            Event::Delta(json) => {
                let delta: Value = serde_json::from_str(json).unwrap_or_else(|fault| panic!("{fault}: {json}"));
                assert!(delta.is_object(), "{json}");
            }
            Event::Text(text) | Event::Reasoning(text) => assert!(!text.is_empty(), "a delta of nothing"),
            Event::Finish(_) | Event::Failed(_) => ended = true,
            Event::Usage(_) | Event::Forward(_) => {}
        }
    }
    assert!(ended, "a stream that neither finished nor failed");
}

fn kind(event: &Event) -> String {
    let text = format!("{event:?}");
    text.split(['(', '{']).next().unwrap_or_default().to_owned()
}
