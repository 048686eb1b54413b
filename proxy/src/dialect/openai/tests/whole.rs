use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{answer::*, embeddings::*, failure::*, header::*, model::*, text::*};
use crate::{
    call::{Bounds, Call, FailureKind, Operation, Tokens},
    dialect::{AnswerName, ListedModel, Refusal},
};

#[test]
fn a_whole_answer_says_what_it_used() {
    let body = r#"{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":9}","usage":{"prompt_tokens":8}}}],
        "usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,
        "prompt_tokens_details":{"cached_tokens":8,"cache_write_tokens":2,"audio_tokens":0},
        "completion_tokens_details":{"reasoning_tokens":4}},"error":null}"#;
    let tokens = Tokens { input: 20, output: 9, cached: 8, cache_write: 2, reasoning: 4 };
    assert_eq!(whole(body.as_bytes()), Ok(Some(tokens)));
    let embeddings = br#"{"object":"list","data":[],"usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    assert_eq!(whole(embeddings).unwrap().unwrap().total(), 4);
    assert_eq!(whole(br#"{"choices":[{}]}"#), Ok(None));
}

#[test]
fn what_is_no_answer_is_a_failure() {
    for body in [
        "",
        "<html>502</html>",
        "\"text\"",
        "[]",
        "{\"choices\":[",
        "{} {}",
        "{}",
        "{\"choices\":[]}",
        "{\"data\":null}",
    ] {
        assert_eq!(whole(body.as_bytes()).unwrap_err().kind, FailureKind::Upstream, "{body}");
    }
    assert_eq!(whole(b"{\"a\":\"\xff\"}").unwrap_err().kind, FailureKind::Upstream);
    let failure =
        whole(br#"{"error":{"message":"m","type":"invalid_request_error","param":"top_k","code":null}}"#).unwrap_err();
    assert_eq!(
        (failure.kind, failure.param.as_deref(), failure.retryable),
        (FailureKind::InvalidRequest, Some("top_k"), false)
    );
    assert_eq!(failure.code, None, "a type is no code");
}

#[test]
fn a_translated_answer_has_the_id_of_its_call_and_the_name_that_the_client_gave_the_model() {
    let name = AnswerName { request_id: "req_9x", created_s: 7, model: "fast \"one\"" };
    let call = |operation, body: &'static str| {
        Call::parse(operation, Bytes::from_static(body.as_bytes()), &Bounds::default()).unwrap()
    };
    let chat = call(Operation::Chat, r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#);
    let body = Bytes::from_static(br#"{"id": "msg_1","model":"claude","choices":[{"id":"kept","model":"kept"}]}"#);
    let named = answer(&chat, body.clone(), Some(name)).unwrap();
    assert_eq!(
        std::str::from_utf8(&named).unwrap(),
        r#"{"id": "chatcmpl-9x","model":"fast \"one\"","choices":[{"id":"kept","model":"kept"}]}"#
    );
    assert_eq!(answer(&chat, body.clone(), None).unwrap(), body, "what came canonical is not touched");

    let embeddings = call(Operation::Embeddings, r#"{"model":"m","input":"x","encoding_format":"base64"}"#);
    let body = Bytes::from_static(br#"{"model":"e","data":[{"embedding":[0.25]}]}"#);
    let named = answer(&embeddings, body, Some(name)).unwrap();
    assert_eq!(std::str::from_utf8(&named).unwrap(), r#"{"model":"fast \"one\"","data":[{"embedding":"AACAPg=="}]}"#);
}

#[test]
fn errors_have_all_four_keys() {
    let body = error_body(&Refusal {
        message: "a \"b\"",
        kind: "invalid_request_error",
        code: "invalid_type",
        param: Some("messages[0]"),
    });
    let expected =
        r#"{"error":{"message":"a \"b\"","type":"invalid_request_error","param":"messages[0]","code":"invalid_type"}}"#;
    assert_eq!(body, expected.as_bytes());
    let event = error_event(&Refusal { message: "m", kind: "server_error", code: "upstream_error", param: None });
    let expected = "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n";
    assert_eq!(event, expected.as_bytes());
}

#[test]
fn models_are_listed() {
    let model = |id, created_s, owner| ListedModel { id, created_s, owner };
    let list = models_list([model("gpt-x", 7, "openai"), model("a/b:\"c\"", 0, "tollgate")].into_iter());
    let one = |id: &str, created: u64, owner: &str| json!({"id": id, "object": "model", "created": created, "owned_by": owner});
    let expected = json!({"object": "list", "data": [one("gpt-x", 7, "openai"), one("a/b:\"c\"", 0, "tollgate")]});
    assert_eq!(serde_json::from_slice::<Value>(&list).unwrap(), expected);
    assert_eq!(models_list(std::iter::empty()), br#"{"object":"list","data":[]}"#);
    assert_eq!(
        serde_json::from_slice::<Value>(&model_body(&model("gpt-x", 7, "openai"))).unwrap(),
        expected["data"][0]
    );
}

#[test]
fn durations_are_written_as_go_writes_them() {
    for (duration_ms, text) in [
        (0, "0s"),
        (1, "1ms"),
        (12, "12ms"),
        (999, "999ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (61_010, "1m1.01s"),
        (3_600_000, "1h0m0s"),
        (90_061_000, "25h1m1s"),
    ] {
        assert_eq!(go_duration(duration_ms), text);
    }
}

fn convert(body: &str, base64: bool) -> String {
    String::from_utf8(embeddings_as(Bytes::copy_from_slice(body.as_bytes()), base64).unwrap().to_vec()).unwrap()
}

#[test]
fn embeddings_take_the_form_that_was_asked_for() {
    let floats = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25, -1.0,2.0]},{"embedding":[]}],"model":"e"}"#;
    let base64 = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPgAAgL8AAABA"},{"embedding":""}],"model":"e"}"#;
    assert_eq!(convert(floats, true), base64);
    assert_eq!(convert(base64, false), floats.replace(", ", ","));
    assert_eq!(convert(floats, false), floats);
    assert_eq!(convert(base64, true), base64);
}

#[test]
fn only_the_embeddings_of_the_other_form_are_touched() {
    let mixed = r#"{"x":{"embedding":[1]},"data":[{"embedding":"AACAPw=="},7,{"embedding":[1]}],"embedding":[1]}"#;
    assert_eq!(convert(mixed, true), mixed.replace("{\"embedding\":[1]}]", "{\"embedding\":\"AACAPw==\"}]"));
}

#[test]
fn embeddings_that_are_none_are_a_failure() {
    for (body, base64) in [
        ("<html>", true),
        (r#"{"data":[{"embedding":["a"]}]}"#, true),
        (r#"{"data":[{"embedding":[[1]]}]}"#, true),
        (r#"{"data":[{"embedding":"%%"}]}"#, false),
        (r#"{"data":[{"embedding":"AACA"}]}"#, false),
        // An infinity, which JSON cannot say.
        (r#"{"data":[{"embedding":"AACAfw=="}]}"#, false),
    ] {
        let failure = embeddings_as(Bytes::from_static(body.as_bytes()), base64).expect_err(body);
        assert_eq!(failure.kind, FailureKind::Upstream);
    }
}

#[test]
fn the_text_of_an_answer_is_what_the_model_wrote() {
    let chunk =
        br#"{"id":"c","model":"m","choices":[{"delta":{"role":"assistant","content":"a\n","reasoning_content":"b",
        "reasoning":"b","tool_calls":[{"id":"i","type":"function","function":{"name":"f","arguments":"{}"}}]},
        "logprobs":{"content":[{"token":"a"}]}}]}"#;
    let mut text = "before ".to_owned();
    delta_text(chunk, |piece| text.push_str(piece));
    assert_eq!(text, "before a\nbf{}");
    delta_text(b"[DONE]", |piece| text.push_str(piece));
    assert_eq!(text, "before a\nbf{}");
    assert_eq!(answer_text(br#"{"choices":[{"message":{"role":"assistant","reasoning":"r","content":"c"}}]}"#), "cr");
}

#[test]
fn the_text_of_many_deltas_is_read_in_one_pass() {
    // Reading what follows anew for each of them would take minutes.
    let chunk = r#"{"delta":1,"delta":{"content":"a"}}"#.repeat(8 << 20 >> 5);
    let (began, mut pieces) = (std::time::Instant::now(), 0);
    delta_text(chunk.as_bytes(), |_| pieces += 1);
    assert_eq!(pieces, 8 << 20 >> 5);
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

#[test]
fn the_text_of_a_prompt_is_what_the_model_reads() {
    let body =
        br#"{"model":"m","tools":[{"n":1}],"messages":[{"role":"system","content":"a"},{"role":"user","content":[
        {"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
    let mut text = String::new();
    prompt_text(body, &mut text);
    assert_eq!(text, "[{\"n\":1}]\na\nb\n");
    let mut text = String::new();
    prompt_text(br#"{"input":"a"}"#, &mut text);
    prompt_text(br#"{"input":["b","c"]}"#, &mut text);
    prompt_text(br#"{"input":[1,2]}"#, &mut text);
    assert_eq!(text, "a\nb\nc\n");
}

proptest! {
    #[test]
    fn floats_come_back_from_base64(floats in prop::collection::vec(any::<f32>().prop_filter("finite", |f| f.is_finite()), 0..20)) {
        let body = json!({"data": [{"embedding": floats}]}).to_string();
        let back: Value = serde_json::from_str(&convert(&convert(&body, true), false)).unwrap();
        let back: Vec<f32> = serde_json::from_value(back["data"][0]["embedding"].clone()).unwrap();
        prop_assert_eq!(back, floats);
    }
}
