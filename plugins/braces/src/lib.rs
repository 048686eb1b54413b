//! Templates with `{variable}` in braces.
//!
//! - `{name}` is a variable; a name is ASCII letters, digits and `_`, and does not begin with a digit.
//! - `{{` is one literal `{`, and `}}` one literal `}`, so `{{name}}` is the text `{name}`.
//! - Any other brace is text. JSON in a template survives: in `{"a": {"b": 1}}` the `}}` closes two braces that were
//!   opened one by one, so both stay.
//! - Two things that look like mistakes are faults: `{name` at the end of the template, and a name with other letters
//!   than ASCII's.
//!
//! A value is put in as it is: a string as its text, anything else as JSON.
//! Invariant: a value is never itself expanded.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod pieces;

use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};

use tollgate_plugin::{Fault, RenderError, Renderer, RendererDescription, json::Value};

use pieces::{Piece, pieces};

/// So much longer than the template and its variables together the text may be, in bytes: each naming of a variable
/// repeats its value, and beyond some megabytes more the gateway would end the plugin.
const TEXT_BYTES_MORE: usize = 4 << 20;

/// The renderer for braces.
pub struct Braces;

impl Renderer for Braces {
    fn describe() -> RendererDescription {
        RendererDescription { name: "braces".into(), version: env!("CARGO_PKG_VERSION").into() }
    }

    fn check(source: &str) -> Result<Vec<String>, Fault> {
        let (mut known, mut names) = (BTreeMap::new(), Vec::new());
        for piece in pieces(source) {
            match piece? {
                Piece::Variable(name) if known.insert(name, &Value::Null).is_none() => names.push(name.into()),
                _ => {}
            }
        }
        Ok(names)
    }

    fn render(source: &str, variables: &str) -> Result<String, RenderError> {
        let bytes_max = source.len() + variables.len() + TEXT_BYTES_MORE;
        let variables = match Value::parse(variables) {
            Ok(Value::Object(variables)) => variables,
            _ => return Err(RenderError::Invalid(fault(source, 0, "the variables are not a JSON object"))),
        };
        // A template may name a variable often, and be given many: none is looked for among all of them.
        let by_name: BTreeMap<&str, &Value<'_>> = variables.iter().collect();
        let mut shown: BTreeMap<&str, Cow<'_, str>> = BTreeMap::new();
        let mut bytes = 0;
        for piece in pieces(source) {
            bytes += match piece.map_err(RenderError::Invalid)? {
                Piece::Text(literal) => literal.len(),
                Piece::Variable(name) => match shown.get(name) {
                    Some(text) => text.len(),
                    None => {
                        let value = by_name.get(name).ok_or_else(|| RenderError::Missing(name.into()))?;
                        shown.entry(name).or_insert(as_text(value)).len()
                    }
                },
            };
            if bytes > bytes_max {
                return Err(RenderError::Invalid(fault(source, 0, "with these variables the text is too long")));
            }
        }
        let mut text = String::with_capacity(bytes);
        for piece in pieces(source) {
            match piece.map_err(RenderError::Invalid)? {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Variable(name) => text.push_str(&shown[name]),
            }
        }
        Ok(text)
    }
}

/// A value as it is put in.
fn as_text<'a>(value: &'a Value<'_>) -> Cow<'a, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        value => Cow::Owned(value.to_json()),
    }
}

/// A fault at this byte of the source.
fn fault(source: &str, at: usize, message: &str) -> Fault {
    let before = &source[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Fault {
        line: count(before.matches('\n').count() + 1),
        column: count(before[line_start..].chars().count() + 1),
        message: message.into(),
    }
}

tollgate_plugin::export_renderer!(Braces);
