//! The fields with a shape of their own: messages, embedding inputs, templates, options.

use super::{
    Bounds, ParseError, PromptSize, Template,
    expect::{expect, flag},
    json::{JsonError, Kind, Scanner, Token},
    part::PartStrings,
};

/// Inputs of one embeddings call.
const INPUTS_MAX: usize = 2048;

/// An array of objects, each with a string `role`. Whether it may be empty is for the caller to say.
pub(super) fn messages(
    scanner: &mut Scanner<'_>,
    prompt_size: &mut PromptSize,
    bounds: &Bounds,
) -> Result<(), ParseError> {
    expect(scanner, &[Kind::Array], "an array of objects", || "messages".to_owned())?;
    scanner.enter_array()?;
    let mut index = 0;
    while scanner.element()? {
        if index == bounds.messages_max {
            return Err(ParseError::TooMany { what: "messages", max: bounds.messages_max });
        }
        expect(scanner, &[Kind::Object], "an object", || format!("messages[{index}]"))?;
        scanner.enter_object()?;
        let mut has_role = false;
        let mut strings = PartStrings::default();
        while let Some(key) = scanner.key()? {
            if key.is("role") {
                expect(scanner, &[Kind::String], "a string", || format!("messages[{index}].role"))?;
                scanner.value()?;
                has_role = true;
            } else if scanner.kind()? == Kind::Array {
                scanner.enter_array()?;
                while scanner.element()? {
                    let mut strings = PartStrings::default();
                    part(scanner, key, &mut strings, prompt_size).map_err(|error| named(error, index, key))?;
                    strings.finish(prompt_size);
                }
            } else {
                part(scanner, key, &mut strings, prompt_size).map_err(|error| named(error, index, key))?;
            }
        }
        if !has_role {
            return Err(ParseError::Missing(format!("messages[{index}].role")));
        }
        strings.finish(prompt_size);
        index += 1;
    }
    prompt_size.messages = u32::try_from(index).unwrap_or(u32::MAX);
    Ok(())
}

/// A fault in the message of this index, below `key`.
fn named(error: JsonError, index: usize, key: Token<'_>) -> ParseError {
    ParseError::from(error).in_field(|| format!("messages[{index}].{}", key.decode()))
}

/// Measures the next value, which stands below `key` or in a list there.
fn part<'a>(
    scanner: &mut Scanner<'a>,
    key: Token<'a>,
    strings: &mut PartStrings,
    prompt_size: &mut PromptSize,
) -> Result<(), JsonError> {
    scanner.value_visiting(|name, value| {
        strings.note(prompt_size, if name.raw.is_empty() { key } else { name }, value);
    })?;
    Ok(())
}

/// A string, or an array of strings, of token ids, or of arrays of token ids.
pub(super) fn input(scanner: &mut Scanner<'_>, prompt_size: &mut PromptSize) -> Result<(), ParseError> {
    const EXPECTED: &str = "a string or an array";
    if expect(scanner, &[Kind::String, Kind::Array], EXPECTED, || "input".to_owned())? == Kind::String {
        return text_input(scanner, prompt_size, || "input".to_owned());
    }
    scanner.enter_array()?;
    let mut index = 0;
    let mut all = None;
    while scanner.element()? {
        let item = || format!("input[{index}]");
        let found = expect(scanner, &[Kind::String, Kind::Number, Kind::Array], "a string or token ids", item)?;
        if *all.get_or_insert(found) != found {
            let expected = "an element of the same type as the first";
            return Err(ParseError::Type { param: item(), expected, found });
        }
        match found {
            Kind::String => text_input(scanner, prompt_size, item)?,
            Kind::Array => token_ids(scanner, prompt_size, item)?,
            _ => token_id(scanner, prompt_size, item)?,
        }
        index += 1;
        if index > INPUTS_MAX && found != Kind::Number {
            return Err(ParseError::Value { param: "input".to_owned(), why: "expected at most 2048 inputs" });
        }
    }
    if index == 0 {
        let why = "expected an array with at least one input, but got an empty array";
        return Err(ParseError::Value { param: "input".to_owned(), why });
    }
    Ok(())
}

