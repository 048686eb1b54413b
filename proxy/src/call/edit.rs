//! Changing a call without rewriting it: untouched bytes are copied as they stand.

use std::ops::Range;

use bytes::Bytes;

use super::{
    Call, Field,
    json::{TextSize, push_quoted},
};

/// One top-level field to set, or to remove where `value` is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub field: String,
    /// JSON text; see `json::check`.
    pub value: Option<String>,
}

/// Where a message is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    First,
    Last,
}

impl Call {
    /// The body with `edits` made: fields are set or removed where they stand, new ones come last. Of two edits of one
    /// field the later counts.
    ///
    /// Values are spliced in as they are: it is for the caller to have checked that they are JSON.
    pub fn edited(&self, edits: &[Edit]) -> Bytes {
        let mut len = 0;
        self.splice(edits, |piece| len += piece.len());
        let mut body = Vec::with_capacity(len);
        self.splice(edits, |piece| body.extend_from_slice(piece));
        Bytes::from(body)
    }

    /// Gives the pieces of the edited body in order.
    fn splice(&self, edits: &[Edit], mut piece: impl FnMut(&[u8])) {
        // The body stands in the output up to here.
        let mut copied = 0;
        let mut previous: Option<&Field> = None;
        let mut kept = false;
        for (index, field) in self.fields.iter().enumerate() {
            match edits.iter().rfind(|edit| field.is(&self.body, &edit.field)) {
                None => kept = true,
                Some(Edit { value: Some(value), .. }) => {
                    piece(&self.body[copied..field.value.start]);
                    piece(value.as_bytes());
                    copied = field.value.end;
                    kept = true;
                }
                Some(Edit { value: None, .. }) => {
                    let gone = self.removal(index, previous.filter(|_| kept));
                    piece(&self.body[copied..gone.start]);
                    copied = gone.end;
                }
            }
            previous = Some(field);
        }
        let end = self.fields_end();
        piece(&self.body[copied..end]);
        for (index, edit) in edits.iter().enumerate() {
            let Edit { field, value: Some(value) } = edit else { continue };
            let is_last = edits[index + 1..].iter().all(|later| later.field != *field);
            if is_last && self.field(field).is_none() {
                piece(&member(field, value, kept));
                kept = true;
            }
        }
        piece(&self.body[end..]);
    }

    /// What goes with a removed field: the comma before it if a field stands there, else the one after it.
    fn removal(&self, index: usize, before: Option<&Field>) -> Range<usize> {
        let field = &self.fields[index];
        match (before, self.fields.get(index + 1)) {
            (Some(before), _) => before.value.end..field.value.end,
            (None, Some(after)) => field.key.start..after.key.start,
            (None, None) => field.key.start..field.value.end,
        }
    }

    /// The end of the last field, or of the opening brace.
    fn fields_end(&self) -> usize {
        let brace = || self.body.iter().position(|&byte| byte == b'{').map_or(0, |at| at + 1);
        self.fields.last().map_or_else(brace, |field| field.value.end)
    }

    /// Adds a message before or after all others.
    pub fn with_message(&mut self, role: &str, text: &str, place: Place) {
        let mut message = b"{\"role\":".to_vec();
        push_quoted(role, &mut message);
        message.extend_from_slice(b",\"content\":");
        push_quoted(text, &mut message);
        message.push(b'}');
        let position = self.fields.iter().position(|field| field.is(&self.body, "messages"));
        match position.map(|index| self.fields[index].value.clone()) {
            Some(value) => {
                let empty = self.prompt_size.messages == 0;
                let at = match place {
                    Place::First => {
                        message.extend_from_slice(if empty { b"" } else { b"," });
                        value.start + 1
                    }
                    Place::Last => {
                        message.splice(0..0, (!empty).then_some(b','));
                        value.end - 1
                    }
                };
                self.insert(at, &message);
            }
            None => {
                let messages = [b"[", message.as_slice(), b"]"].concat();
                self.append("messages", std::str::from_utf8(&messages).expect("quoting text makes text"));
            }
        }
        self.prompt_size.messages = self.prompt_size.messages.saturating_add(1);
        self.prompt_size.text(TextSize::of(text));
    }

    /// Adds a field that is not there yet.
    pub(super) fn append(&mut self, name: &str, value: &str) {
        let follows = !self.fields.is_empty();
        let member = member(name, value, follows);
        let start = self.fields_end();
        let end = start + member.len();
        self.insert(start, &member);
        let value = end - value.len()..end;
        let key = start + usize::from(follows)..value.start - 1;
        let escaped = self.body[key.clone()].contains(&b'\\');
        self.fields.push(Field { key, escaped, value });
    }

    /// Puts `piece` at `at`, which lies inside a value or between fields.
    fn insert(&mut self, at: usize, piece: &[u8]) {
        self.body = Bytes::from([&self.body[..at], piece, &self.body[at..]].concat());
        let moved = |offset: usize| if offset > at { offset + piece.len() } else { offset };
        for Field { key, value, .. } in &mut self.fields {
            *key = moved(key.start)..moved(key.end);
            *value = moved(value.start)..moved(value.end);
        }
    }
}

/// `"name":value`, after a comma if another member precedes it.
fn member(name: &str, value: &str, follows: bool) -> Vec<u8> {
    let mut member = Vec::with_capacity(name.len() + value.len() + 4);
    member.extend_from_slice(if follows { b"," } else { b"" });
    push_quoted(name, &mut member);
    member.push(b':');
    member.extend_from_slice(value.as_bytes());
    member
}
