//! Requests that a client may send, made to keep a built-in plugin busy or to fill its memory: at the limits that ship,
//! each is answered or refused by the plugin, and none is a fault of it.

use std::time::Duration;

use tollgate::{
    call::{Blame, Bounds},
    plugin::{Adapter, Host, Settings, builtins},
};

use super::support::*;

fn built_in(host: &Host, name: &str) -> Adapter {
    let source = builtins().find(|it| it.name == name).expect("the name is that of a built-in adapter");
    host.load_adapter(name, &source.wasm, source.granted).expect("built-in adapters load")
}

fn joined(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

/// A request with this beside its one message.
fn beside(fields: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{fields}}}"#)
}

fn conversation(messages: &str) -> String {
    format!(r#"{{"model":"m","messages":[{messages}]}}"#)
}

fn format_schema(fields: &str) -> String {
    beside(&format!(
        r#""response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{{"type":"object",{fields}}}}}}}"#
    ))
}

fn tool_schema(fields: &str) -> String {
    beside(&format!(
        r#""tools":[{{"type":"function","function":{{"name":"f","parameters":{{"type":"object",{fields}}}}}}}]"#
    ))
}

fn tools(count: usize, name: impl Fn(usize) -> String) -> String {
    joined(count, |at| format!(r#"{{"type":"function","function":{{"name":"{}"}}}}"#, name(at)))
}

/// Assistants' turns of 128 calls each, whose ids these are.
fn calls(ids: &[String]) -> String {
    let turn = |ids: &[String]| {
        let calls = joined(ids.len(), |at| {
            format!(r#"{{"id":"{}","type":"function","function":{{"name":"f{at}","arguments":"{{}}"}}}}"#, ids[at])
        });
        format!(r#"{{"role":"assistant","tool_calls":[{calls}]}},{{"role":"user","content":"go on"}}"#)
    };
    conversation(&ids.chunks(128).map(turn).collect::<Vec<_>>().join(","))
}

/// Each with what it is.
fn requests() -> Vec<(&'static str, String)> {
    let values = Bounds::default().values_max - 20;
    let wide = |count: usize| {
        let fields = |object: usize| joined(4096, |at| format!(r#""{object:x}{at:x}":0"#));
        joined(count / 4097, |object| format!(r#"{{{}}}"#, fields(object)))
    };
    let many_ids: Vec<String> = (1024..4096).map(|at| format!("x_{at}")).collect();
    let ids: Vec<String> = many_ids.into_iter().chain(std::iter::repeat_n("x".to_owned(), 3072)).collect();
    let differing = |at: usize| format!(r#"{{"properties":{{"p":{{"description":"{}{at}"}}}}}}"#, "d".repeat(1000));
    let names = joined(500, |at| format!(r#""{}{at}""#, "n".repeat(100)));
    let requiring = |_: usize| format!(r#"{{"required":[{names}]}}"#);
    vec![
        ("unknown keywords of a schema", format_schema(&joined(4000, |at| format!(r#""k{at}":1"#)))),
        ("nested schemas", format_schema(&joined(4000, |at| format!(r#""k{at}":{{"type":"object","x":1}}"#)))),
        (
            "references to many definitions",
            tool_schema(&format!(
                r##""anyOf":[{}],"$defs":{{{}}}"##,
                joined(10_000, |at| format!(r##"{{"$ref":"#/$defs/d{at}"}}"##)),
                joined(4000, |at| format!(r#""d{at}":{{}}"#)),
            )),
        ),
        ("branches that differ at their end", tool_schema(&format!(r#""anyOf":[{}]"#, joined(1024, differing)))),
        ("branches that require the same", tool_schema(&format!(r#""anyOf":[{}]"#, joined(2, requiring)))),
        ("branches without a name", tool_schema(&format!(r#""anyOf":[{}]"#, joined(100_000, |_| "{}".into())))),
        (
            "tools and a choice among them",
            beside(&format!(
                r#""tools":[{}],"tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"auto","tools":[{}]}}}}"#,
                tools(4096, |at| format!("{}_{at}", "f".repeat(50))),
                tools(40_000, |at| format!("{}_{}", "f".repeat(50), 99_999 - at)),
            )),
        ),
        ("tools to rename", beside(&format!(r#""tools":[{}]"#, tools(4096, |at| format!("a.{at}"))))),
        ("calls that count anew", calls(&ids)),
        (
            "results that answer nothing",
            conversation(&format!(
                r#"{{"role":"assistant","tool_calls":[{}]}},{}"#,
                joined(128, |at| format!(
                    r#"{{"id":"o{at:05}","type":"function","function":{{"name":"f","arguments":""}}}}"#
                )),
                joined(50_000, |at| format!(r#"{{"role":"tool","tool_call_id":"c{at:05}","content":""}}"#)),
            )),
        ),
        (
            "thoughts after many words",
            conversation(&format!(
                r#"{{"role":"assistant","content":[{},{}]}}"#,
                joined(40_000, |_| r#"{"type":"text","text":"a"}"#.into()),
                joined(40_000, |_| r#"{"type":"thinking","thinking":"a","signature":"s"}"#.into()),
            )),
        ),
        ("many numbers", beside(&format!(r#""metadata":[{}]"#, joined(values, |_| "0".into())))),
        ("many fields", beside(&format!(r#""metadata":[{}]"#, wide(values)))),
        ("many escaped texts", beside(&format!(r#""metadata":[{}]"#, joined(values, |_| r#""\n""#.into())))),
        ("many lists", beside(&format!(r#""metadata":[{}]"#, joined(values, |_| "[]".into())))),
        ("many lists of one", beside(&format!(r#""metadata":[{}]"#, joined(values / 2, |_| "[0]".into())))),
        (
            "many numbers in a message",
            conversation(&format!(r#"{{"role":"user","content":"hi","x":[{}]}}"#, joined(values, |_| "0".into()))),
        ),
        ("many options of a stream", beside(&format!(r#""stream":true,"stream_options":{{"x":[{}]}}"#, wide(values)))),
    ]
}

#[test]
fn no_request_makes_a_built_in_adapter_fail() {
    let host = host_with(Settings { faults_max: u32::MAX, ..settings() });
    let mut faults = Vec::new();
    for name in ["anthropic", "openai"] {
        let adapter = built_in(&host, name);
        for (what, request) in requests() {
            let encoded =
                adapter.encode(&tollgate::plugin::Context { model: "claude-sonnet-4-5", ..context() }, &request, None);
            match encoded {
                Ok(Ok(_)) => {}
                Ok(Err(failure)) => assert_eq!(failure.blame, Blame::Request, "{name}, {what}: {failure:?}"),
                Err(fault) => faults.push(format!("{name}, {what}: {fault}")),
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_variables_make_the_built_in_renderer_fail() {
    let host = host_with(settings());
    let source = builtins().find(|it| it.name == "braces").expect("it is built in");
    let braces = host.load_renderer("braces", &source.wasm, source.granted).unwrap();
    let template = (0..1000).map(|at| format!("{{v{}}}", 3_999 - at)).collect::<String>();
    let variables = format!("{{{}}}", joined(4000, |at| format!(r#""v{at}":"a""#)));
    assert_eq!(braces.render(1, &template, &variables).unwrap().unwrap(), "a".repeat(1000));
}

#[test]
fn one_caller_cannot_put_a_plugin_to_rest_for_others() {
    let host = host_with(Settings { rest_ms: 60_000, ..settings() });
    let trap = host.load_adapter("trap", &super::evil::traps("unreachable").component(), ALL).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let kind_for = |caller: u64| {
        runtime.block_on(async {
            let work = tollgate::plugin::Work::Encode { streaming: false, caller };
            let turn = tokio::time::timeout(Duration::from_secs(60), trap.turn(work, 0)).await.unwrap();
            let encoded = turn.and_then(|turn| {
                turn.run(|| trap.encode(&tollgate::plugin::Context { caller, ..context() }, "{}", None)).map(drop)
            });
            encoded.unwrap_err().kind()
        })
    };
    for _ in 0..20 {
        kind_for(1);
    }
    assert_eq!(kind_for(1), "resting");
    assert_eq!(kind_for(2), "trap_unreachable");
    // Others that meet the same faults prove that it is the plugin's.
    assert_eq!(kind_for(3), "trap_unreachable");
    assert_eq!(kind_for(4), "resting");
}
