//! Golden cases: a folder each, inputs beside the outputs they are to have.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    fixture::context_in,
    replay::replay_every_way,
    show::{show_answer, show_failure, show_received, show_request},
};
use crate::{Adapter, Context, Header, Response, json::Value};

/// One case: a folder.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub context: Context,
    folder: PathBuf,
    /// The adapter whose outputs are meant, where several share the case.
    adapter: Option<String>,
}

/// What a case gives to an adapter.
#[derive(Debug, Clone)]
pub enum Input {
    /// `request.json`, given to `encode`.
    Request(String),
    /// `response.json`: the body of a success, given to `decode`.
    Response(String),
    /// `error.json`, given to `classify`.
    Error { status: u16, headers: Vec<Header>, body: String },
    /// `stream.sse`, given to the stream.
    Stream(String),
}

impl Case {
    /// What the case gives, each with the file that holds what is to come out of it.
    ///
    /// # Panics
    /// Where the case gives nothing, or an `error.json` that is none.
    pub fn inputs(&self) -> Vec<(Input, PathBuf)> {
        let output = |file: &str| match &self.adapter {
            Some(adapter) => self.folder.join(adapter).with_extension("json"),
            None => self.folder.join(file),
        };
        let inputs: Vec<_> = [
            self.read("request.json").map(|text| (Input::Request(text), output("encoded.json"))),
            self.read("response.json").map(|text| (Input::Response(text), output("answer.json"))),
            self.read("error.json").map(|text| (self.error(&text), output("failure.json"))),
            self.read("stream.sse").map(|text| (Input::Stream(text), output("events.json"))),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert!(!inputs.is_empty(), "{}: no input", self.name);
        assert!(self.adapter.is_none() || inputs.len() == 1, "{}: a shared case has one input", self.name);
        inputs
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }

    fn error(&self, text: &str) -> Input {
        let value = Value::parse(text).unwrap_or_else(|error| panic!("{}: not JSON at {}", self.name, error.at));
        let status = value.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        let headers = value.get("headers").and_then(Value::as_object).map(|headers| {
            let header = |(name, value): (&str, &Value<'_>)| Header {
                name: name.to_owned(),
                value: value.as_str().expect("a header is a string").to_owned(),
            };
            headers.iter().map(header).collect()
        });
        let body = match value.get("body") {
            Some(Value::String(text)) => text.clone().into_owned(),
            Some(json) => json.to_json(),
            None => String::new(),
        };
        Input::Error { status: status.expect("an error has a status"), headers: headers.unwrap_or_default(), body }
    }
}

/// The cases in `folder`, by name.
///
/// # Panics
/// Where the folder cannot be read or holds no case.
pub fn cases(folder: impl AsRef<Path>) -> Vec<Case> {
    let folder = folder.as_ref();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<Case> = entries
        .map(|entry| entry.expect("a folder that can be read").path())
        .filter(|path| path.is_dir())
        .map(|folder| Case {
            name: folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            context: context_in(&folder),
            folder,
            adapter: None,
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!cases.is_empty(), "{} holds no case", folder.display());
    cases
}

/// The cases that every adapter is to pass, in the folder `fixtures/cases` beside the kit. The output of each is in the
/// case's folder under the adapter's name: `anthropic.json`.
///
/// # Panics
/// As [`cases`].
pub fn shared_cases(adapter: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/cases");
    cases(folder).into_iter().map(|case| Case { adapter: Some(adapter.to_owned()), ..case }).collect()
}

/// Gives every case to `A` and compares what comes out with its files, or writes them with `UPDATE_GOLDEN` in the
/// environment.
///
/// # Panics
/// With all differences, where there are any; and where a case has no input.
pub fn golden<A: Adapter>(cases: &[Case]) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for (case, (input, output)) in cases.iter().flat_map(|case| case.inputs().into_iter().map(move |it| (case, it)))
        {
            let said = native::<A>(case, &input);
            fs::write(&output, said).unwrap_or_else(|error| panic!("{}: {error}", output.display()));
        }
    }
    let differences = differences(cases, native::<A>);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Where what `say` makes of a case's input is not what the case's file holds, with the first line of difference.
///
/// # Panics
/// Where a case has no input.
pub fn differences(cases: &[Case], say: impl Fn(&Case, &Input) -> String) -> Vec<String> {
    let compared =
        cases.iter().flat_map(|case| case.inputs().into_iter().map(move |(input, file)| (case, input, file)));
    compared.filter_map(|(case, input, file)| difference(&file, &say(case, &input))).collect()
}

/// What `A` makes of it, as the golden files show it.
fn native<A: Adapter>(case: &Case, input: &Input) -> String {
    let context = &case.context;
    match input {
        Input::Request(request) => show_request(&A::encode(context, request)),
        Input::Response(body) => show_answer(&A::decode(context, &Response { status: 200, headers: &[], body })),
        Input::Error { status, headers, body } => {
            show_failure(&A::classify(context, &Response { status: *status, headers, body }))
        }
        Input::Stream(text) => show_received(&replay_every_way::<A>(context, text)),
    }
}

fn difference(path: &Path, actual: &str) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap_or_default();
    let at = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    (expected != actual).then(|| {
        let line = |text: &str| text.lines().nth(at).unwrap_or("(nothing)").to_owned();
        let path = path.display();
        format!("{path}:{}\n  expected: {}\n  actual:   {}", at + 1, line(&expected), line(actual))
    })
}
