//! Each built-in plugin as the component that ships, in the sandbox. It says what the golden cases hold, which is what
//! the native code says that its own tests run; and it reads JSON as the host does.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without, it may fail on")]

mod json;
mod native;

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use native::{as_native, context};
use tollgate::{
    call::{Event, Failure},
    framing::Frame,
    plugin::{Adapter, Compiler, Host, Kind, Registry, Settings, Stream, builtins},
};
use tollgate_plugin::testkit::{self, Case, Input, Received, Splitter};

const SECRET: &[u8] = testkit::host::SECRET;

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("twins");
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).unwrap();
        let compiler =
            Compiler::Process { program: env!("CARGO_BIN_EXE_tollgate").into(), args: vec!["compile-plugin".into()] };
        let settings = Settings { calls_max: 16, streams_max: 16, ..Settings::default() };
        let host = Host::new(settings, &dir, compiler, Arc::new(()), Arc::new(())).unwrap();
        Registry::empty().next(&host, builtins()).unwrap_or_else(|faults| panic!("{faults:?}"))
    })
}

/// What the component makes of a case, as the golden files show it.
fn component(adapter: &Adapter, case: &Case, input: &Input) -> String {
    let context = context(&case.context);
    match input {
        Input::Request(request) => {
            let encoded = adapter.encode(&context, request, Some(SECRET));
            let encoded = encoded.unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
            testkit::show_request(&encoded.map(as_native::request).map_err(as_native::failure))
        }
        Input::Response(body) => {
            let decoded = adapter.decode(&context, 200, &[], body);
            let decoded = decoded.unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
            testkit::show_answer(&decoded.map(as_native::answer).map_err(as_native::failure))
        }
        Input::Error { status, headers, body } => {
            let headers: Vec<_> = headers.iter().map(|it| (it.name.clone(), it.value.clone())).collect();
            let failure = adapter.classify(&context, *status, &headers, body);
            let failure = failure.unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
            testkit::show_failure(&as_native::failure(failure))
        }
        Input::Stream(text) => {
            let text = text.replace("\r\n", "\n");
            let replayed = |step: usize| {
                replay(adapter.stream(adapter.reserve_stream().unwrap(), &context).unwrap(), text.as_bytes(), step)
            };
            let received = replayed(text.len());
            for step in [1, 7, 300] {
                assert_eq!(replayed(step), received, "{} by {step} bytes", case.name);
            }
            testkit::show_received(&received)
        }
    }
}

/// What the component says of `bytes` when they come `step` at a time.
fn replay(mut stream: Stream, bytes: &[u8], step: usize) -> Vec<Received> {
    let mut received = Vec::new();
    let mut splitter = Splitter::new();
    let pieces = bytes.chunks(step.max(1)).map(Some).chain([None]);
    for piece in pieces {
        let frames = match piece {
            Some(piece) => splitter.push(piece),
            None => splitter.finish(),
        };
        let frames: Vec<Frame> = frames.into_iter().map(frame).collect();
        if !frames.is_empty() && !note(&mut received, stream.push(&frames).unwrap(), &frames) {
            return received;
        }
    }
    note(&mut received, stream.finish().unwrap(), &[]);
    received
}

/// Adds what one call said; false if nothing may follow.
fn note(received: &mut Vec<Received>, said: Result<Vec<Event>, Failure>, frames: &[Frame]) -> bool {
    let events = match said {
        Ok(events) => events,
        Err(failure) => {
            received.push(Received::Failed(as_native::failure(failure)));
            return false;
        }
    };
    let failed = matches!(events.last(), Some(Event::Failed(_)));
    received.extend(events.into_iter().map(|event| match event {
        Event::Forward(index) => Received::Forwarded(String::from_utf8(frames[index as usize].data.to_vec()).unwrap()),
        event => Received::Event(as_native::event(event)),
    }));
    !failed
}

fn frame(frame: tollgate_plugin::Frame) -> Frame {
    let data = Bytes::from(frame.data);
    Frame { event: Bytes::from(frame.event), raw: data.clone(), data }
}

#[test]
fn every_adapter_component_says_what_the_golden_cases_hold() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut differences = Vec::new();
    for adapter in builtins().filter(|source| source.kind == Kind::Adapter) {
        let own = testkit::cases(plugins.join(adapter.name).join("tests/golden"));
        let shared = testkit::shared_cases(adapter.name);
        let component = |case: &Case, input: &Input| component(registry().adapter(adapter.name).unwrap(), case, input);
        differences.extend(testkit::differences(&own, component));
        differences.extend(testkit::differences(&shared, component));
    }
    assert!(differences.is_empty(), "are the components what the sources make?\n{}", differences.join("\n"));
}

#[test]
fn an_answer_of_very_many_blocks_is_decoded_before_the_deadline() {
    let blocks = vec![r#"{"type":"text","text":"ab"}"#; 100_000].join(",");
    let body = format!(r#"{{"type":"message","role":"assistant","stop_reason":"end_turn","content":[{blocks}]}}"#);
    let native = testkit::context();
    let context = context(&native);
    let decoded = registry().adapter("anthropic").unwrap().decode(&context, 200, &[], &body);
    let answer = decoded.unwrap_or_else(|fault| panic!("{fault}")).unwrap();
    assert!(answer.body.contains(&"ab".repeat(100_000)));
}

#[test]
fn a_value_that_is_repeated_too_often_is_refused_in_words_and_ends_no_plugin() {
    let renderer = registry().renderer("braces").unwrap();
    let variables = format!(r#"{{"a":"{}"}}"#, "v".repeat(1 << 20));
    let rendered = renderer.render(1, &"{a}".repeat(1000), &variables);
    let refused = rendered.unwrap_or_else(|fault| panic!("{fault}")).unwrap_err();
    assert!(refused.to_string().contains("too long"), "{refused}");
}

#[test]
fn the_braces_component_says_what_native_code_says() {
    use tollgate_plugin::Renderer as _;
    use tollgate_plugin_braces::Braces;

    let renderer = registry().renderer("braces").unwrap();
    let long = "{a}".repeat(2000);
    for source in ["", "hi {name}", "{{name}}", "{a}{b}{a}", "{a", "é {ü}", "{\"a\": {\"b\": 1}}", "a\n b {9}", &long]
    {
        let checked = renderer.check(source).unwrap().map_err(|fault| (fault.line, fault.column, fault.message));
        let native = Braces::check(source).map_err(|fault| (fault.line, fault.column, fault.message));
        assert_eq!(checked, native, "{source:?}");
        for variables in ["{}", r#"{"name":"{a}","a":1,"b":[true],"c":null}"#, r#"{"a":"x\u00e9"}"#, "[]"] {
            let rendered = renderer.render(1, source, variables).unwrap().map_err(as_native::render_error);
            assert_eq!(rendered, Braces::render(source, variables), "{source:?} with {variables}");
        }
    }
}
