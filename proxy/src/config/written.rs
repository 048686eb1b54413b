//! The file as written: tables walked key by key, so that one fault does not hide the next.
//!
//! Owns spelling and types. What a value means is for the caller, who reports back through the same door.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fault::{ConfigError, Fault, guess},
    variables::{Expanded, expand},
};

const NAME_BYTES_MAX: usize = 64;

/// Where faults are gathered while a file is read.
pub(super) struct Reading<'t> {
    /// Where each line of the text ends.
    line_ends: Vec<usize>,
    /// The line of each value that was looked at, by its path.
    lines: RefCell<BTreeMap<String, usize>>,
    env: &'t dyn Fn(&str) -> Option<String>,
    faults: RefCell<Vec<Fault>>,
    /// Whether the syntax is broken somewhere, so that what is missing may only be hidden.
    broken: bool,
    #[cfg(test)]
    pub(super) asked: RefCell<BTreeSet<String>>,
}

/// A value that must be right, beside the place to complain about.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub(super) value: T,
    path: String,
    line: usize,
}

/// One table of the file, or an empty one in its stead.
pub(super) struct Section<'r, 't> {
    reading: &'r Reading<'t>,
    path: String,
    line: usize,
    table: Option<&'r DeTable<'t>>,
    known: RefCell<BTreeSet<String>>,
}

impl<'t> Reading<'t> {
    /// Parses `text` as far as it goes. Faults of syntax are gathered first.
    pub(super) fn new(text: &'t str, env: &'t dyn Fn(&str) -> Option<String>) -> (Reading<'t>, Spanned<DeTable<'t>>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let line_ends: Vec<usize> = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        let faults = errors.iter().map(|error| Fault {
            path: String::new(),
            line: line_of(&line_ends, error.span().map_or(0, |span| span.start)),
            message: error.message().trim_end().replace('\n', ", "),
        });
        let faults = RefCell::new(faults.collect());
        let reading = Reading {
            line_ends,
            lines: RefCell::default(),
            env,
            faults,
            broken: !errors.is_empty(),
            #[cfg(test)]
            asked: RefCell::default(),
        };
        (reading, table)
    }

    pub(super) fn root<'r>(&'r self, table: &'r Spanned<DeTable<'t>>) -> Section<'r, 't> {
        Section::new(self, String::new(), 1, Some(table.get_ref()))
    }

    pub(super) fn fault<T>(&self, at: &Located<T>, message: impl Into<String>) {
        self.push(at.path.clone(), at.line, message.into());
    }

    /// Complains that something is not there. Kept back where broken syntax may be what hides it.
    pub(super) fn absent<T>(&self, at: &Located<T>, message: impl Into<String>) {
        if !self.broken {
            self.fault(at, message);
        }
    }

    fn push(&self, path: String, line: usize, message: String) {
        self.faults.borrow_mut().push(Fault { path, line, message });
    }

    /// Ends the reading: the faults, and the line of each value by its path.
    pub(super) fn finish(self) -> (ConfigError, BTreeMap<String, usize>) {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        (ConfigError(faults), self.lines.into_inner())
    }
}

impl<T> Located<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), path: self.path, line: self.line }
    }

    /// The same place with another value.
    pub(super) fn with<U>(&self, value: U) -> Located<U> {
        Located { value, path: self.path.clone(), line: self.line }
    }
}

impl<'r, 't> Section<'r, 't> {
    fn new(reading: &'r Reading<'t>, path: String, line: usize, table: Option<&'r DeTable<'t>>) -> Self {
        Section { reading, path, line, table, known: RefCell::default() }
    }

    pub(super) fn reading(&self) -> &'r Reading<'t> {
        self.reading
    }

    /// Whether the file has this table.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// The table itself as a place to complain about.
    pub(super) fn at(&self) -> Located<()> {
        Located { value: (), path: self.path.clone(), line: self.line }
    }

    fn find(&self, name: &str) -> Option<Located<&'r DeValue<'t>>> {
        #[cfg(test)]
        self.reading.asked.borrow_mut().insert(join(&self.path, name));
        self.known.borrow_mut().insert(name.to_owned());
        let value = self.table?.get(name)?;
        Some(self.place(join(&self.path, name), value))
    }