fn text_input(
    scanner: &mut Scanner<'_>,
    prompt_size: &mut PromptSize,
    param: impl FnOnce() -> String,
) -> Result<(), ParseError> {
    let text = scanner.string()?;
    if text.raw.is_empty() {
        return Err(ParseError::Value { param: param(), why: "expected a text, but got an empty string" });
    }
    prompt_size.text(text.size());
    Ok(())
}

fn token_ids(
    scanner: &mut Scanner<'_>,
    prompt_size: &mut PromptSize,
    param: impl Fn() -> String,
) -> Result<(), ParseError> {
    scanner.enter_array()?;
    let before = prompt_size.token_ids;
    while scanner.element()? {
        expect(scanner, &[Kind::Number], "an array of token ids", &param)?;
        token_id(scanner, prompt_size, &param)?;
    }
    if prompt_size.token_ids == before {
        return Err(ParseError::Value { param: param(), why: "expected token ids, but got an empty array" });
    }
    Ok(())
}

fn token_id(
    scanner: &mut Scanner<'_>,
    prompt_size: &mut PromptSize,
    param: impl FnOnce() -> String,
) -> Result<(), ParseError> {
    if scanner.value()?.parse::<u32>().is_err() {
        return Err(ParseError::Value { param: param(), why: "expected token ids, which are non-negative integers" });
    }
    prompt_size.token_ids += 1;
    Ok(())
}

/// `{"name": string, "variables": object}`, or null for none. Variables may be left out, or null.
pub(super) fn template(scanner: &mut Scanner<'_>) -> Result<Option<Template>, ParseError> {
    if expect(scanner, &[Kind::Object, Kind::Null], "an object", || "template".to_owned())? == Kind::Null {
        scanner.value()?;
        return Ok(None);
    }
    let mut name = None;
    let mut variables_json = None;
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        if key.is("name") {
            expect(scanner, &[Kind::String], "a string", || "template.name".to_owned())?;
            name = Some(scanner.string()?.decode().into_owned());
        } else if key.is("variables") {
            let kind = expect(scanner, &[Kind::Object, Kind::Null], "an object", || "template.variables".to_owned())?;
            let value = scanner.value()?;
            variables_json = (kind == Kind::Object).then(|| value.to_owned());
        } else {
            scanner.value()?;
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| ParseError::Missing("template.name".to_owned()))?;
    Ok(Some(Template { name, variables_json: variables_json.unwrap_or_else(|| "{}".to_owned()) }))
}

/// Whether usage is asked for.
pub(super) fn stream_options(scanner: &mut Scanner<'_>) -> Result<bool, ParseError> {
    if expect(scanner, &[Kind::Object, Kind::Null], "an object", || "stream_options".to_owned())? == Kind::Null {
        scanner.value()?;
        return Ok(false);
    }
    let mut include_usage = false;
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        if key.is("include_usage") {
            include_usage = flag(scanner, "stream_options.include_usage")?;
        } else {
            scanner.value()?;
        }
    }
    Ok(include_usage)
}

/// Whether embeddings are asked for as base64.
pub(super) fn encoding_format(scanner: &mut Scanner<'_>) -> Result<bool, ParseError> {
    let param = || "encoding_format".to_owned();
    if expect(scanner, &[Kind::String, Kind::Null], "a string", param)? == Kind::Null {
        scanner.value()?;
        return Ok(false);
    }
    let format = scanner.string()?;
    if format.is("base64") {
        Ok(true)
    } else if format.is("float") {
        Ok(false)
    } else {
        Err(ParseError::Value { param: param(), why: "expected 'float' or 'base64'" })
    }
}
