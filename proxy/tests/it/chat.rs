//! Whole answers, and everything else of the OpenAI face that comes in one piece.

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn a_chat_is_answered_and_written_down() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let answer = gateway.call(&chat("gpt").saying("good morning"));
    assert_eq!(answer.is_good().said(), "You said: good morning");
    assert_eq!(answer.json()["model"], "gpt");

    let row = gateway.stop().only_row();
    assert_eq!(row.request_id, answer.request_id());
    assert_eq!((row.status, row.error_class.as_str(), row.attempts), (200, "", 1));
    assert_eq!((row.key_name.as_str(), row.model.as_str(), row.provider.as_str()), ("main", "gpt", "first"));
    assert_eq!((row.dialect.as_str(), row.operation.as_str()), ("openai", "chat"));
    assert_eq!((row.streamed, row.client_gone), (false, false));
    assert_eq!((row.tokens.input, row.tokens.output, row.usage_source.as_str()), (2, 4, "provider"));
    assert!(row.first_byte_us.is_some_and(|first_byte| first_byte <= row.total_us));
    assert!(row.overhead_us <= row.total_us);
}

#[test]
fn a_provider_of_another_dialect_answers_alike() {
    let (native, translated) = (openai(), anthropic());
    let native = gateway(&native).serves("fake:tools").run();
    let translated = gateway(&translated).serves("fake:tools").run();
    let calls = [chat("gpt").saying("good morning"), chat("gpt").saying("good morning").streamed_with_usage()];
    for call in &calls {
        let (one, other) = (native.call(call), translated.call(call));
        assert_eq!(one.is_good().said(), other.is_good().said());
        for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
            assert_eq!(one.usage().expect("usage")[count], other.usage().expect("usage")[count], "{count}");
        }
    }
    let tools = json!([{ "type": "function", "function": { "name": "lookup", "parameters": { "type": "object" } } }]);
    let call = chat("fake:tools").with("tools", tools);
    let called = |gateway: &Gateway| {
        let choice = gateway.call(&call).is_good().json()["choices"][0].clone();
        (choice["finish_reason"].clone(), choice["message"]["tool_calls"][0]["function"].clone())
    };
    assert_eq!(called(&native), called(&translated));
    translated.call(&embeddings("gpt")).is_refused(400, "unsupported_parameter");

    let rows = |gateway: Gateway| -> Vec<_> {
        let good = gateway.stop().rows().into_iter().filter(Row::is_ok);
        good.map(|row| (row.tokens, row.usage_source, row.status, row.streamed)).collect()
    };
    assert_eq!(rows(native), rows(translated));
}

#[test]
fn what_the_gateway_does_not_know_rides_along_byte_for_byte() {
    let provider = openai();
    let gateway = gateway(&provider).model("name", &[("first", "gpt-4o")], "").run();
    let rest = r#" , "messages" :[ {"role":"user","content":"h\u00e9 \ud83d\ude00 \/" , "x-new":[1.0e2, {"a" : null}]} ],
        "temperature": 0.70, "brand_new": {"deep":[ true,"\u0000" ]} ,"user":"u"  }"#;
    let body = format!(r#"{{"model":"name"{rest}"#);
    gateway.call(&chat("name").body(body)).is_good();

    let sent = provider.last().unwrap();
    assert_eq!(sent.path(), "/v1/chat/completions");
    assert_eq!(String::from_utf8_lossy(sent.body()), format!(r#"{{"model":"gpt-4o"{rest}"#));
}

#[test]
fn the_provider_is_shown_its_own_key_and_nothing_of_the_clients() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let call = chat("gpt").header("cookie", "a=b").header("x-forwarded-for", "192.0.2.1").header("openai-beta", "x");
    gateway.call(&call).is_good();

    let sent = provider.last().unwrap();
    assert_eq!(sent.header("authorization"), Some("Bearer sk-good-key"));
    assert_eq!(sent.header("host"), Some(provider.address().as_str()));
    for hidden in ["cookie", "x-forwarded-for", "x-api-key", "te", "connection"] {
        assert_eq!(sent.header(hidden), None, "{hidden}");
    }
}

#[test]
fn the_version_in_the_path_may_be_missing_or_doubled() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = gateway.client();
    for path in ["/chat/completions", "/v1/v1/chat/completions", "//v1/chat/completions/", "/v1/chat/completions?a=b"] {
        client.call(&chat("gpt").path(path)).is_good();
    }
    client.call(&embeddings("gpt").path("/embeddings")).is_good();
    assert_eq!(gateway.stop().rows().len(), 5);
}

