//! Golden cases: a folder each, inputs beside the outputs they are to have.

use super::fixture::context_in;
use super::replay::replay_every_way;
use super::show::{show_answer, show_failure, show_heard, show_request};
use crate::json::Value;
use crate::{Adapter, Context, Header, Response};
use std::fs;
use std::path::{Path, PathBuf};

/// One case: a folder.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    pub context: Context,
}

impl Case {
    /// The text of a file of this case, if it has that file.
    pub fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }

    /// `error.json`: the status, the headers and the body of an unsuccessful answer.
    ///
    /// # Panics
    /// Where the file is there and is not that.
    pub fn error(&self) -> Option<(u16, Vec<Header>, String)> {
        let text = self.read("error.json")?;
        let value = Value::parse(&text).unwrap_or_else(|error| panic!("{}: not JSON at {}", self.name, error.at));
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
        Some((status.expect("an error has a status"), headers.unwrap_or_default(), body))
    }
}

/// The cases in `folder`, by name.
///
/// # Panics
/// Where the folder cannot be read or holds no case.
pub fn cases(folder: &Path) -> Vec<Case> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<Case> = entries
        .map(|entry| entry.expect("a folder that can be read").path())
        .filter(|path| path.is_dir())
        .map(|folder| Case {
            name: folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            context: context_in(&folder),
            folder,
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!cases.is_empty(), "{} holds no case", folder.display());
    cases
}

/// Runs every case in `folder` and compares what comes out with its files.
///
/// # Panics
/// With all differences, where there are any; and where a case has no input.
pub fn golden<A: Adapter>(folder: impl AsRef<Path>) {
    let mut differences = Vec::new();
    for case in cases(folder.as_ref()) {
        let outputs = run::<A>(&case);
        assert!(!outputs.is_empty(), "{}: no input", case.name);
        for (file, actual) in outputs {
            differences.extend(compare(&case.folder.join(file), &actual));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn run<A: Adapter>(case: &Case) -> Vec<(&'static str, String)> {
    let mut outputs = Vec::new();
    if let Some(request) = case.read("request.json") {
        outputs.push(("encoded.json", show_request(&A::encode(&case.context, &request))));
    }
    if let Some(body) = case.read("response.json") {
        let response = Response { status: 200, headers: &[], body: &body };
        outputs.push(("answer.json", show_answer(&A::decode(&case.context, &response))));
    }
    if let Some((status, headers, body)) = case.error() {
        let response = Response { status, headers: &headers, body: &body };
        outputs.push(("failure.json", show_failure(&A::classify(&case.context, &response))));
    }
    if let Some(text) = case.read("stream.sse") {
        outputs.push(("events.json", show_heard(&replay_every_way::<A>(&case.context, &text))));
    }
    outputs
}

/// The difference between a golden file and what came out, if there is one.
fn compare(path: &Path, actual: &str) -> Option<String> {
    if updating() {
        fs::write(path, actual).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return None;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    let at = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    (expected != actual).then(|| {
        let line = |text: &str| text.lines().nth(at).unwrap_or("(nothing)").to_owned();
        let path = path.display();
        format!("{path}:{}\n  expected: {}\n  actual:   {}", at + 1, line(&expected), line(actual))
    })
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}
