//! Each built-in plugin twice: as the component that ships, in the sandbox, and as the native code that its own
//! tests run. Over every golden case, both say the same.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without, it may fail on")]

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
    plugin::{Adapter, Compiler, Host, Registry, Settings, Stream, builtins},
};
use tollgate_plugin::{
    Adapter as Native, Response,
    testkit::{self, Case, Heard, Splitter},
};

const SECRET: &[u8] = testkit::host::SECRET;

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("twins");
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).unwrap();
        let compiler =
            Compiler::Process { program: env!("CARGO_BIN_EXE_tollgate").into(), args: vec!["compile-plugin".into()] };
        let settings = Settings { instances_max: 16, ..Settings::default() };
        let host = Host::new(settings, &dir, compiler, Arc::new(()), Arc::new(())).unwrap();
        Registry::empty().next(&host, builtins()).unwrap_or_else(|faults| panic!("{faults:?}"))
    })
}

fn check<A: Native>(name: &str) {
    let adapter = registry().adapter(name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(name).join("tests/golden");
    let cases = testkit::cases(&folder);
    let mut compared = 0;
    for case in &cases {
        compared += encoded::<A>(adapter, case) + decoded::<A>(adapter, case);
        compared += classified::<A>(adapter, case) + streamed::<A>(adapter, case);
    }
    assert!(compared >= cases.len(), "{compared} comparisons of {} cases", cases.len());
}

fn encoded<A: Native>(adapter: &Adapter, case: &Case) -> usize {
    let Some(request) = case.read("request.json") else { return 0 };
    let component = adapter.encode(&context(&case.context), &request, Some(SECRET)).unwrap();
    let component = component.map(as_native::request).map_err(as_native::failure);
    let native = A::encode(&case.context, &request);
    assert_eq!(testkit::show_request(&component), testkit::show_request(&native), "{}", case.name);
    assert_eq!(component, native, "{}", case.name);
    1
}

fn decoded<A: Native>(adapter: &Adapter, case: &Case) -> usize {
    let Some(body) = case.read("response.json") else { return 0 };
    let component = adapter.decode(&context(&case.context), 200, &[], &body).unwrap();
    let component = component.map(as_native::answer).map_err(as_native::failure);
    let native = A::decode(&case.context, &Response { status: 200, headers: &[], body: &body });
    assert_eq!(component, native, "{}", case.name);
    1
}

fn classified<A: Native>(adapter: &Adapter, case: &Case) -> usize {
    let Some((status, headers, body)) = case.error() else { return 0 };
    let given: Vec<_> = headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
    let component = adapter.classify(&context(&case.context), status, &given, &body).unwrap();
    let native = A::classify(&case.context, &Response { status, headers: &headers, body: &body });
    assert_eq!(as_native::failure(component), native, "{}", case.name);
    1
}

fn streamed<A: Native>(adapter: &Adapter, case: &Case) -> usize {
    let Some(text) = case.read("stream.sse") else { return 0 };
    let text = text.replace("\r\n", "\n");
    let native = testkit::replay::<A>(&case.context, text.as_bytes(), []);
    for step in [text.len(), 1, 7, 300] {
        let stream = adapter.stream(&context(&case.context)).unwrap();
        assert_eq!(replay(stream, text.as_bytes(), step), native, "{} by {step} bytes", case.name);
    }
    1
}

/// What the component says of `bytes` when they come `step` at a time.
fn replay(mut stream: Stream, bytes: &[u8], step: usize) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut splitter = Splitter::new();
    let pieces = bytes.chunks(step.max(1)).map(Some).chain([None]);
    for piece in pieces {
        let frames = match piece {
            Some(piece) => splitter.push(piece),
            None => splitter.finish(),
        };
        let frames: Vec<Frame> = frames.into_iter().map(frame).collect();
        if !frames.is_empty() && !note(&mut heard, stream.push(&frames).unwrap(), &frames) {
            return heard;
        }
    }
    note(&mut heard, stream.finish().unwrap(), &[]);
    heard
}

/// Adds what one call said; false if nothing may follow.
fn note(heard: &mut Vec<Heard>, said: Result<Vec<Event>, Failure>, frames: &[Frame]) -> bool {
    let events = match said {
        Ok(events) => events,
        Err(failure) => {
            heard.push(Heard::Failed(as_native::failure(failure)));
            return false;
        }
    };
    let failed = matches!(events.last(), Some(Event::Failed(_)));
    heard.extend(events.into_iter().map(|event| match event {
        Event::Forward(index) => Heard::Forwarded(String::from_utf8(frames[index as usize].data.to_vec()).unwrap()),
        event => Heard::Event(as_native::event(event)),
    }));
    !failed
}

fn frame(frame: tollgate_plugin::Frame) -> Frame {
    let data = Bytes::from(frame.data);
    Frame { event: Bytes::from(frame.event), raw: data.clone(), data }
}

#[test]
fn the_openai_component_says_what_native_code_says() {
    check::<tollgate_plugin_openai::OpenAi>("openai");
}

#[test]
fn the_anthropic_component_says_what_native_code_says() {
    check::<tollgate_plugin_anthropic::Anthropic>("anthropic");
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
            let rendered = renderer.render(source, variables).unwrap().map_err(as_native::render_error);
            assert_eq!(rendered, Braces::render(source, variables), "{source:?} with {variables}");
        }
    }
}
