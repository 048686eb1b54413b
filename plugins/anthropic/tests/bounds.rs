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
