//! What a fake says, in no dialect yet: a text in pieces, tool calls, thinking, and honest counts. Deterministic: the
//! same question gets the same answer. One word is one token here.

use serde_json::Value;

use crate::{fingerprint, instance::instance, script::Script};

const WORDS_ECHOED_MAX: usize = 256;
const ARGUMENT_PIECE_CHARS: usize = 8;
const THOUGHT: &str = "The user expects an answer. An echo will do.";
/// How many tools one answer calls at most.
const CALLS_MAX: usize = 16;

/// A declared tool.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) schema: Value,
}

/// Whether tools may or must be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Choice {
    #[default]
    Auto,
    Never,
    Named(String),
}

/// Which form the text must have.
#[derive(Debug, Clone, Default)]
pub(super) enum Format {
    #[default]
    Free,
    Object,
    Schema(Value),
}

/// What a request asks for, whatever its dialect.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    /// The text of the last user message.
    pub(super) said: String,
    /// The last message's tool results, if it has any.
    pub(super) tool_said: Option<String>,
    pub(super) images: usize,
    /// Words in all messages.
    pub(super) input_tokens: u64,
    pub(super) output_tokens_max: Option<u64>,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Choice,
    /// Whether one answer may call several tools; none where the client does not say.
    pub(super) parallel: Option<bool>,
    pub(super) format: Format,
    pub(super) thinks: bool,
}

impl Question {
    /// Counts `body` by the tokenizer that the scenario names, if it names one.
    pub(super) fn count(&mut self, body: &Value, script: &Script) {
        let counted = script.tokenizer.input_tokens(body, script.media_tokens);
        self.input_tokens = counted.unwrap_or(self.input_tokens);
    }
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text.
    pub(super) arguments: String,
}

impl Call {
    /// The arguments in the pieces in which they are streamed.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &str> {
        let mut starts: Vec<usize> =
            self.arguments.char_indices().map(|(at, _)| at).step_by(ARGUMENT_PIECE_CHARS).collect();
        starts.push(self.arguments.len());
        (1..starts.len()).map(move |index| &self.arguments[starts[index - 1]..starts[index]])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Stop,
    Length,
    Calls,
    Refusal,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) input: i128,
    pub(super) output: i128,
    pub(super) cached: i128,
    pub(super) cache_write: i128,
    pub(super) reasoning: i128,
}

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) thinking: Option<&'static str>,
    pub(super) text: String,
    /// Where each piece of the text ends.
    ends: Vec<usize>,
    pub(super) calls: Vec<Call>,
    pub(super) end: End,
    /// None where the scenario withholds it.
    pub(super) tally: Option<Tally>,
}

impl Answer {
    /// The answer to `question` under `script`; `number` tells its tool calls from those of other answers.
    pub(super) fn new(question: &Question, script: &Script, number: u64) -> Answer {
        let calls = calls(question, script, number);
        let (mut text, mut ends) = text(question, script, !calls.is_empty());
        let mut end = if calls.is_empty() { End::Stop } else { End::Calls };
        let longest = question.output_tokens_max.and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
        if ends.len() > longest {
            ends.truncate(longest);
            text.truncate(ends.last().copied().unwrap_or(0));
            end = End::Length;
        }
        if script.refusal {
            end = End::Refusal;
        }
        let thinking = (script.thinking || question.thinks).then_some(THOUGHT);
        let reasoning = thinking.map_or(0, words);
        let spoken = calls.iter().map(|call| 1 + words(&call.arguments)).sum::<u64>() + ends.len() as u64;
        let reported = script.reported;
        let tally = Tally {
            input: reported.input.unwrap_or(question.input_tokens.into()),
            output: reported.output.unwrap_or((spoken + reasoning).into()),
            cached: reported.cached,
            cache_write: reported.cache_write,
            reasoning: if reported.reasoning == 0 { reasoning.into() } else { reported.reasoning },
        };
        Answer { thinking, text, ends, calls, end, tally: (!reported.absent).then_some(tally) }
    }

    /// The text in the pieces in which it is streamed, one token each.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }
}

