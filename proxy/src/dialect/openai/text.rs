//! The text of calls and answers, for counting tokens when a provider does not.
//!
//! What cannot be read adds nothing: whoever counts has already decided to make do.

use crate::call::{
    is_payload,
    json::{DEPTH_MAX, JsonError, Kind, Scanner, Token},
};

/// Appends the text of one chunk: content, reasoning, refusals and tool calls.
pub fn text_of(data: &[u8], out: &mut String) {
    let mut reasoning = String::new();
    let mut reasoning_content = false;
    let Ok(text) = std::str::from_utf8(data) else { return };
    // What was read before a fault counts.
    let _ = Scanner::new(text, DEPTH_MAX).value_noting(|name, value| match name {
        "content" | "refusal" | "name" | "arguments" | "transcript" => push(value, out),
        "reasoning_content" => {
            reasoning_content = true;
            push(value, out);
        }
        "reasoning" => push(value, &mut reasoning),
        _ => {}
    });
    // Some servers send the same reasoning under both names.
    if !reasoning_content {
        out.push_str(&reasoning);
    }
}

/// The text of a whole answer.
pub fn answer_text(body: &[u8]) -> String {
    let mut text = String::new();
    text_of(body, &mut text);
    text
}

/// Appends the text of a call: its messages or input, and the tools and schemas that reach the model as JSON.
pub fn prompt_text(call_body: &[u8], out: &mut String) {
    let Ok(text) = std::str::from_utf8(call_body) else { return };
    let _ = push_prompt(text, out);
}

fn push_prompt(text: &str, out: &mut String) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(text, DEPTH_MAX);
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        match key.raw {
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
                    if !matches!(name, "role" | "type") && !is_payload(name, value.raw) {
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
