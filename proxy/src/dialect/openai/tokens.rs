//! The `usage` object, read and written.

use crate::call::{
    Tokens,
    json::{JsonError, Kind, Scanner, push_u64},
};

/// Reads a `usage` value; `None` if it counts nothing, as null and all zeros do.
///
/// Reads the names of OpenAI's compatible relatives for cached input as well.
pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<Option<Tokens>, JsonError> {
    if scanner.kind()? != Kind::Object {
        scanner.value()?;
        return Ok(None);
    }
    let mut tokens = Tokens::default();
    let mut cached_elsewhere = 0;
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        match key.raw {
            "prompt_tokens" => tokens.input = number(scanner)?,
            "completion_tokens" => tokens.output = number(scanner)?,
            "prompt_tokens_details" => details(scanner, |name, count| match name {
                "cached_tokens" => tokens.cached = count,
                "cache_write_tokens" => tokens.cache_write = count,
                _ => {}
            })?,
            "completion_tokens_details" => details(scanner, |name, count| {
                if name == "reasoning_tokens" {
                    tokens.reasoning = count;
                }
            })?,
            "prompt_cache_hit_tokens" | "cached_tokens" => cached_elsewhere = number(scanner)?,
            _ => {
                scanner.value()?;
            }
        }
    }
    if tokens.cached == 0 {
        tokens.cached = cached_elsewhere;
    }
    Ok((tokens.total() > 0).then_some(tokens))
}

fn details<'a>(scanner: &mut Scanner<'a>, mut note: impl FnMut(&'a str, u64)) -> Result<(), JsonError> {
    if scanner.kind()? != Kind::Object {
        scanner.value()?;
        return Ok(());
    }
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        note(key.raw, number(scanner)?);
    }
    Ok(())
}

/// A count. What is no count, such as null, is none.
fn number(scanner: &mut Scanner<'_>) -> Result<u64, JsonError> {
    let text = scanner.value()?;
    // Some providers count in floats; the conversion saturates.
    Ok(text.parse().unwrap_or_else(|_| text.parse::<f64>().map_or(0, |count| count as u64)))
}

/// Appends a `usage` object.
pub(super) fn push(tokens: &Tokens, out: &mut Vec<u8>) {
    let members: [(&[u8], u64); 6] = [
        (b"{\"prompt_tokens\":", tokens.input),
        (b",\"completion_tokens\":", tokens.output),
        (b",\"total_tokens\":", tokens.total()),
        (b",\"prompt_tokens_details\":{\"cached_tokens\":", tokens.cached),
        (b",\"cache_write_tokens\":", tokens.cache_write),
        (b"},\"completion_tokens_details\":{\"reasoning_tokens\":", tokens.reasoning),
    ];
    for (name, count) in members {
        out.extend_from_slice(name);
        push_u64(count, out);
    }
    out.extend_from_slice(b"}}");
}
