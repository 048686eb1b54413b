use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::chunks::*;
use crate::{
    call::{Blame, Event, Failure, FailureKind, FinishReason, Tokens, ToolDelta},
    dialect::AnswerName,
};

fn chunks(include_usage: bool) -> Chunks {
    Chunks::new(AnswerName { request_id: "req_9x", created_s: 1_763_600_000, model: "gpt-x" }, include_usage)
}

/// What the events become, up to the end of the stream.
fn stream(include_usage: bool, events: &[Event], usage: Option<Tokens>) -> String {
    let mut chunks = chunks(include_usage);
    let mut out = Vec::new();
    for event in events {
        chunks.event(event, &mut out).unwrap();
    }
    chunks.finish(usage, &mut out);
    String::from_utf8(out).unwrap()
}

/// The payloads of a stream, its end mark taken off.
fn payloads(stream: &str) -> Vec<Value> {
    let stream = stream.strip_suffix("data: [DONE]\n\n").unwrap();
    let events = stream.split_terminator("\n\n");
    events.map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

fn tool(index: u32, head: Option<(&str, &str)>, arguments: &str) -> Event {
    let (id, name) = head.unzip();
    Event::Tool(ToolDelta {
        index,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.to_owned(),
    })
}

const USAGE: Tokens = Tokens { input: 5, output: 2, cached: 3, cache_write: 1, reasoning: 1 };

#[test]
fn a_stream_is_the_bytes_that_openai_would_send() {
    let head = r#"data: {"id":"chatcmpl-9x","object":"chat.completion.chunk","created":1763600000,"model":"gpt-x","choices":["#;
    let choice = |delta: &str, reason: &str| {
        format!(r#"{head}{{"index":0,"delta":{{{delta}}},"logprobs":null,"finish_reason":{reason}}}],"usage":null}}"#)
    };
    let expected = [
        choice(r#""role":"assistant","content":"""#, "null"),
        choice(r#""content":"Hel\"\n中""#, "null"),
        choice("", "\"stop\""),
        format!(
            r#"{head}],"usage":{{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{{"cached_tokens":3,"cache_write_tokens":1}},"completion_tokens_details":{{"reasoning_tokens":1}}}}}}"#
        ),
        "data: [DONE]".to_owned(),
        String::new(),
    ]
    .join("\n\n");
    let events = [text("Hel\"\n中"), Event::Finish(FinishReason::Stop)];
    assert_eq!(stream(true, &events, Some(USAGE)), expected);

    let unasked = stream(false, &events, Some(USAGE));
    assert!(!unasked.contains("usage"), "{unasked}");
    assert_eq!(payloads(&unasked).len(), 3);
}

#[test]
fn usage_that_is_not_known_is_not_made_up() {
    assert_eq!(payloads(&stream(true, &[text("a")], None)).len(), 2);
}

#[test]
fn a_tool_call_is_named_once_and_its_arguments_follow() {
    let events = [
        tool(0, Some(("call_a1", "get_\"weather\"")), ""),
        tool(0, None, "{\"ci"),
        tool(0, None, ""),
        tool(0, None, "ty\":1}"),
        tool(1, Some(("call_a2", "get_time")), "{}"),
        Event::Finish(FinishReason::ToolCalls),
    ];
    let deltas: Vec<Value> =
        payloads(&stream(false, &events, None)).into_iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
    let named = |index: u32, id: &str, name: &str, arguments: &str| {
        json!({"tool_calls": [{"index": index, "id": id, "type": "function",
            "function": {"name": name, "arguments": arguments}}]})
    };
    let more = |arguments: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]});
    let expected = [
        json!({"role": "assistant", "content": ""}),
        named(0, "call_a1", "get_\"weather\"", ""),
        more("{\"ci"),
        more("ty\":1}"),
        named(1, "call_a2", "get_time", "{}"),
        json!({}),
    ];
    assert_eq!(deltas, expected);
}

#[test]
fn a_tool_call_without_arguments_ends_as_an_empty_object() {
    let events = [
        tool(0, Some(("a", "f")), ""),
        tool(1, Some(("b", "g")), "[]"),
        Event::Finish(FinishReason::Stop),
        Event::Finish(FinishReason::Length),
    ];
    let chunks = payloads(&stream(false, &events, None));
    let last = &chunks[chunks.len() - 2..];
    assert_eq!(last[0]["choices"][0]["delta"]["tool_calls"], json!([{"index": 0, "function": {"arguments": "{}"}}]));
    assert_eq!(last[1]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(chunks.len(), 5);
}

#[test]
fn finish_reasons_are_the_ones_that_clients_know() {
    for (reason, with_tools, expected) in [
        (FinishReason::Stop, false, "stop"),
        (FinishReason::Stop, true, "tool_calls"),
        (FinishReason::ToolCalls, true, "tool_calls"),
        (FinishReason::Length, false, "length"),
        (FinishReason::Length, true, "length"),
        (FinishReason::ContentFilter, true, "content_filter"),
    ] {
        let mut events = if with_tools { vec![tool(0, Some(("a", "f")), "{}")] } else { Vec::new() };
        events.push(Event::Finish(reason));
        let last = payloads(&stream(false, &events, None)).pop().unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], expected);
    }
}

#[test]
fn a_delta_of_an_adapters_own_stays_on_one_line() {
    let events = [Event::Delta(" {\n\"annotations\":\r\n[1] }\n".to_owned()), Event::Delta("{}".to_owned())];
    let stream = stream(false, &events, None);
    assert_eq!(stream.matches('\n').count(), 2 * 4);
    assert_eq!(payloads(&stream)[1]["choices"][0]["delta"], json!({"annotations": [1]}));
}