#[test]
fn embeddings_come_in_the_form_that_was_asked_for() {
    let provider = openai();
    let gateway = gateway(&provider).serves("fake:floats").serves("fake:base64").run();
    for model in ["gpt", "fake:floats", "fake:base64"] {
        let floats = gateway.call(&embeddings(model).with("encoding_format", "float")).is_good().json();
        let base64 = gateway.call(&embeddings(model).with("encoding_format", "base64")).is_good().json();
        let floats: Vec<f32> = serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
        assert!(decoded(&base64["data"][0]["embedding"]) == floats, "{model}");
        assert!(floats.len() > 100);
    }
    let unsaid = gateway.call(&embeddings("gpt")).is_good().json();
    assert!(unsaid["data"][0]["embedding"].is_array());

    let rows = gateway.stop().rows();
    assert!(rows.iter().all(|row| row.operation == "embeddings" && row.tokens.input == 1 && row.tokens.output == 0));
    assert_eq!(rows.len(), 7);
}

fn decoded(embedding: &Value) -> Vec<f32> {
    use base64::Engine;
    let text = embedding.as_str().expect("base64 is text");
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("it is base64");
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

#[test]
fn models_are_those_that_the_key_may_use() {
    let provider = openai();
    let gateway =
        gateway(&provider).serves("lab/one:free").serves("lab/two").key("narrow", r#"models = ["lab/*"]"#).run();
    let ids = |list: Value| -> Vec<String> {
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(gateway.call(&get("/v1/models")).is_good().json()), ["gpt", "lab/one:free", "lab/two"]);
    assert_eq!(ids(gateway.call(&get("/models").by("narrow")).is_good().json()), ["lab/one:free", "lab/two"]);
    for path in ["/v1/models/lab/one:free", "/models/lab%2Fone%3Afree"] {
        let model = gateway.call(&get(path)).is_good().json();
        assert_eq!((&model["id"], &model["object"]), (&json!("lab/one:free"), &json!("model")));
    }
    gateway.call(&get("/v1/models/lab/three")).is_refused(404, "model_not_found");
    gateway.call(&get("/v1/models/gpt").by("narrow")).is_refused(403, "model_not_allowed");
    gateway.call(&get("/v1/models").with_key("sk-tg-unknown-00000")).is_refused(401, "invalid_api_key");

    // A question costs nothing; a key's refusal is worth a row, a stranger's is counted.
    assert_eq!(provider.calls(), 0);
    let stopped = gateway.stop();
    assert_eq!((stopped.rows().len(), stopped.refusals()), (2, counts([("invalid_api_key", 1)])));
}

#[test]
fn a_browser_is_told_what_it_may_send() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = gateway.client();
    let asked = get("/v1/chat/completions")
        .method("OPTIONS")
        .without("authorization")
        .header("origin", "https://page.test")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-stainless-os");
    let answer = client.call(&asked);
    assert_eq!((answer.status(), answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,x-stainless-os"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));

    let answer = client.call(&chat("gpt").header("origin", "https://page.test"));
    assert!(answer.is_good().header("access-control-expose-headers").unwrap().contains("x-request-id"));
    gateway.stop().only_row();
}

#[test]
fn every_answer_names_its_call() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = gateway.client();
    let mut ids: Vec<String> = (0..10).map(|_| client.call(&chat("gpt")).request_id()).collect();
    ids.push(client.call(&chat("nothing")).is_refused(404, "model_not_found").request_id());
    ids.push(client.call(&chat("gpt").streamed()).is_good().request_id());
    assert!(!client.call(&post("/v1/nowhere")).is_refused(404, "path_not_found").request_id().is_empty());

    // What was nobody's call has an id all the same, and no row.
    let rows: Vec<String> = gateway.stop().rows().into_iter().map(|row| row.request_id).collect();
    assert_eq!(rows, ids);
}

#[test]
fn an_anthropic_clients_way_to_show_a_key_is_understood() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let call = chat("gpt").without("authorization").header("x-api-key", &key_of("main"));
    gateway.call(&call).is_good();
    assert_eq!(gateway.stop().only_row().key_name, "main");
}

#[test]
fn an_answer_of_megabytes_comes_whole() {
    let provider = openai();
    let model = "fake:big?bytes=8000000";
    let gateway = gateway(&provider).serves(model).run();
    assert_eq!(gateway.call(&chat(model)).is_good().said().len(), 8_000_000);
    assert_eq!(gateway.call(&chat(model).streamed()).is_good().said().len(), 8_000_000);
}

#[test]
fn an_answer_longer_than_may_be_is_refused_and_paid_for() {
    let provider = openai();
    let model = "fake:big?bytes=3000000";
    let gateway = gateway(&provider).serves(model).with("[limits]\nanswer_bytes_max = 1048576").run();
    gateway.call(&chat(model).with("max_tokens", 700)).is_refused(502, "upstream_error");
    gateway.still_serves();
    let row = &gateway.stop().failed_rows()[0];
    assert_eq!((row.tokens.output, row.usage_source.as_str()), (700, "estimated"));
}