/// The text, and where each of its pieces ends.
fn text(question: &Question, script: &Script, calls: bool) -> (String, Vec<usize>) {
    match (&question.format, script.frames, script.bytes, &script.text) {
        _ if calls => (String::new(), Vec::new()),
        (.., Some(text)) => pieces(text.clone()),
        (_, frames, Some(bytes), _) => filling(bytes, frames.unwrap_or(1)),
        (_, Some(frames), None, _) => counting(frames),
        (Format::Free, ..) => pieces(echo(question)),
        (Format::Object, ..) => pieces(format!(r#"{{"answer": {}}}"#, Value::from(echo(question)))),
        (Format::Schema(schema), ..) => pieces(instance(schema).to_string()),
    }
}

/// How many words, and so tokens, `text` has.
pub(super) fn words(text: &str) -> u64 {
    text.split_ascii_whitespace().count() as u64
}

/// A signature for a block of thinking, such as only its author can give.
pub(super) fn signature(thinking: &str) -> String {
    format!("EqQB{:016x}", fingerprint(thinking.as_bytes()))
}

fn calls(question: &Question, script: &Script, number: u64) -> Vec<Call> {
    let declared: Vec<&Tool> = match &question.choice {
        Choice::Never => Vec::new(),
        Choice::Named(name) => question.tools.iter().filter(|tool| tool.name == *name).collect(),
        Choice::Auto if question.tool_said.is_some() => Vec::new(),
        Choice::Auto => question.tools.iter().collect(),
    };
    let several = question.parallel.unwrap_or(true) && question.said.contains("parallel");
    let count = match script.calls {
        Some(count) if question.tool_said.is_none() => count,
        _ if several => declared.len(),
        _ => declared.len().min(1),
    };
    let undeclared = Tool { name: "lookup".to_owned(), schema: instance_of_lookup() };
    let tools = declared.into_iter().chain(std::iter::repeat(&undeclared)).take(count.min(CALLS_MAX)).enumerate();
    tools
        .map(|(index, tool)| Call {
            id: format!("{number:08}{index:02}"),
            name: tool.name.clone(),
            arguments: script.depth.map_or_else(|| instance(&tool.schema).to_string(), nested),
        })
        .collect()
}

fn instance_of_lookup() -> Value {
    serde_json::json!({ "type": "object", "properties": { "query": { "type": "string" } } })
}

/// Arguments that nest `depth` levels, the outermost object counted.
fn nested(depth: usize) -> String {
    let inner = depth.saturating_sub(1);
    format!(r#"{{"query":{}null{}}}"#, "[".repeat(inner), "]".repeat(inner))
}

fn echo(question: &Question) -> String {
    if let Some(result) = &question.tool_said {
        return format!("The tool said: {}", first_words(result));
    }
    let images = match question.images {
        0 => String::new(),
        1 => " (with 1 image)".to_owned(),
        count => format!(" (with {count} images)"),
    };
    format!("You said: {}{images}", first_words(&question.said))
}

/// `text` up to and without its 257th word, byte for byte.
fn first_words(text: &str) -> &str {
    let mut spaces = memchr::memchr_iter(b' ', text.as_bytes());
    spaces.nth(WORDS_ECHOED_MAX - 1).map_or(text, |end| &text[..end])
}

/// Cuts `text` before each word.
fn pieces(text: String) -> (String, Vec<usize>) {
    let bytes = text.as_bytes();
    let before_word = |&at: &usize| at > 0 && bytes.get(at + 1).is_some_and(|next| *next != b' ');
    let mut ends: Vec<usize> = memchr::memchr_iter(b' ', bytes).filter(before_word).collect();
    ends.push(text.len());
    (text, ends)
}

/// `1 2 3 …` up to `count`: a lost or doubled frame shows.
fn counting(count: usize) -> (String, Vec<usize>) {
    let mut text = String::with_capacity(count * 5);
    let ends = (1..=count).map(|word| {
        text.push_str(if word > 1 { " " } else { "" });
        text.push_str(&word.to_string());
        text.len()
    });
    let ends = ends.collect();
    (text, ends)
}

/// A text of `bytes` bytes in `frames` pieces.
fn filling(bytes: usize, frames: usize) -> (String, Vec<usize>) {
    let frames = frames.clamp(1, bytes.max(1));
    ("x".repeat(bytes), (1..=frames).map(|frame| bytes * frame / frames).collect())
}
