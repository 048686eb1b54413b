//! The text of calls and answers, for counting tokens when a provider does not.
//!
//! What cannot be read adds nothing: whoever counts has already decided to make do.

use crate::call::{
    is_parameter, is_payload,
    json::{DEPTH_MAX, JsonError, Kind, Scanner, Token},
};

const WHITESPACE: [char; 4] = [' ', '\n', '\r', '\t'];

/// Gives `note` the text of one chunk: content, reasoning, refusals and tool calls.
///
/// Reads the deltas alone. Their name in quotes can only be a name: inside a string its quotes would be escaped.
pub fn delta_text(data: &[u8], mut note: impl FnMut(&str)) {
    const DELTA: &str = "\"delta\"";
    let finder = memchr::memmem::Finder::new(DELTA);
    // Each byte is read a bounded number of times, however many deltas there are.
    let Ok(mut rest) = std::str::from_utf8(data) else { return };
    while let Some(at) = finder.find(rest.as_bytes()) {
        rest = rest[at + DELTA.len()..].trim_start_matches(WHITESPACE);
        let Some(value) = rest.strip_prefix(':') else { continue };
        let Some(read) = text_of(value, &mut note) else { return };
        rest = &value[read..];
    }
}

/// The text of a whole answer.
pub fn answer_text(body: &[u8]) -> String {
    let mut out = String::new();
    if let Ok(text) = std::str::from_utf8(body) {
        text_of(text, |text| out.push_str(text));
    }
    out
}

/// Gives `note` the text of the value that `text` begins with, and returns how long the value is. What was read before a
/// fault counts.
fn text_of(text: &str, mut note: impl FnMut(&str)) -> Option<usize> {
    let mut reasoning: Option<String> = None;
    let mut reasoning_content = false;
    let mut scanner = Scanner::new(text, DEPTH_MAX);
    let whole = scanner.value_noting(|name, value| match &*name.decode() {
        "content" | "text" | "thinking" | "refusal" | "name" | "arguments" | "transcript" => note(&value.decode()),
        "reasoning_content" => {
            reasoning_content = true;
            note(&value.decode());
        }
        "reasoning" => reasoning.get_or_insert_default().push_str(&value.decode()),
        _ => {}
    });
    // Some servers send the same reasoning under both names.
    if let Some(reasoning) = reasoning.filter(|_| !reasoning_content) {
        note(&reasoning);
    }
    whole.is_ok().then(|| scanner.at())
}

/// Appends the text of a call: its messages or input, and the tools and schemas that reach the model as JSON.
pub fn prompt_text(call_body: &[u8], out: &mut String) {
    let Ok(text) = std::str::from_utf8(call_body) else { return };
    let _ = push_prompt(text, out);
}

/// All of a call's JSON that a model may read, with its strings as they are meant, and how many bytes of it were left
/// out since they look like those of media. Whatever of a call reaches the model, it is not more text than this.
pub fn whole_prompt_text(call_body: &[u8]) -> (String, u64) {
    let text = std::str::from_utf8(call_body).unwrap_or_default();
    let (mut out, mut left_out) = (String::with_capacity(text.len()), 0);
    let mut scanner = Scanner::new(text, DEPTH_MAX);
    let _ = (|| {
        scanner.enter_object()?;
        while let Some(key) = scanner.key()? {
            if is_parameter(&key.decode()) {
                scanner.value()?;
                continue;
            }
            out.push_str(key.raw);
            scanner.kind()?;
            let mut copied = scanner.at();
            scanner.value_noting(|name, value| {
                let start = value.at + 1;
                out.push_str(&text[copied..start]);
                if is_payload(&name.decode(), value) {
                    left_out += value.raw.len() as u64;
                } else {
                    push(value, &mut out);
                }
                copied = start + value.raw.len();
            })?;
            out.push_str(&text[copied..scanner.at()]);
        }
        scanner.end()
    })();
    (out, left_out)
}

fn push_prompt(text: &str, out: &mut String) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(text, DEPTH_MAX);
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        match &*key.decode() {
            "tools" | "functions" | "response_format" => {
                out.push_str(scanner.value()?);
                out.push('\n');
            }
            "input" if scanner.kind()? == Kind::String => {
                push(scanner.string()?, out);
                out.push('\n');
            }
            "messages" | "input" => {
                scanner.value_noting(|name, value| {
                    let name = name.decode();
                    if !matches!(&*name, "role" | "type") && !is_payload(&name, value) {
                        push(value, out);
                        out.push('\n');
                    }
                })?;
            }
            _ => {
                scanner.value()?;
            }
        }
    }
    Ok(())
}

fn push(value: Token<'_>, out: &mut String) {
    out.push_str(&value.decode());
}
