use super::*;

fn usage(input: u64, output: u64) -> wire::Usage {
    wire::Usage {
        input_tokens: input,
        output_tokens: output,
        cached_tokens: 0,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
    }
}

fn refusal(message: &str) -> wire::Failure {
    wire::Failure {
        kind: wire::FailureKind::RateLimited,
        blame: wire::Blame::Credential,
        retryable: true,
        retry_after_ms: Some(u64::MAX),
        code: Some("c".repeat(1000)),
        param: None,
        message: message.into(),
    }
}

fn tool(index: u32) -> wire::Event {
    wire::Event::Tool(wire::ToolDelta { index, id: None, name: None, arguments: String::new() })
}

#[track_caller]
fn refused(events: Vec<wire::Event>) {
    let refused = EventRules::default().events(events, 2, 8);
    assert!(matches!(refused, Err(ValidateError::Event(_))), "{refused:?}");
}

#[test]
fn an_answer_is_a_json_object_with_sane_counts() {
    let admitted = answer(wire::Answer { body: "{\"id\":1}".into(), usage: Some(usage(3, 4)) }).unwrap();
    assert_eq!(admitted.usage, Some(Tokens { input: 3, output: 4, ..Tokens::default() }));
    assert!(answer(wire::Answer { body: "<html>".into(), usage: None }).is_err());
    let absurd = answer(wire::Answer { body: "{}".into(), usage: Some(usage(u64::MAX, 0)) }).unwrap();
    assert_eq!(absurd.usage, Some(Tokens { input: TOKENS_MAX, ..Tokens::default() }));
}

#[test]
fn a_part_of_the_count_is_never_more_than_the_whole() {
    let counted = tokens(wire::Usage {
        input_tokens: 1,
        output_tokens: 2,
        cached_tokens: 10,
        cache_write_tokens: 5,
        reasoning_tokens: 7,
    });
    let expected = Tokens { input: 15, output: 7, cached: 10, cache_write: 5, reasoning: 7 };
    assert_eq!(counted, expected);
}

#[test]
fn a_failures_texts_are_bounded_and_printable() {
    let admitted = failure(refusal(&format!("\u{1b}[31mred\r\n{}", "x".repeat(5000))));
    assert!(admitted.message.starts_with("\\u{1b}[31mred\\u{d} x"), "{}", admitted.message);
    assert!(admitted.message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
    assert!(admitted.code.unwrap().len() <= CODE_BYTES_MAX + '…'.len_utf8());
    assert_eq!(admitted.retry_after_ms, Some(RETRY_AFTER_MS_MAX));
}

#[test]
fn the_events_of_a_push_are_bounded() {
    refused((0..9).map(|_| wire::Event::Text("a".into())).collect());
}

#[test]
fn only_pushed_frames_are_forwarded() {
    assert!(EventRules::default().events(vec![wire::Event::Forward(1)], 2, 8).is_ok());
    refused(vec![wire::Event::Forward(2)]);
}

#[test]
fn nothing_follows_a_failure() {
    refused(vec![wire::Event::Failed(refusal("no")), wire::Event::Text("a".into())]);
    let mut turn = EventRules::default();
    turn.events(vec![wire::Event::Failed(refusal("no"))], 0, 8).unwrap();
    assert!(turn.events(vec![wire::Event::Text("a".into())], 0, 8).is_err());
}

#[test]
fn tool_calls_are_counted_without_gaps_across_pushes() {
    let mut turn = EventRules::default();
    turn.events(vec![tool(0), tool(0)], 0, 8).unwrap();
    turn.events(vec![tool(1), tool(0)], 0, 8).unwrap();
    assert!(turn.events(vec![tool(3)], 0, 8).is_err());
    refused(vec![tool(1)]);
}

#[test]
fn a_delta_is_a_json_object() {
    refused(vec![wire::Event::Delta("\"text\"".into())]);
    refused(vec![wire::Event::Delta("{\"a\":1,\"a\":2}".into())]);
    assert!(EventRules::default().events(vec![wire::Event::Delta("{\"refusal\":null}".into())], 0, 8).is_ok());
}
