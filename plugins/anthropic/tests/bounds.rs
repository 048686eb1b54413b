//! What is too much of anything is refused by its name, and not worked at until the sandbox ends it.

use tollgate_plugin::{Adapter, Blame, testkit};
use tollgate_plugin_anthropic::Anthropic;

#[track_caller]
fn is_refused(request: &str, param: &str) {
    let failure = Anthropic::encode(&testkit::context(), request).expect_err("it is too much");
    assert_eq!((failure.blame, failure.param.as_deref()), (Blame::Request, Some(param)), "{}", failure.message);
}

fn joined(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

#[test]
fn calls_without_results_are_bounded() {
    let call = |at: usize| format!(r#"{{"id":"c{at}","type":"function","function":{{"name":"f","arguments":""}}}}"#);
    let request = |count| format!(r#"{{"messages":[{{"role":"assistant","tool_calls":[{}]}}]}}"#, joined(count, call));
    assert!(Anthropic::encode(&testkit::context(), &request(128)).is_ok());
    is_refused(&request(129), "messages[0].tool_calls");
}

#[test]
fn tools_are_bounded() {
    let tool = |at: usize| format!(r#"{{"type":"function","function":{{"name":"f{at}"}}}}"#);
    let request = |count| format!(r#"{{"messages":[],"tools":[{}]}}"#, joined(count, tool));
    assert!(Anthropic::encode(&testkit::context(), &request(4096)).is_ok());
    is_refused(&request(4097), "tools");
}

#[test]
fn names_that_cannot_be_remembered_are_refused() {
    let tool = |at: usize| format!(r#"{{"type":"function","function":{{"name":"{}.{at}"}}}}"#, "n".repeat(1000));
    is_refused(&format!(r#"{{"messages":[],"tools":[{}]}}"#, joined(100, tool)), "tools");
}

#[test]
fn unions_are_bounded() {
    let property = |at: usize| format!(r#""p{at}":{{}}"#);
    let request = |count| {
        let branch = format!(r#"{{"properties":{{{}}}}}"#, joined(count, property));
        let tool = format!(r#"{{"type":"function","function":{{"name":"f","parameters":{{"anyOf":[{branch}]}}}}}}"#);
        format!(r#"{{"messages":[],"tools":[{tool}]}}"#)
    };
    assert!(Anthropic::encode(&testkit::context(), &request(1024)).is_ok());
    is_refused(&request(1025), "tools[0].function.parameters");
}

#[test]
fn parameters_that_nest_too_deep_once_they_are_merged_are_refused() {
    let request = |depth: usize| {
        let deep = format!("{}{}", r#"{"items":"#.repeat(depth - 1), "{}".to_owned() + &"}".repeat(depth - 1));
        let parameters = format!(r#"{{"properties":{{"a":{deep}}},"anyOf":[{{"properties":{{"a":{{}}}}}}]}}"#);
        let tool = format!(r#"{{"type":"function","function":{{"name":"f","parameters":{parameters}}}}}"#);
        format!(r#"{{"messages":[],"tools":[{tool}]}}"#)
    };
    // The request itself nests 128 deep with the second.
    assert!(Anthropic::encode(&testkit::context(), &request(121)).is_ok());
    is_refused(&request(122), "tools[0].function.parameters");
}

#[test]
fn what_descriptions_are_given_to_tell_is_bounded() {
    let quotes = |bytes: usize| format!(r#"{{"type":"string","not":{{"const":"{}"}}}}"#, r#"\""#.repeat(bytes / 2));
    let schema = |bytes| format!(r#"{{"type":"object","properties":{{"a":{}}}}}"#, quotes(bytes));
    let tool = |parameters: &str| {
        let function = format!(r#"{{"name":"f","strict":true,"parameters":{parameters}}}"#);
        format!(r#"{{"type":"function","function":{function}}}"#)
    };
    let context = tollgate_plugin::Context { model: "claude-sonnet-4-5".into(), ..testkit::context() };
    let encode = |request: &str| Anthropic::encode(&context, request).map_err(|failure| failure.param);
    let tools = |tools: &[String]| encode(&format!(r#"{{"messages":[],"tools":[{}]}}"#, tools.join(",")));
    let refused = |param: &str| Some(Some(param.to_owned()));

    assert!(tools(&[tool(&schema(500_000)), tool(&schema(500_000))]).is_ok());
    let second = tools(&[tool(&schema(600_000)), tool(&schema(600_000))]);
    assert_eq!(second.err(), refused("tools[1].function.parameters"));
    let union = format!(r#"{{"anyOf":[{}]}}"#, schema(1_100_000));
    assert_eq!(tools(&[tool(&union)]).err(), refused("tools[0].function.parameters"));
    let format = |schema: &str| {
        let format = format!(r#"{{"type":"json_schema","json_schema":{{"name":"x","schema":{schema}}}}}"#);
        encode(&format!(r#"{{"messages":[],"response_format":{format}}}"#))
    };
    assert!(format(&schema(500_000)).is_ok());
    assert_eq!(format(&schema(1_100_000)).err(), refused("response_format.json_schema.schema"));
}