#[test]
fn what_does_not_fit_is_refused() {
    let named = || tool(0, Some(("a", "f")), "");
    let object = |text: &str| Event::Delta(text.to_owned());
    for (before, event, misfit) in [
        (vec![Event::Finish(FinishReason::Stop)], text("a"), EventError::AfterFinish),
        (vec![Event::Finish(FinishReason::Stop)], named(), EventError::AfterFinish),
        (vec![], tool(1, Some(("a", "f")), ""), EventError::ToolGap(1)),
        (vec![], tool(0, None, "{}"), EventError::ToolUnnamed(0)),
        (vec![named()], named(), EventError::ToolRenamed(0)),
        (vec![], object("[]"), EventError::NotAnObject),
        (vec![], object("{} {}"), EventError::NotAnObject),
        (vec![], object("{\"a\":1"), EventError::NotAnObject),
        (vec![], object(""), EventError::NotAnObject),
    ] {
        let mut chunks = chunks(false);
        let mut out = Vec::new();
        before.iter().for_each(|event| chunks.event(event, &mut out).unwrap());
        let len = out.len();
        assert_eq!(chunks.event(&event, &mut out), Err(misfit), "{event:?}");
        assert_eq!(out.len(), len, "nothing of it is written");
    }
}

#[test]
fn tool_calls_are_bounded() {
    let mut chunks = chunks(false);
    let mut out = Vec::new();
    for index in 0..1024 {
        chunks.event(&tool(index, Some(("a", "f")), "{}"), &mut out).unwrap();
    }
    let next = tool(1024, Some(("a", "f")), "{}");
    assert_eq!(chunks.event(&next, &mut out), Err(EventError::TooManyTools(1024)));
}

#[test]
fn events_for_the_caller_write_nothing() {
    let failure = Failure {
        kind: FailureKind::Upstream,
        blame: Blame::Provider,
        retryable: true,
        retry_after_ms: None,
        code: None,
        param: None,
        message: String::new(),
    };
    let mut out = Vec::new();
    for event in
        [Event::Forward(0), Event::Usage(USAGE), Event::Failed(failure), text(""), Event::Reasoning(String::new())]
    {
        chunks(true).event(&event, &mut out).unwrap();
    }
    assert!(out.is_empty());
}

#[test]
fn the_older_dialects_call_ends_as_it_does_in_a_whole_answer() {
    let piece = |json: &str| Event::Delta(json.to_owned());
    let call =
        [piece(r#"{"function_call":{"name":"f","arguments":""}}"#), piece(r#"{"function_call":{"arguments":"{}"}}"#)];
    for reason in [FinishReason::ToolCalls, FinishReason::Stop] {
        let events = [call[0].clone(), call[1].clone(), Event::Finish(reason)];
        let last = payloads(&stream(false, &events, None)).pop().unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "function_call");
    }
    let cut = [call[0].clone(), Event::Finish(FinishReason::Length)];
    assert_eq!(payloads(&stream(false, &cut, None)).pop().unwrap()["choices"][0]["finish_reason"], "length");
    let other = [piece(r#"{"function_call":null,"x":{"function_call":1}}"#), Event::Finish(FinishReason::Stop)];
    assert_eq!(payloads(&stream(false, &other, None)).pop().unwrap()["choices"][0]["finish_reason"], "stop");
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<String>().prop_map(Event::Text),
        any::<String>().prop_map(Event::Reasoning),
        (0u32..3, prop::option::of((any::<String>(), any::<String>())), any::<String>()).prop_map(
            |(index, head, arguments)| {
                let (id, name) = head.unzip();
                Event::Tool(ToolDelta { index, id, name, arguments })
            }
        ),
        Just(Event::Finish(FinishReason::Stop)),
    ]
}

proptest! {
    #[test]
    fn every_stream_is_one_that_parsers_accept(
        id in any::<String>(),
        model in any::<String>(),
        include_usage in any::<bool>(),
        events in prop::collection::vec(any_event(), 0..20),
    ) {
        let mut chunks = Chunks::new(AnswerName { request_id: &id, created_s: 7, model: &model }, include_usage);
        let mut out = Vec::new();
        let mut sent = String::new();
        for event in &events {
            if chunks.event(event, &mut out).is_ok() && let Event::Text(text) = event {
                sent.push_str(text);
            }
        }
        chunks.finish(Some(USAGE), &mut out);

        let mut received = String::new();
        let mut finished = false;
        let mut tools: Vec<String> = Vec::new();
        for (index, chunk) in payloads(std::str::from_utf8(&out).unwrap()).iter().enumerate() {
            prop_assert_eq!((&chunk["id"], &chunk["model"], &chunk["created"]), (&json!(answer_id(&id)), &json!(model), &json!(7)));
            prop_assert_eq!(chunk.get("usage").is_some(), include_usage);
            let Some(choice) = chunk["choices"].get(0) else { continue };
            prop_assert!(!finished, "nothing follows the finish reason");
            prop_assert_eq!(choice["delta"].get("role").is_some(), index == 0);
            received.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            for tool in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let at = tool["index"].as_u64().unwrap() as usize;
                prop_assert_eq!(at == tools.len(), tool.get("id").is_some());
                if at == tools.len() {
                    tools.push(String::new());
                }
                tools[at].push_str(tool["function"]["arguments"].as_str().unwrap());
            }
            finished = !choice["finish_reason"].is_null();
        }
        prop_assert_eq!(finished, chunks.finished());
        prop_assert_eq!(received, sent);
        prop_assert!(!finished || tools.iter().all(|arguments| !arguments.is_empty()));
    }
}
