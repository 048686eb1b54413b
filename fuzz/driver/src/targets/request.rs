//! Reading a request: what the gateway acts on is what the body says, and edits change nothing else.

use bytes::Bytes;
use serde_json::{Map, Value};
use tollgate::call::{Bounds, Call, Edit, Operation};

use super::outcome;

pub fn run(data: &[u8]) -> u64 {
    let seen = [Operation::Chat, Operation::Embeddings].map(|operation| {
        match Call::parse(operation, Bytes::copy_from_slice(data), &Bounds::default()) {
            Ok(call) => {
                let names = agree(&call);
                outcome(&(names, call.stream, call.choices > 1, call.output_tokens_max.is_some(), call.encoding_base64))
            }
            Err(fault) => {
                assert!(!fault.to_string().is_empty());
                outcome(&(fault.code(), fault.param().map(|it| it.get(..12).unwrap_or(it).to_owned())))
            }
        }
    });
    outcome(&seen)
}

/// Holds the call against serde_json's reading of its body. Returns the names of its fields.
fn agree(call: &Call) -> Vec<String> {
    // Numbers beyond a double are no numbers to serde_json.
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(call.body()) else { return Vec::new() };
    let field = |name: &str| body.get(name).filter(|it| !it.is_null());
    assert_eq!(field("model").and_then(Value::as_str), Some(call.model.as_str()));
    let head: Map<String, Value> = serde_json::from_str(&call.head()).expect("a head is JSON");
    for (name, value) in &body {
        let text = call.field(name).expect("a field of the body is a field of the call");
        assert_eq!(serde_json::from_str::<Value>(text).ok().as_ref(), Some(value), "{name}");
        assert_eq!(head.get(name).is_none(), matches!(name.as_str(), "messages" | "input"), "{name}");
    }
    if call.operation == Operation::Chat {
        assert_eq!(field("stream") == Some(&Value::Bool(true)), call.stream);
        assert_eq!(field("n").and_then(Value::as_u64).unwrap_or(1), u64::from(call.choices));
        assert!(!body.contains_key("template"), "the extension is ours");
        let bounds = ["max_tokens", "max_completion_tokens"].map(|name| field(name).and_then(Value::as_u64));
        assert!(bounds.contains(&call.output_tokens_max), "{bounds:?} is not {:?}", call.output_tokens_max);
    }
    edit(call, body)
}

fn edit(call: &Call, mut body: Map<String, Value>) -> Vec<String> {
    let names: Vec<String> = body.keys().map(|name| name.chars().take(12).collect()).collect();
    let mut edits = vec![
        Edit { field: "model".to_owned(), value: Some("\"other\"".to_owned()) },
        Edit { field: "new in here".to_owned(), value: Some("[1]".to_owned()) },
    ];
    // Each second field goes, so that the first, the last and neighbours do.
    for name in body.keys().step_by(2).filter(|name| *name != "model") {
        edits.push(Edit { field: name.clone(), value: None });
    }
    let edited: Map<String, Value> = serde_json::from_slice(&call.edited(&edits)).expect("an edited body is JSON");
    for Edit { field, value } in edits {
        match value {
            Some(json) => drop(body.insert(field, serde_json::from_str(&json).expect("the edits above are JSON"))),
            None => drop(body.shift_remove(&field)),
        }
    }
    assert_eq!(edited, body);
    names
}
