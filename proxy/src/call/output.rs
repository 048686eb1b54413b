//! How long an answer may be, as a request says it.

use bytes::Bytes;

use super::{
    Call, Edit, ParseError,
    json::{DEPTH_MAX, Scanner, unquote},
    name::{CHOICES_NAMES, THINKING_NAME, TOKENS_NAMES, is_bound},
    parse,
};

/// The most that a request lets a provider answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputBound {
    /// Of one answer; `None` where the request does not say.
    pub tokens: Option<u64>,
    /// How many answers; 0 where the request does not say.
    choices: u64,
    thinking_tokens: u64,
}

impl OutputBound {
    /// Reads a request in any dialect: the fields at its top, and those in objects there.
    ///
    /// What cannot be read says nothing: whoever sends it has checked that it is JSON.
    pub fn of(body: &[u8]) -> OutputBound {
        let mut bound = OutputBound::default();
        let text = std::str::from_utf8(body).unwrap_or_default();
        let mut scanner = Scanner::new(text, DEPTH_MAX);
        // What was read before a fault counts.
        let _ = (|| {
            scanner.enter_object()?;
            while let Some(key) = scanner.key()? {
                let value = scanner.value()?;
                bound.note(&key.decode(), value);
            }
            scanner.end()
        })();
        bound
    }

    /// The most tokens in all answers together, where `tokens` is what one is bounded by.
    pub fn total(&self, tokens: u64) -> u64 {
        tokens.saturating_add(self.thinking_tokens).saturating_mul(self.choices.max(1))
    }

    /// Takes in a field at the top of a request.
    fn note(&mut self, name: &str, value: &str) {
        if name == "metadata" {
            // A client's own labels: no provider acts on them.
        } else if name == "n" {
            self.choices = self.choices.max(number(value).unwrap_or(0));
        } else if value.starts_with('{') {
            let mut scanner = Scanner::new(value, DEPTH_MAX);
            let _ = (|| {
                scanner.enter_object()?;
                while let Some(key) = scanner.key()? {
                    let value = scanner.value()?;
                    self.note_number(&key.decode(), value);
                }
                scanner.end()
            })();
        } else {
            self.note_number(name, value);
        }
    }

    fn note_number(&mut self, name: &str, value: &str) {
        let is_one_of = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if is_one_of(&TOKENS_NAMES) {
            self.tokens = self.tokens.max(number(value));
        } else if is_one_of(&CHOICES_NAMES) {
            self.choices = self.choices.max(number(value).unwrap_or(0));
        } else if is_one_of(&[THINKING_NAME]) {
            self.thinking_tokens = self.thinking_tokens.max(number(value).unwrap_or(0));
        }
    }
}

/// A number as a count, rounded up; a negative one is without limit. Some providers read a number in quotes. `None` for
/// what is no number.
fn number(value: &str) -> Option<u64> {
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(unquote);
    let value = quoted.as_deref().unwrap_or(value).trim();
    if let Ok(number) = value.parse() {
        return Some(number);
    }
    let number: f64 =
        value.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(value)?.parse().ok()?;
    // The conversion saturates.
    Some(if number < 0.0 { u64::MAX } else { number.ceil() as u64 })
}

/// The two names that OpenAI has for the same bound.
const OLD_NAME: &str = "max_tokens";
const NEW_NAME: &str = "max_completion_tokens";

impl Call {
    /// What the request as it stands lets a provider answer.
    pub fn output_bound(&self) -> OutputBound {
        let mut bound = OutputBound::default();
        for field in &self.fields {
            let name = self.text(&field.key);
            if field.escaped {
                bound.note(&super::json::unquote(&name[1..name.len() - 1]), self.text(&field.value));
            } else {
                bound.note(&name[1..name.len() - 1], self.text(&field.value));
            }
        }
        bound
    }

    /// Whether one of `edits` may change what the request lets a provider answer.
    pub fn output_bound_is_edited(edits: &[Edit]) -> bool {
        edits.iter().any(|edit| {
            let name = edit.field.as_str();
            name == "n"
                || is_bound(name)
                || edit.value.as_ref().is_some_and(|value| value.trim_ascii_start().starts_with('{'))
        })
    }

    /// Leaves one name for the most tokens of an answer: the larger bound where the client gave two, `default` where
    /// it gave none. A bound of null counts as not given. Where there is neither, the call stays without a bound.
    ///
    /// # Errors
    /// None that the call as the client wrote it did not have.
    pub fn bound_output(&mut self, default: Option<u64>) -> Result<(), ParseError> {
        let (old, new) = (self.field(OLD_NAME), self.field(NEW_NAME));
        let given = |value: Option<&str>| value.is_some_and(|value| value != "null");
        let Some(tokens) = self.output_tokens_max.or(default) else { return Ok(()) };
        match (given(old), given(new)) {
            (true, false) if new.is_none() => Ok(()),
            (false, true) if old.is_none() => Ok(()),
            (false, false) if old.is_none() && new.is_none() => {
                self.append(OLD_NAME, &tokens.to_string());
                self.output_tokens_max = Some(tokens);
                Ok(())
            }
            (false, true) => self.rewrite(&[Edit { field: OLD_NAME.to_owned(), value: None }]),
            _ => self.rewrite(&[
                Edit { field: OLD_NAME.to_owned(), value: Some(tokens.to_string()) },
                Edit { field: NEW_NAME.to_owned(), value: None },
            ]),
        }
    }

    /// Makes the edits and reads the call anew.
    fn rewrite(&mut self, edits: &[Edit]) -> Result<(), ParseError> {
        let body: Bytes = self.edited(edits);
        let template = self.template.take();
        *self = parse::read(self.operation, body, &self.bounds)?;
        self.template = template;
        Ok(())
    }
}
