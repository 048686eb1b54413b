//! The `usage` object, read and written.

use tollgate_reading::UsageReader;

use crate::call::{
    Tokens,
    json::{JsonError, Kind, Scanner, push_u64},
};

/// Reads a `usage` value; `None` if it counts nothing, as null and all zeros do.
pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<Option<Tokens>, JsonError> {
    if scanner.kind()? != Kind::Object {
        scanner.value()?;
        return Ok(None);
    }
    let mut reader = UsageReader::default();
    scanner.enter_object()?;
    while let Some(outer) = scanner.key()? {
        if scanner.kind()? != Kind::Object {
            reader.field("", outer.raw, scanner.value()?);
            continue;
        }
        scanner.enter_object()?;
        while let Some(key) = scanner.key()? {
            reader.field(outer.raw, key.raw, scanner.value()?);
        }
    }
    Ok(reader.finish().map(|usage| Tokens {
        input: usage.input,
        output: usage.output,
        cached: usage.cached,
        cache_write: usage.cache_write,
        reasoning: usage.reasoning,
    }))
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