    fn place(&self, path: String, value: &'r Spanned<DeValue<'t>>) -> Located<&'r DeValue<'t>> {
        let line = line_of(&self.reading.line_ends, value.span().start);
        self.reading.lines.borrow_mut().insert(path.clone(), line);
        Located { line, path, value: value.get_ref() }
    }

    /// The place of `name`, or of the table where it is not there.
    pub(super) fn place_of(&self, name: &str) -> Located<()> {
        let value = self.table.and_then(|table| table.get(name));
        let line = value.map_or(self.line, |value| line_of(&self.reading.line_ends, value.span().start));
        Located { value: (), path: join(&self.path, name), line }
    }

    /// The lesser of a bound and the one that holds for all of its kind. A greater one that was written is a fault.
    pub(super) fn at_most(&self, name: &str, value: u64, most: (&str, u64)) -> u64 {
        if value > most.1 && self.has(name) {
            let message = format!("must be at most `{}`, which is {}", most.0, most.1);
            self.reading.fault(&self.place_of(name), message);
        }
        value.min(most.1)
    }

    /// The value of `name` if it has the wanted type; another type is a fault.
    fn typed<T>(&self, name: &str, wanted: &str, get: impl FnOnce(&'r DeValue<'t>) -> Option<T>) -> Option<Located<T>> {
        let found = self.find(name)?;
        let got = get(found.value);
        if got.is_none() {
            self.reading.fault(&found, format!("must be {wanted}, not {}", kind(found.value)));
        }
        got.map(|got| found.with(got))
    }

    /// Text as it stands in the file, its `${…}` left alone.
    pub(super) fn verbatim(&self, name: &str) -> Option<Located<String>> {
        self.typed(name, "text", DeValue::as_str).map(|at| at.map(str::to_owned))
    }

    /// Text with its variables replaced; an unset one is a fault.
    pub(super) fn text(&self, name: &str) -> Option<Located<String>> {
        match self.expanded(&self.verbatim(name)?)? {
            Located { value: Expanded::Text(text), path, line } => Some(Located { value: text, path, line }),
            Located { value: Expanded::Unset(names), path, line } => {
                let verb = if names.len() == 1 { "is" } else { "are" };
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                let message = format!("{} {verb} not set in the environment", names.join(" and "));
                self.reading.push(path, line, message);
                None
            }
        }
    }

    /// Text whose variables may be unset.
    pub(super) fn expandable(&self, name: &str) -> Option<Located<Expanded>> {
        self.expanded(&self.verbatim(name)?)
    }

    pub(super) fn expanded(&self, text: &Located<String>) -> Option<Located<Expanded>> {
        match expand(&text.value, self.reading.env) {
            Ok(expanded) => Some(text.with(expanded)),
            Err(fault) => {
                self.reading.fault(text, fault);
                None
            }
        }
    }

