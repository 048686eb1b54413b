//! What the answers say, and what is refused. The official SDKs check the same in `tests/sdk/test_fakes.py`.

use super::*;
use crate::{
    answer::{Question, Tool},
    instance::instance,
};

fn refused(fake: &Fake, path: &str, body: &Value) -> Value {
    let (head, answer) = answered(fake, path, &body.to_string());
    assert!(head.starts_with("HTTP/1.1 400 "), "{head} {answer}");
    answer["error"].clone()
}

#[test]
fn equal_questions_get_equal_answers() {
    let body = ask("gpt-4o", false);
    assert_eq!(answered(&openai(), CHAT, &body).1, answered(&openai(), CHAT, &body).1);
}

#[test]
fn counts_are_words_unless_the_scenario_says_otherwise() {
    let fake = openai();
    for (model, usage) in [
        ("gpt-4o", json!([2, 4, 6, 0, 0])),
        ("fake:usage?input=10&output=20&cached=5&reasoning=3", json!([10, 20, 30, 5, 3])),
        ("fake:slow?frames=50", json!([2, 50, 52, 0, 0])),
    ] {
        let it = &answered(&fake, CHAT, &ask(model, false)).1["usage"];
        let details =
            (&it["prompt_tokens_details"]["cached_tokens"], &it["completion_tokens_details"]["reasoning_tokens"]);
        let counts = json!([it["prompt_tokens"], it["completion_tokens"], it["total_tokens"], details.0, details.1]);
        assert_eq!(counts, usage, "{model}");
    }
    for (fake, path) in [(fake, CHAT), (anthropic(), MESSAGES)] {
        assert!(answered(&fake, path, &ask("fake:no-usage", false)).1.get("usage").is_none());
        assert!(!streamed(&fake, path, &ask("fake:no-usage", true)).concat().contains(r#""usage""#));
    }
}

#[test]
fn a_stream_of_claude_has_its_events_in_order() {
    let names: Vec<String> = streamed(&anthropic(), MESSAGES, &ask("fake:thinking+slow?frames=1", true))
        .iter()
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    let thinking = names.iter().filter(|it| *it == "content_block_delta").count() - 1;
    let mut expected = vec!["message_start", "content_block_start"];
    expected.extend(std::iter::repeat_n("content_block_delta", thinking));
    expected.extend(["content_block_stop", "content_block_start", "ping", "content_block_delta", "content_block_stop"]);
    expected.extend(["message_delta", "message_stop"]);
    assert_eq!(names, expected);
}

#[test]
fn text_is_cut_before_words_and_loses_nothing() {
    let fake = openai();
    for said in ["a", " a  b ", "", "日本語 テキスト", "\"quotes\" \\ \n tab\t", "  "] {
        let body = json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": said }] });
        let text: String = streamed(&fake, CHAT, &body.to_string())
            .iter()
            .filter_map(|data| serde_json::from_str::<Value>(data).ok())
            .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect();
        assert_eq!(text, format!("You said: {said}"));
    }
}

#[test]
fn a_required_part_that_is_missing_is_refused() {
    let (gpt, claude) = (openai(), anthropic());
    assert_eq!(refused(&gpt, CHAT, &json!({ "model": "m" }))["param"], "messages");
    assert_eq!(refused(&gpt, CHAT, &json!({}))["message"], "you must provide a model parameter");
    assert_eq!(refused(&gpt, "/v1/embeddings", &json!({ "model": "m", "input": "" }))["param"], "input");
    let messages = json!([{ "role": "user", "content": "x" }]);
    let unbounded = json!({ "model": "m", "messages": messages });
    assert_eq!(refused(&claude, MESSAGES, &unbounded)["message"], "max_tokens: Field required");
    assert_eq!(answered(&claude, "/v1/messages/count_tokens", &unbounded.to_string()).1["input_tokens"], 1);
}

#[test]
fn a_request_without_a_key_is_refused() {
    for (fake, path) in [(openai(), CHAT), (anthropic(), MESSAGES)] {
        let mut client = Client::of(&fake);
        for key in
            ["", "authorization: Bearer \r\n", "authorization: Bearer sk-bad-key\r\n", "x-api-key: sk-bad-key\r\n"]
        {
            client.send(&format!("POST {path} HTTP/1.1\r\n{key}content-length: 2\r\n\r\n{{}}"));
            assert!(client.answer().0.starts_with("HTTP/1.1 401 "));
        }
    }
}

#[test]
fn an_unknown_path_or_model_is_not_found() {
    for fake in [openai(), anthropic()] {
        for path in ["/v1/nothing", "/v1/models/nothing", "/__fake/nothing"] {
            let mut client = Client::of(&fake);
            let auth = "authorization: Bearer k\r\nanthropic-version: 2023-06-01\r\n";
            client.send(&format!("GET {path} HTTP/1.1\r\n{auth}\r\n"));
            assert!(client.answer().0.starts_with("HTTP/1.1 404 "), "{path}");
        }
    }
}

#[test]
fn embeddings_take_the_form_the_scenario_forces() {
    let fake = openai();
    for (model, asked, floats) in
        [("m", "float", true), ("m", "base64", false), ("fake:floats", "base64", true), ("fake:base64", "float", false)]
    {
        let body = json!({ "model": model, "input": ["a", "b c"], "encoding_format": asked, "dimensions": 4 });
        let (_, answer) = answered(&fake, "/v1/embeddings", &body.to_string());
        assert_eq!(answer["data"][1]["embedding"].is_array(), floats, "{model} {asked}");
        assert_eq!(answer["usage"]["prompt_tokens"], 3);
    }
}

#[test]
fn a_schema_gets_its_smallest_instance() {
    for (schema, expected) in [
        (json!({ "type": "string", "minLength": 8 }), json!("valuexxx")),
        (json!({ "type": "string", "maxLength": 2 }), json!("va")),
        (json!({ "enum": ["b", "a"] }), json!("b")),
        (json!({ "type": ["integer", "null"], "minimum": 2.5 }), json!(3)),
        (json!({ "type": "array", "items": { "type": "boolean" }, "minItems": 2 }), json!([true, true])),
        (json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }), json!(null)),
        (json!({ "$ref": "#/$defs/a", "$defs": { "a": { "const": 7 } } }), json!(7)),
        (json!({ "type": "object" }), json!({})),
        (json!({ "properties": { "city": { "type": "string" } } }), json!({ "city": "city" })),
    ] {
        assert_eq!(instance(&schema), expected, "{schema}");
    }
}

#[test]
fn a_schema_that_contains_itself_ends() {
    let schema = json!({ "properties": { "next": { "$ref": "#" } } });
    assert!(instance(&schema).to_string().len() < 1000);
}

#[test]
fn fragments_of_arguments_join_to_the_whole() {
    let schema = json!({ "properties": { "città": { "const": "Forlì, 東京, \"x\"" } } });
    let tool = Tool { name: "t".to_owned(), schema };
    let question = Question { tools: vec![tool], ..Question::default() };
    let script = super::super::script::Script::parse("m").unwrap();
    let answer = super::super::answer::Answer::new(&question, &script, 1);
    let call = &answer.calls[0];
    assert!(call.pieces().count() > 2);
    assert_eq!(call.pieces().collect::<String>(), call.arguments);
}
