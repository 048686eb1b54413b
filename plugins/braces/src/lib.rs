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

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use tollgate_plugin::{Fault, RenderError, Renderer, RendererDescription, json::Value};

use pieces::{Piece, pieces};

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
        let variables = match Value::parse(variables) {
            Ok(Value::Object(variables)) => variables,
            _ => return Err(RenderError::Invalid(fault(source, 0, "the variables are not a JSON object"))),
        };
        // A template may name a variable often, and be given many: none is looked for among all of them.
        let by_name: BTreeMap<&str, &Value<'_>> = variables.iter().collect();
        let mut text = String::with_capacity(source.len() * 2);
        for piece in pieces(source) {
            match piece.map_err(RenderError::Invalid)? {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Variable(name) => match by_name.get(name).ok_or_else(|| RenderError::Missing(name.into()))? {
                    Value::String(value) => text.push_str(value),
                    value => text.push_str(&value.to_json()),
                },
            }
        }
        Ok(text)
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
