//! From bytes to a call, in one pass.

use bytes::Bytes;

use super::{
    Bounds, Call, Edit, Field, Operation, ParseError, PromptSize, Template,
    expect::{expect, flag, integer},
    json::{Expected, Kind, Scanner},
    name::{is_bound, misspelt},
    shape,
};

/// Longest name of a top-level field, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Longest model name, in characters.
const MODEL_CHARS_MAX: usize = 256;
/// `n` at most.
const CHOICES_MAX: u64 = 128;

/// What the known fields said.
#[derive(Debug, Default)]
pub(super) struct KnownFields {
    pub(super) model: Option<String>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) max_tokens: Option<u64>,
    pub(super) max_completion_tokens: Option<u64>,
    pub(super) choices: Option<u64>,
    pub(super) encoding_base64: bool,
    pub(super) template: Option<Template>,
    pub(super) prompt_size: PromptSize,
}

impl Call {
    /// Reads a request in one pass.
    ///
    /// Refuses what is not strict JSON in UTF-8, what exceeds `bounds`, a top-level field given twice, and a field that
    /// the gateway acts on when it has the wrong type. All other fields, and the inside of messages, ride along.
    pub fn parse(operation: Operation, body: Bytes, bounds: &Bounds) -> Result<Call, ParseError> {
        let mut call = read(operation, body, bounds)?;
        if operation == Operation::Chat && call.field("template").is_some() {
            // The extension is ours: no provider knows it.
            let template = call.template.take();
            let body = call.edited(&[Edit { field: "template".to_owned(), value: None }]);
            call = read(operation, body, bounds)?;
            call.template = template;
        }
        call.require()?;
        Ok(call)
    }

    /// The fields without which there is no call.
    fn require(&self) -> Result<(), ParseError> {
        if self.model.is_empty() {
            return Err(ParseError::Missing("model".to_owned()));
        }
        match self.operation {
            Operation::Chat if self.template.is_some() => Ok(()),
            Operation::Chat => match (self.field("messages"), self.field("input")) {
                (None, Some(_)) => Err(ParseError::ResponsesBody),
                (None, None) => Err(ParseError::Missing("messages".to_owned())),
                (Some(_), _) if self.prompt_size.messages == 0 => Err(ParseError::Value {
                    param: "messages".to_owned(),
                    why: "expected an array with at least one message, but got an empty array",
                }),
                (Some(_), _) => Ok(()),
            },
            Operation::Embeddings if self.field("input").is_none() => Err(ParseError::Missing("input".to_owned())),
            Operation::Embeddings => Ok(()),
        }
    }
}

pub(super) fn read(operation: Operation, body: Bytes, bounds: &Bounds) -> Result<Call, ParseError> {
    let text = std::str::from_utf8(&body).map_err(|error| ParseError::Json {
        at: u32::try_from(error.valid_up_to()).unwrap_or(u32::MAX),
        expected: Expected::Utf8,
        param: None,
    })?;
    let mut known_fields = KnownFields::default();
    let mut fields: Vec<Field> = Vec::with_capacity(16);
    let mut scanner = Scanner::new(text, bounds.depth_max).within(bounds.values_max, bounds.object_fields_max);
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        if fields.len() == bounds.fields_max {
            return Err(ParseError::TooMany { what: "top-level fields", max: bounds.fields_max });
        }
        let name = key.decode();
        if key.raw.len() > NAME_BYTES_MAX {
            let param = name.chars().take(64).collect();
            return Err(ParseError::Value { param, why: "no field has so long a name" });
        }
        if fields.iter().any(|field| field.is(text.as_bytes(), &name)) {
            return Err(ParseError::Duplicate(name.into_owned()));
        }
        if let Some(known) = misspelt(&name) {
            return Err(ParseError::Misspelt { name: name.into_owned(), known });
        }
        scanner.kind()?;
        let start = scanner.at();
        known(operation, &name, &mut scanner, &mut known_fields, bounds)
            .map_err(|error| error.in_field(|| name.clone().into_owned()))?;
        let value = start..scanner.at();
        fields.push(Field { key: key.at..key.at + key.raw.len() + 2, escaped: key.escaped, value });
    }
    scanner.end()?;
    Ok(Call {
        operation,
        stream: known_fields.stream,
        include_usage: known_fields.include_usage,
        output_tokens_max: known_fields.max_completion_tokens.max(known_fields.max_tokens),
        choices: choices(&known_fields),
        encoding_base64: known_fields.encoding_base64,
        model: known_fields.model.unwrap_or_default(),
        template: known_fields.template,
        prompt_size: known_fields.prompt_size,
        body,
        fields,
        bounds: bounds.clone(),
    })
}

fn choices(known_fields: &KnownFields) -> u32 {
    known_fields.choices.and_then(|n| u32::try_from(n).ok()).unwrap_or(1)
}

/// Reads the value of the top-level field `name`, checking it if the gateway acts on it.
fn known(
    operation: Operation,
    name: &str,
    scanner: &mut Scanner<'_>,
    known_fields: &mut KnownFields,
    bounds: &Bounds,
) -> Result<(), ParseError> {
    use Operation::{Chat, Embeddings};
    match (operation, name) {
        (_, "model") => known_fields.model = Some(model(scanner)?),
        (Chat, "messages") => shape::messages(scanner, &mut known_fields.prompt_size, bounds)?,
        (Chat, "template") => known_fields.template = shape::template(scanner)?,
        (Chat, "tools" | "functions" | "response_format") => known_fields.prompt_size.json(scanner.value()?),
        (Chat, "stream") => known_fields.stream = flag(scanner, "stream")?,
        (Chat, "stream_options") => known_fields.include_usage = shape::stream_options(scanner)?,
        (Chat, "max_tokens") => known_fields.max_tokens = integer(scanner, "max_tokens")?,
        (Chat, "max_completion_tokens") => {
            known_fields.max_completion_tokens = integer(scanner, "max_completion_tokens")?
        }
        (Chat, "n") => {
            known_fields.choices = integer(scanner, "n")?;
            if known_fields.choices.is_some_and(|n| n == 0 || n > CHOICES_MAX) {
                return Err(ParseError::Value { param: "n".to_owned(), why: "expected an integer from 1 to 128" });
            }
        }
        (Embeddings, "input") => shape::input(scanner, &mut known_fields.prompt_size)?,
        (Embeddings, "encoding_format") => known_fields.encoding_base64 = shape::encoding_format(scanner)?,
        (_, name) if is_bound(name) => {
            // Some providers read a number in quotes.
            expect(scanner, &[Kind::Number, Kind::Null], "a number", || name.to_owned())?;
            scanner.value()?;
        }
        _ => {
            scanner.value()?;
        }
    }
    Ok(())
}

fn model(scanner: &mut Scanner<'_>) -> Result<String, ParseError> {
    expect(scanner, &[Kind::String], "a string", || "model".to_owned())?;
    let model = scanner.string()?.decode();
    let why = if model.is_empty() {
        "expected a model's name, but got an empty string"
    } else if model.len() > MODEL_CHARS_MAX && model.chars().count() > MODEL_CHARS_MAX {
        "expected a name of at most 256 characters"
    } else if model.chars().any(char::is_control) {
        "expected a name without control characters"
    } else {
        return Ok(model.into_owned());
    };
    Err(ParseError::Value { param: "model".to_owned(), why })
}