    /// A list of texts, as they stand in the file.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<Located<String>>> {
        let list = self.typed(name, "a list of texts", DeValue::as_array)?;
        let mut texts = Vec::new();
        for (at, value) in list.value.iter().enumerate() {
            let entry = self.place(format!("{}[{at}]", list.path), value);
            match entry.value.as_str() {
                Some(text) => texts.push(entry.with(text.to_owned())),
                None => self.reading.fault(&entry, format!("must be text, not {}", kind(entry.value))),
            }
        }
        Some(texts)
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.typed(name, "true or false", DeValue::as_bool).map_or(default, |at| at.value)
    }

    /// A whole number within `range`, if it is there.
    pub(super) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let number = self.typed(name, "a whole number", DeValue::as_integer)?;
        let value = i128::from_str_radix(number.value.as_str(), number.value.radix()).ok();
        let fits = value.and_then(|value| u64::try_from(value).ok()).filter(|value| range.contains(value));
        if fits.is_none() {
            let message = match (range.start(), range.end()) {
                (least, &u64::MAX) => format!("must be {least} or more"),
                (least, most) => format!("must be {least} to {most}"),
            };
            self.reading.fault(&number, message);
        }
        fits
    }

    /// A whole number within `range`, or the default.
    pub(super) fn number_or(&self, name: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.number(name, range).unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(word) = self.text(name) else { return default };
        if let Some((_, choice)) = choices.iter().find(|(known, _)| *known == word.value) {
            return *choice;
        }
        let known: Vec<String> = choices.iter().map(|(known, _)| format!("`{known}`")).collect();
        self.reading.fault(&word, format!("must be one of {}, not `{}`", known.join(", "), word.value));
        default
    }

    /// The text of a date and time, quoted or not.
    pub(super) fn rfc3339(&self, name: &str) -> Option<Located<String>> {
        let text = |value: &'r DeValue<'t>| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Datetime(rfc3339) => Some(rfc3339.to_string()),
            _ => None,
        };
        self.typed(name, "a date and time", text)
    }

    /// A table whose keys are not ours to know.
    pub(super) fn foreign(&self, name: &str) -> Option<Located<&'r DeTable<'t>>> {
        self.typed(name, "a table", DeValue::as_table)
    }

    /// The table of this name; an empty one if it is not there.
    pub(super) fn section(&self, name: &str) -> Section<'r, 't> {
        let found = self.typed(name, "a table", DeValue::as_table);
        match found {
            Some(Located { value, path, line }) => Section::new(self.reading, path, line, Some(value)),
            None => Section::new(self.reading, join(&self.path, name), self.line, None),
        }
    }

    /// Every table in this one that is not known by name, with its own name.
    pub(super) fn named(&self) -> Vec<(String, Section<'r, 't>)> {
        let mut named = Vec::new();
        for (name, value) in self.table.into_iter().flatten() {
            let name: &str = name.get_ref();
            let is_known = self.known.borrow().contains(name);
            if let (false, Some(table)) = (is_known, value.get_ref().as_table()) {
                let at = self.place(join(&self.path, name), value);
                self.known.borrow_mut().insert(name.to_owned());
                named.push((name.to_owned(), Section::new(self.reading, at.path, at.line, Some(table))));
            }
        }
        named
    }

    /// The tables of a list.
    pub(super) fn list(&self, name: &str) -> Vec<Section<'r, 't>> {
        let Some(list) = self.typed(name, "a list of tables", DeValue::as_array) else { return Vec::new() };
        let mut sections = Vec::new();
        for (at, value) in list.value.iter().enumerate() {
            let entry = self.place(format!("{}[{at}]", list.path), value);
            match entry.value.as_table() {
                Some(table) => sections.push(Section::new(self.reading, entry.path, entry.line, Some(table))),
                None => self.reading.fault(&entry, format!("must be a table, not {}", kind(entry.value))),
            }
        }
        sections
    }

    /// Complains about the name of a table that could not stand in a path, a label or a log line.
    pub(super) fn check_name(&self, name: &Located<String>) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.value.is_empty() || name.value.len() > NAME_BYTES_MAX || !name.value.bytes().all(plain) {
            self.reading
                .fault(name, format!("a name must have 1 to {NAME_BYTES_MAX} letters, digits, `_`, `-` or `.`"));
        } else if name.value.bytes().all(|byte| byte == b'.') {
            // As a file's name or a step of a path it would be another place.
            self.reading.fault(name, "a name must not be dots alone");
        }
    }

    /// Complains that `name` is not there.
    pub(super) fn missing(&self, name: &str) {
        self.reading.absent(&Located { value: (), path: join(&self.path, name), line: self.line }, "is missing");
    }

    /// Whether the file has a value of this name, of whatever type.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Complains about every key that nobody asked for.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for (name, value) in self.table.into_iter().flatten() {
            if !known.contains::<str>(name.get_ref()) {
                let at = Located {
                    value: (),
                    path: join(&self.path, name.get_ref()),
                    line: line_of(&self.reading.line_ends, name.span().start.min(value.span().start)),
                };
                let guess = guess(name.get_ref(), known.iter().map(String::as_str));
                self.reading.fault(&at, format!("unknown key{guess}"));
            }
        }
    }
}

fn join(path: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The line of a byte, counted from 1.
fn line_of(line_ends: &[usize], at: usize) -> usize {
    1 + line_ends.partition_point(|end| *end < at)
}
