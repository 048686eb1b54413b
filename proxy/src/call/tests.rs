use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

mod media;
mod names;
mod output;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;

fn parse(operation: Operation, body: &str) -> Result<Call, ParseError> {
    Call::parse(operation, Bytes::copy_from_slice(body.as_bytes()), &Bounds::default())
}

fn chat(body: &str) -> Call {
    parse(Operation::Chat, body).unwrap_or_else(|invalid| panic!("{body}: {invalid}"))
}

/// A chat body of a model, one message and `fields`.
fn with(fields: &str) -> String {
    format!(r#"{{"model":"m",{MESSAGES},{fields}}}"#)
}

/// The refusal's code and param.
fn refusal(operation: Operation, body: &str) -> (&'static str, Option<String>) {
    let invalid = parse(operation, body).expect_err(body);
    (invalid.code(), invalid.param().map(str::to_owned))
}

#[test]
fn the_fields_that_the_gateway_acts_on_are_read() {
    let call = chat(&with(r#""stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"n":3"#));
    assert_eq!((call.model.as_str(), call.stream, call.include_usage), ("m", true, true));
    assert_eq!((call.output_tokens_max, call.choices), (Some(7), 3));

    let call = chat(&with(r#""max_tokens":7,"max_completion_tokens":9"#));
    assert_eq!((call.output_tokens_max, call.choices), (Some(9), 1));
    assert_eq!((call.stream, call.include_usage), (false, false));
}

#[test]
fn null_is_as_good_as_nothing() {
    let nulls = r#""stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,"n":null"#;
    let call = chat(&with(nulls));
    assert_eq!((call.stream, call.include_usage, call.output_tokens_max, call.choices), (false, false, None, 1));
    assert!(!chat(&with(r#""stream_options":{"include_usage":null}"#)).include_usage);
}

#[test]
fn options_of_a_stream_are_taken_without_a_stream() {
    assert!(chat(&with(r#""stream_options":{"include_usage":true,"x":1}"#)).include_usage);
}

#[test]
fn what_real_clients_send_in_messages_rides_along() {
    for message in [
        r#"{"role":"user","content":""}"#,
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":[],"tool_calls":[]}"#,
        r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":""}}]}"#,
        r#"{"role":"tool","tool_call_id":"a","content":{"t":3}}"#,
        r#"{"role":"user","content":[{"type":"image_url","image_url":"https://x/y.png"}]}"#,
        r#"{"content":"role last","name":"n","role":"developer"}"#,
        r#"{"role":"assistant","content":"x","reasoning_content":"y","thinking_blocks":[{"type":"thinking"}]}"#,
    ] {
        let body = format!(r#"{{"model":"m","messages":[{message}]}}"#);
        assert_eq!(chat(&body).body(), body.as_bytes());
    }
}

#[test]
fn what_is_wrong_is_named_as_openai_names_it() {
    let wrong_type = "invalid_type";
    let wrong_value = "invalid_value";
    for (body, code, param) in [
        (r#"{"messages":[{"role":"user"}]}"#.to_owned(), "missing_required_parameter", "model"),
        (r#"{"model":"m"}"#.to_owned(), "missing_required_parameter", "messages"),
        (r#"{"model":"m","input":"Hi"}"#.to_owned(), "unsupported_parameter", "input"),
        (r#"{"model":"m","messages":[]}"#.to_owned(), wrong_value, "messages"),
        (r#"{"model":"m","messages":"Hi"}"#.to_owned(), wrong_type, "messages"),
        (r#"{"model":"m","messages":null}"#.to_owned(), wrong_type, "messages"),
        (r#"{"model":"m","messages":[{"role":"user"},"Hi"]}"#.to_owned(), wrong_type, "messages[1]"),
        (r#"{"model":"m","messages":[{"content":"Hi"}]}"#.to_owned(), "missing_required_parameter", "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":1}]}"#.to_owned(), wrong_type, "messages[0].role"),
        (format!(r#"{{"model":1,{MESSAGES}}}"#), wrong_type, "model"),
        (format!(r#"{{"model":null,{MESSAGES}}}"#), wrong_type, "model"),
        (format!(r#"{{"model":"",{MESSAGES}}}"#), wrong_value, "model"),
        (format!(r#"{{"model":"a\nb",{MESSAGES}}}"#), wrong_value, "model"),
        (format!(r#"{{"model":"{}",{MESSAGES}}}"#, "é".repeat(257)), wrong_value, "model"),
        (with(r#""stream":"yes""#), wrong_type, "stream"),
        (with(r#""stream":1"#), wrong_type, "stream"),
        (with(r#""stream_options":true"#), wrong_type, "stream_options"),
        (with(r#""stream_options":{"include_usage":1}"#), wrong_type, "stream_options.include_usage"),
        (with(r#""max_tokens":"7""#), wrong_type, "max_tokens"),
        (with(r#""max_tokens":-1"#), wrong_value, "max_tokens"),
        (with(r#""max_tokens":1.5"#), wrong_value, "max_tokens"),
        (with(r#""max_tokens":1e3"#), wrong_value, "max_tokens"),
        (with(r#""max_tokens":18446744073709551616"#), wrong_value, "max_tokens"),
        (with(r#""max_completion_tokens":[]"#), wrong_type, "max_completion_tokens"),
        (with(r#""n":0"#), wrong_value, "n"),
        (with(r#""n":129"#), wrong_value, "n"),
        (with(r#""n":true"#), wrong_type, "n"),
        (with(r#""template":"t""#), wrong_type, "template"),
        (with(r#""template":{}"#), "missing_required_parameter", "template.name"),
        (with(r#""template":{"name":""}"#), "missing_required_parameter", "template.name"),
        (with(r#""template":{"name":7}"#), wrong_type, "template.name"),
        (with(r#""template":{"name":"t","variables":[]}"#), wrong_type, "template.variables"),
        (with(r#""model":"m2""#), "duplicate_field", "model"),
        (with(r#""mod\u0065l":"m2""#), "duplicate_field", "model"),
        (with(r#""user":"a","user":"a""#), "duplicate_field", "user"),
        (with(r#""user":"\udc00x""#), "invalid_json", "user"),
        (with(r#""metadata":{"a":["\ud83d"]}"#), "invalid_json", "metadata"),
        (
            r#"{"model":"m","messages":[{"role":"user"},{"role":"user","content":[{"text":"\ud800"}]}]}"#.to_owned(),
            "invalid_json",
            "messages[1].content",
        ),
        (with(&format!(r#""tools":{}1{}"#, "[".repeat(127), "]".repeat(127))), "json_too_deep", "tools"),
    ] {
        assert_eq!(refusal(Operation::Chat, &body), (code, Some(param.to_owned())), "{body}");
    }
}

#[test]
fn a_model_of_256_characters_is_still_a_name() {
    assert!(parse(Operation::Chat, &format!(r#"{{"model":"{}",{MESSAGES}}}"#, "é".repeat(256))).is_ok());
}

#[test]
fn what_is_not_json_is_refused_without_a_param() {
    for body in ["", "[]", "null", "{", "{\"model\":\"m\"} x", "\u{feff}{}", "{\"model\":\"m\",}"] {
        assert_eq!(refusal(Operation::Chat, body), ("invalid_json", None), "{body}");
    }
    let invalid = Call::parse(Operation::Chat, Bytes::from_static(b"{\"model\":\"\xff\"}"), &Bounds::default());
    assert_eq!(invalid.unwrap_err(), ParseError::Json { at: 10, expected: json::Expected::Utf8, param: None });
}

#[test]
fn bounds_hold_and_reach_no_further() {
    let bounds = Bounds { depth_max: 4, fields_max: 3, object_fields_max: 4, messages_max: 2, values_max: 12 };
    let code = |body: &str| {
        Call::parse(Operation::Chat, Bytes::copy_from_slice(body.as_bytes()), &bounds).map_err(|i| i.code())
    };
    let messages = |count: usize| vec![r#"{"role":"user"}"#; count].join(",");
    let body = |count: usize, rest: &str| format!(r#"{{"model":"m","messages":[{}]{rest}}}"#, messages(count));
    assert!(code(&body(2, ",\"a\":[[[]]]")).is_ok());
    assert_eq!(code(&body(3, "")).unwrap_err(), "too_many_messages");
    assert_eq!(code(&body(1, ",\"a\":1,\"b\":2")).unwrap_err(), "too_many_fields");
    assert_eq!(code(&body(1, ",\"a\":[[[[]]]]")).unwrap_err(), "json_too_deep");
    // Two fields, one message with its role, the third field, and what is in it.
    assert!(code(&body(1, ",\"a\":[1,{\"b\":2},3,[4,5]]")).is_ok());
    assert_eq!(code(&body(1, ",\"a\":[1,{\"b\":2},3,[4,5,6]]")).unwrap_err(), "too_many_values");
    assert!(code(&body(1, r#","a":{"a":1,"b":{"c":[]},"d":1,"e":1}"#)).is_ok());
    assert_eq!(code(&body(1, r#","a":{"a":1,"b":{},"c":1,"d":1,"e":1}"#)).unwrap_err(), "too_many_fields");
    assert_eq!(refusal(Operation::Chat, &with(&format!("\"{}\":1", "k".repeat(257)))).0, "invalid_value");
    let many = with(&format!("\"logit_bias\":[{}0]", "0,".repeat(Bounds::default().values_max)));
    assert_eq!(refusal(Operation::Chat, &many), ("too_many_values", Some("logit_bias".to_owned())));
}

#[test]
fn inputs_of_every_documented_form_are_taken() {
    for (input, token_ids) in [(r#""text""#, 0), (r#"["a","b"]"#, 0), ("[1,2,3]", 3), ("[[1,2],[3]]", 3)] {
        let call = parse(Operation::Embeddings, &format!(r#"{{"model":"m","input":{input}}}"#)).unwrap();
        assert_eq!(call.prompt_size.token_ids, token_ids, "{input}");
        assert!(!call.encoding_base64);
    }
    let body = r#"{"model":"m","input":"a","encoding_format":"base64","stream":"no matter"}"#;
    assert!(parse(Operation::Embeddings, body).unwrap().encoding_base64);
}

#[test]
fn inputs_of_other_forms_are_refused() {
    let many = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    for (input, param) in [
        ("null", "input"),
        ("{}", "input"),
        ("7", "input"),
        ("\"\"", "input"),
        ("[]", "input"),
        (r#"["a",""]"#, "input[1]"),
        (r#"["a",1]"#, "input[1]"),
        (r#"[1,"a"]"#, "input[1]"),
        ("[[1],2]", "input[1]"),
        ("[[]]", "input[0]"),
        ("[[\"a\"]]", "input[0]"),
        ("[-1]", "input[0]"),
        ("[1.5]", "input[0]"),
        ("[null]", "input[0]"),
        (&many("\"a\"", 2049), "input"),
        (&many("[1]", 2049), "input"),
    ] {
        let (_, found) = refusal(Operation::Embeddings, &format!(r#"{{"model":"m","input":{input}}}"#));
        assert_eq!(found.as_deref(), Some(param), "{input}");
    }
    assert!(parse(Operation::Embeddings, &format!(r#"{{"model":"m","input":{}}}"#, many("\"a\"", 2048))).is_ok());
    assert!(parse(Operation::Embeddings, &format!(r#"{{"model":"m","input":{}}}"#, many("1", 3000))).is_ok());
    assert_eq!(refusal(Operation::Embeddings, r#"{"model":"m"}"#).1.as_deref(), Some("input"));
    let (_, param) = refusal(Operation::Embeddings, r#"{"model":"m","input":"a","encoding_format":"hex"}"#);
    assert_eq!(param.as_deref(), Some("encoding_format"));
}

#[test]
fn the_head_is_all_but_the_prompt() {
    let call = chat(" { \"model\" : \"m\" ,\n\"messages\":[{\"role\":\"user\"}] , \"x\" : [ 1 ] } ");
    assert_eq!(call.head(), r#"{"model":"m","x":[ 1 ]}"#);
    assert_eq!(call.field("x"), Some("[ 1 ]"));
    let call = parse(Operation::Embeddings, r#"{"input":"a","model":"m"}"#).unwrap();
    assert_eq!(call.head(), r#"{"model":"m"}"#);
}

#[test]
fn a_template_is_taken_out_of_the_body() {
    let call = chat(r#"{"model":"m", "template":{"name":"t\u00e9","variables":{"a": 1}}, "user":"u"}"#);
    let template = call.template.clone().unwrap();
    assert_eq!((template.name.as_str(), template.variables_json.as_str()), ("té", "{\"a\": 1}"));
    assert_eq!(call.body(), &br#"{"model":"m", "user":"u"}"#[..]);
    assert_eq!(call.head(), r#"{"model":"m","user":"u"}"#);

    let call = chat(r#"{"template":{"name":"t"},"model":"m","messages":[]}"#);
    assert_eq!(call.template.unwrap().variables_json, "{}");

    let call = chat(&with(r#""template":null"#));
    assert_eq!((call.template.as_ref(), call.field("template")), (None, None));
}

fn edit(field: &str, value: Option<&str>) -> Edit {
    Edit { field: field.to_owned(), value: value.map(str::to_owned) }
}

#[test]
fn edits_leave_every_other_byte_in_place() {
    let body = "{ \"model\" : \"m\",\n \"messages\":[{\"role\":\"user\"}],\t\"é\":1e2 }\n";
    let call = chat(body);
    for (edits, edited) in [
        (vec![], body.to_owned()),
        (vec![edit("model", Some("\"n\""))], body.replace("\"m\"", "\"n\"")),
        (vec![edit("model", None)], body.replace("\"model\" : \"m\",\n ", "")),
        (vec![edit("é", None)], body.replace(",\t\"é\":1e2", "")),
        (vec![edit("messages", None)], body.replace(",\n \"messages\":[{\"role\":\"user\"}]", "")),
        (vec![edit("x", Some("[]"))], body.replace("1e2", "1e2,\"x\":[]")),
        (vec![edit("x", None)], body.to_owned()),
        (vec![edit("x", Some("1")), edit("x", Some("2"))], body.replace("1e2", "1e2,\"x\":2")),
        (vec![edit("x", Some("1")), edit("x", None)], body.to_owned()),
        (vec![edit("model", Some("1")), edit("model", None)], body.replace("\"model\" : \"m\",\n ", "")),
        (vec![edit("model", None), edit("messages", None), edit("é", None)], "{  }\n".to_owned()),
        (
            vec![edit("model", None), edit("messages", None), edit("é", None), edit("y", Some("0"))],
            "{ \"y\":0 }\n".to_owned(),
        ),
    ] {
        assert_eq!(String::from_utf8_lossy(&call.edited(&edits)), edited, "{edits:?}");
    }
}

#[test]
fn a_message_is_added_at_either_end() {
    let mut call = chat(r#"{"model":"m","messages": [ {"role":"user"} ],"z":1}"#);
    call.with_message("system", "a \"b\"\n", Place::First);
    call.with_message("user", "中", Place::Last);
    let messages = r#"[{"role":"system","content":"a \"b\"\n"}, {"role":"user"} ,{"role":"user","content":"中"}]"#;
    assert_eq!(call.body(), format!(r#"{{"model":"m","messages": {messages},"z":1}}"#).as_bytes());
    assert_eq!(call.field("messages"), Some(messages));
    assert_eq!(call.field("z"), Some("1"));
    assert_eq!((call.prompt_size.messages, call.prompt_size.cjk_chars, call.prompt_size.ascii_bytes), (3, 1, 6));
}

#[test]
fn a_message_is_added_where_there_was_none() {
    let message = r#"[{"role":"user","content":"Hi"}]"#;
    for body in [
        r#"{"model":"m","template":{"name":"t"}}"#,
        r#"{"model":"m","messages":[],"template":{"name":"t"}}"#,
        r#"{"model":"m","messages": [ ] ,"template":{"name":"t"}}"#,
    ] {
        for place in [Place::First, Place::Last] {
            let mut call = chat(body);
            call.with_message("user", "Hi", place);
            let messages: Value = serde_json::from_str(call.field("messages").unwrap()).unwrap();
            assert_eq!(messages, serde_json::from_str::<Value>(message).unwrap());
            chat(std::str::from_utf8(call.body()).unwrap());
        }
    }
}

#[test]
fn a_prompt_is_measured_by_its_text() {
    let call = chat(
        r#"{"model":"m","messages":[
            {"role":"system","content":"ab\n\u4e2d"},
            {"role":"user","name":"cd","content":[
                {"type":"text","text":"é中🎉"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAA"}},
                {"type":"image_url","image_url":{"url":"https://x"}},
                {"type":"input_audio","input_audio":{"data":"AAAAAAAAAA","format":"wav"}}]}],
            "tools":[{"x":"é"}]}"#,
    );
    let tools = r#"[{"x":"é"}]"#.len() as u64;
    let media = Media { payload_bytes: 30 + 10, images: 2, audios: 1, audio_seconds_max: 1, ..Media::default() };
    let expected = PromptSize {
        // `ab`, a line break, `cd`, `https://x` and `wav`.
        ascii_bytes: 2 + 1 + 2 + 9 + 3 + tools,
        wide_chars: 1 + 3,
        cjk_chars: 2,
        messages: 2,
        token_ids: 0,
        media,
    };
    assert_eq!(call.prompt_size, expected);
}

fn any_fields() -> impl Strategy<Value = Vec<(String, Value)>> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<u32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(serde_json::json!([1, {"a": "b"}]))
    ];
    prop::collection::vec(("[a-f\"é]{1,2}", value), 0..6)
}

proptest! {
    #[test]
    fn an_edited_body_means_what_the_edits_say(
        fields in any_fields(),
        edits in prop::collection::vec(("[a-f\"é]{1,2}", prop::option::of(0u8..9)), 0..6),
        pretty in any::<bool>(),
    ) {
        let mut object = Map::from_iter(fields);
        object.insert("model".to_owned(), Value::from("m"));
        object.insert("messages".to_owned(), serde_json::json!([{"role": "user"}]));
        let value = Value::Object(object.clone());
        let body = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let edits: Vec<Edit> =
            edits.iter().map(|(field, value)| edit(field, value.map(|value| value.to_string()).as_deref())).collect();

        let edited = chat(&body).edited(&edits);

        for edit in &edits {
            match &edit.value {
                Some(value) => drop(object.insert(edit.field.clone(), serde_json::from_str(value).unwrap())),
                None => drop(object.shift_remove(&edit.field)),
            }
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&edited).unwrap(), Value::Object(object));
    }

    #[test]
    fn no_body_whatever_makes_parsing_panic(body in prop::collection::vec(any::<u8>(), 0..60), text in "[ -~]{0,60}") {
        let _ = Call::parse(Operation::Chat, Bytes::from(body), &Bounds::default());
        let _ = parse(Operation::Embeddings, &format!(r#"{{"model":"m","input":{text}}}"#));
        let _ = parse(Operation::Chat, &format!(r#"{{"model":"m","messages":[{text}]}}"#));
    }
}
