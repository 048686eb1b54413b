use super::{host::logged, *};
use crate::{
    Adapter, Answer, Context, Description, Event, Failure, Frame, Request, Response, Stream,
    bindings::adapter::tollgate::plugin::log::Level,
    host::{log, sign, tokenize},
};

fn frames(text: &str) -> Vec<(String, String)> {
    let mut splitter = Splitter::new();
    let mut frames = splitter.push(text.as_bytes());
    frames.extend(splitter.finish());
    frames.into_iter().map(|frame| (frame.event, frame.data)).collect()
}

#[test]
fn events_are_split_as_the_host_splits_them() {
    let expected = vec![("a".to_owned(), "1\n2".to_owned()), (String::new(), "3".to_owned())];
    for text in [
        "event: a\ndata: 1\ndata: 2\n\n: comment\n\ndata:3\n\n",
        "event: a\r\ndata: 1\r\ndata: 2\r\n\r\ndata:3",
        "event: a\rdata: 1\rdata: 2\r\rid: 7\rretry: 5\rdata: 3\r\r",
    ] {
        assert_eq!(frames(text), expected, "{text:?}");
    }
}

/// Says how many frames came at once, which depends on the cuts.
struct Careless;
struct CarelessStream;

impl Adapter for Careless {
    type Stream = CarelessStream;
    fn describe() -> Description {
        unreachable!("not asked here")
    }
    fn encode(_: &Context, _: &str) -> Result<Request, Failure> {
        unreachable!("not asked here")
    }
    fn decode(_: &Context, _: &Response<'_>) -> Result<Answer, Failure> {
        unreachable!("not asked here")
    }
    fn classify(_: &Context, _: &Response<'_>) -> Failure {
        unreachable!("not asked here")
    }
}

impl Stream for CarelessStream {
    fn new(_: &Context) -> Self {
        Self
    }
    fn push(&mut self, frames: &[Frame]) -> Result<Vec<Event>, Failure> {
        Ok(vec![Event::Text(frames.len().to_string())])
    }
    fn finish(&mut self) -> Result<Vec<Event>, Failure> {
        Ok(Vec::new())
    }
}

#[test]
#[should_panic(expected = "byte by byte")]
fn an_adapter_that_minds_the_cuts_is_found_out() {
    replay_every_way::<Careless>(&context(), "data: 1\n\ndata: 2\n\n");
}

#[test]
fn a_context_takes_what_a_case_says_and_keeps_the_rest() {
    let json = crate::json::Value::parse(r#"{"model":"m","config":{"a":1},"state":"s","operation":"embeddings"}"#);
    let context = context_of(&json.expect("it is JSON"));
    assert_eq!((context.model.as_str(), context.config.as_str()), ("m", r#"{"a":1}"#));
    assert_eq!((context.state.as_deref(), context.seed), (Some("s"), 7));
}

#[test]
#[should_panic(expected = "`modle` is not a field")]
fn a_context_with_a_misspelt_field_is_refused() {
    context_of(&crate::json::Value::parse(r#"{"modle":"m"}"#).expect("it is JSON"));
}

#[test]
fn the_host_answers_in_tests() {
    log::warn("careful");
    log::debug("detail");
    assert_eq!(logged(), [(Level::Warn, "careful".to_owned()), (Level::Debug, "detail".to_owned())]);
    assert_eq!(tokenize::count("m", "12345"), Some(2));
    let signature = sign::hmac_sha256("key", b"data").expect("the slot is there");
    assert_eq!(signature.len(), 32);
    assert_eq!(signature, sign::hmac_sha256("key", b"data").expect("the slot is there"));
    assert!(sign::hmac_sha256("other", b"data").is_err());
}
