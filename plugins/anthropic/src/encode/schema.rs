//! JSON Schemas as the provider takes them.
//!
//! A tool's input may say nearly anything, but not that it is one of several things as a whole. An output format and a
//! strict tool's input may say little: what else the client's schema says goes into the descriptions, for the model to
//! read.

use alloc::{borrow::Cow, string::String, vec::Vec};

use tollgate_plugin::json::{DEPTH_MAX, Object, Value, Writer};

use crate::names::{Numbered, push_hash};

/// The schema of a tool that takes nothing.
pub(super) const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

const UNIONS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// Names of properties in the branches of a union together.
const NAMES_MAX: usize = 1024;
/// What stands around the input schema of a tool: the request, its tools and the tool.
const DEPTH_AROUND: usize = 3;
/// Bytes of JSON that the descriptions of a request's schemas may be given to tell: there it stands once more, escaped.
const TOLD_BYTES_MAX: usize = 1 << 20;
const TELLS_TOO_MUCH: &str = "The request's schemas say more than 1 MiB that the provider takes in words alone.";
/// Definitions that all references of a union's branches may be looked for among, each time anew.
const DEFINITIONS_MAX: usize = 65_536;

/// The schema of a tool's input, which must say that it is an object.
///
/// # Errors
/// A sentence, where `parameters` says that it is something else, nests too deep, or has to be told at length.
pub(super) fn input(parameters: Option<&Value<'_>>, told: &mut Told) -> Result<String, &'static str> {
    const NO_OBJECT: &str = "The parameters must be a JSON Schema of type object.";
    let Some(parameters) = parameters else { return Ok(NO_PARAMETERS.into()) };
    let schema = parameters.as_object().ok_or(NO_OBJECT)?;
    if schema.is_empty() {
        return Ok(NO_PARAMETERS.into());
    }
    let is_object = match schema.get("type") {
        None => true,
        Some(Value::Array(types)) => types.iter().any(|name| name.as_str() == Some("object")),
        Some(name) => name.as_str() == Some("object"),
    };
    if !is_object {
        return Err(NO_OBJECT);
    }
    let mut writer = Writer::new();
    if UNIONS.iter().any(|union| schema.get(union).is_some()) {
        MergedUnion::of(schema)?.write(&mut writer, schema, told)?;
    } else {
        writer.object(|w| {
            w.key("type").string("object");
            for (name, value) in schema.iter().filter(|(name, value)| *name != "type" && !value.is_null()) {
                w.key(name).value(value);
            }
        });
    }
    if writer.depth() > DEPTH_MAX - DEPTH_AROUND {
        return Err("The parameters are nested too deep.");
    }
    Ok(writer.finish())
}

/// The branches of a union as one object with the fields of all of them, of which those are required that every branch
/// requires.
#[derive(Default)]
struct MergedUnion<'a> {
    properties: Vec<(&'a str, Vec<&'a Value<'a>>)>,
    /// Where in `properties` each name stands.
    places: Numbered<'a>,
    /// The schemas of each name.
    schemas: Numbered<'a>,
    /// Names of properties seen, those that are required among them once more.
    names: usize,
    required: Vec<&'a str>,
    /// The names in `required`.
    known: Numbered<'a>,
}

impl<'a> MergedUnion<'a> {
    fn of(schema: &'a Object<'a>) -> Result<Self, &'static str> {
        let mut merged = Self::default();
        merged.add(schema)?;
        required(schema).for_each(|name| merged.require(name));
        let mut looked_through = 0;
        for union in UNIONS {
            let mut branches = Vec::new();
            for branch in schema.get(union).and_then(Value::as_array).unwrap_or_default() {
                branches.extend(resolved(schema, branch, &mut looked_through));
                if looked_through > DEFINITIONS_MAX {
                    return Err("The branches of the parameters' union refer to too many definitions.");
                }
            }
            for branch in &branches {
                merged.add(branch)?;
            }
            if union == "allOf" {
                branches.iter().flat_map(|branch| required(branch)).for_each(|name| merged.require(name));
            } else if let Some(first) = branches.first() {
                let everywhere = required_by_all(&branches);
                required(first).filter(|name| everywhere.get(*name) == Some(&branches.len())).for_each(|name| {
                    merged.require(name);
                });
            }
        }
        Ok(merged)
    }

    fn require(&mut self, name: &'a str) {
        if self.known.insert(Cow::Borrowed(name), 0).is_none() {
            self.required.push(name);
        }
    }

    fn add(&mut self, branch: &'a Object<'a>) -> Result<(), &'static str> {
        let properties = branch.get("properties").and_then(Value::as_object);
        self.names += properties.map_or(0, Object::len) + required(branch).count();
        if self.names > NAMES_MAX {
            return Err("The branches of the parameters' union must name at most 1024 properties.");
        }
        for (name, schema) in properties.into_iter().flat_map(Object::iter) {
            let mut key = String::from(name);
            push_hash(&mut key, &schema.to_json());
            if self.schemas.insert(Cow::Owned(key), 0).is_some() {
                continue;
            }
            match self.places.get(name) {
                Some(place) => self.properties[*place].1.push(schema),
                None => {
                    self.places.insert(Cow::Borrowed(name), self.properties.len());
                    self.properties.push((name, Vec::from([schema])));
                }
            }
        }
        Ok(())
    }

    fn write(&self, w: &mut Writer, schema: &Object<'_>, told: &mut Told) -> Result<(), &'static str> {
        let described = told.described(schema, |name, value| UNIONS.contains(&name) && !value.is_null());
        if told.is_too_much() {
            return Err(TELLS_TOO_MUCH);
        }
        w.object(|w| {
            w.key("type").string("object");
            w.key("properties").object(|w| {
                for (name, schemas) in &self.properties {
                    match schemas.as_slice() {
                        [schema] => w.key(name).value(schema),
                        several => w.key(name).object(|w| {
                            w.key("anyOf").array(|w| several.iter().for_each(|schema| w.value(schema)));
                        }),
                    }
                }
            });
            if !self.required.is_empty() {
                w.key("required").array(|w| self.required.iter().for_each(|name| w.string(name)));
            }
            w.key("description").string(&described);
            for (name, value) in schema.iter() {
                let is_written = matches!(name, "type" | "properties" | "required" | "description");
                if !UNIONS.contains(&name) && !is_written && !value.is_null() {
                    w.key(name).value(value);
                }
            }
        });
        Ok(())
    }
}

fn required<'a>(schema: &'a Object<'a>) -> impl Iterator<Item = &'a str> {
    schema.get("required").and_then(Value::as_array).unwrap_or_default().iter().filter_map(Value::as_str)
}

/// In how many of the first branches, without a gap, each name is required that the first one requires.
fn required_by_all<'a>(branches: &[&'a Object<'a>]) -> Numbered<'a> {
    let mut names = Numbered::new();
    for (before, branch) in branches.iter().enumerate() {
        for name in required(branch) {
            match names.get_mut(name) {
                Some(count) if *count == before => *count += 1,
                None if before == 0 => drop(names.insert(Cow::Borrowed(name), 1)),
                _ => {}
            }
        }
    }
    names
}

/// The branch itself, or what it refers to in the schema's own definitions.
fn resolved<'a>(schema: &'a Object<'a>, branch: &'a Value<'a>, looked_through: &mut usize) -> Option<&'a Object<'a>> {
    let branch = branch.as_object()?;
    let Some(reference) = branch.get("$ref").and_then(Value::as_str) else { return Some(branch) };
    let (list, name) = reference.strip_prefix("#/")?.split_once('/')?;
    *looked_through += schema.len();
    let definitions = schema.get(list)?.as_object()?;
    *looked_through += definitions.len();
    definitions.get(name)?.as_object()
}

/// How many bytes of JSON the descriptions of a request's schemas tell.
#[derive(Default)]
pub(super) struct Told(usize);

impl Told {
    fn is_too_much(&self) -> bool {
        self.0 > TOLD_BYTES_MAX
    }

    /// The description, and after it as JSON the fields of which `moved` is true, unless that is too much.
    fn described(&mut self, schema: &Object<'_>, moved: impl Fn(&str, &Value<'_>) -> bool) -> String {
        let mut text = String::from(schema.get("description").and_then(Value::as_str).unwrap_or_default());
        let mut fields = schema.iter().filter(|(name, value)| moved(name, value)).peekable();
        if self.is_too_much() || fields.peek().is_none() {
            return text;
        }
        let mut writer = Writer::new();
        writer.object(|w| fields.for_each(|(name, value)| w.key(name).value(value)));
        let json = writer.finish();
        self.0 = self.0.saturating_add(json.len());
        if !self.is_too_much() {
            text.push_str(if text.is_empty() { "" } else { "\n\n" });
            text.push_str("It must also fit this JSON Schema: ");
            text.push_str(&json);
        }
        text
    }
}

/// The schema of an output format or of a strict tool's input: every object closed, and only what the provider takes.
///
/// # Errors
/// A sentence, where too much of it would have to be told.
pub(super) fn structured(schema: &Value<'_>, told: &mut Told) -> Result<String, &'static str> {
    let mut writer = Writer::new();
    write(&mut writer, schema, told);
    if told.is_too_much() { Err(TELLS_TOO_MUCH) } else { Ok(writer.finish()) }
}

/// The same of a schema as text.
pub(super) fn structured_text(schema: String, told: &mut Told) -> Result<String, &'static str> {
    match Value::parse(&schema) {
        Ok(value) => structured(&value, told),
        Err(_) => Ok(schema),
    }
}

const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// What becomes of a field of a schema.
enum Treatment {
    Kept,
    /// The value is a schema.
    Schema,
    /// The value is an object of schemas, whose names are not keywords.
    Schemas,
    /// The value is a list of schemas, and stands under this name.
    Union(&'static str),
    /// Says nothing that counts.
    Dropped,
    /// Refused by the provider: the description says it.
    Described,
}

fn treatment(schema: &Object<'_>, name: &str, value: &Value<'_>, is_object: bool) -> Treatment {
    let refers = |value: &Value<'_>| value.as_array().unwrap_or_default().iter().any(|it| it.get("$ref").is_some());
    let is_simple = |value: &Value<'_>| {
        value.as_array().unwrap_or_default().iter().all(|it| it.as_array().is_none() && it.as_object().is_none())
    };
    match name {
        "const" | "default" => Treatment::Kept,
        // Says as much as if it were not there, and stands in nothing else's way.
        _ if value.is_null() => Treatment::Dropped,
        "type" | "title" | "pattern" | "required" => Treatment::Kept,
        "enum" if is_simple(value) => Treatment::Kept,
        "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => Treatment::Kept,
        "minItems" if value.as_u64().is_some_and(|least| least <= 1) => Treatment::Kept,
        "properties" | "$defs" | "definitions" => Treatment::Schemas,
        "items" if value.as_object().is_some() => Treatment::Schema,
        "anyOf" => Treatment::Union("anyOf"),
        "oneOf" if schema.get("anyOf").is_none() => Treatment::Union("anyOf"),
        "allOf" if !refers(value) => Treatment::Union("allOf"),
        "additionalProperties" if is_object && value.as_object().is_none() => Treatment::Dropped,
        "description" | "$schema" | "$id" | "$comment" | "deprecated" | "readOnly" | "writeOnly" => Treatment::Dropped,
        _ => Treatment::Described,
    }
}

fn write(w: &mut Writer, value: &Value<'_>, told: &mut Told) {
    let Some(schema) = value.as_object() else { return w.value(value) };
    if let Some(reference) = reference(schema) {
        // Beside a reference the provider takes definitions alone.
        return w.object(|w| {
            w.key("$ref").value(reference);
            for name in ["$defs", "definitions"] {
                if let Some(definitions) = schema.get(name) {
                    each(w.key(name), definitions, told);
                }
            }
        });
    }
    let is_object = schema.get("properties").is_some()
        || match schema.get("type") {
            Some(Value::Array(types)) => types.iter().any(|name| name.as_str() == Some("object")),
            Some(name) => name.as_str() == Some("object"),
            None => false,
        };
    let description =
        told.described(schema, |name, value| matches!(treatment(schema, name, value, is_object), Treatment::Described));
    w.object(|w| {
        for (name, value) in schema.iter() {
            match treatment(schema, name, value, is_object) {
                Treatment::Kept => w.key(name).value(value),
                Treatment::Schema => write(w.key(name), value, told),
                Treatment::Schemas => each(w.key(name), value, told),
                Treatment::Union(name) => list(w.key(name), value, told),
                Treatment::Dropped | Treatment::Described => {}
            }
        }
        if !description.is_empty() {
            w.key("description").string(&description);
        }
        if is_object {
            w.key("additionalProperties").bool(false);
        }
    });
}

/// The reference that the schema is, also where it is written as `allOf` with nothing else, as some libraries do to give
/// it a description.
fn reference<'a>(schema: &'a Object<'a>) -> Option<&'a Value<'a>> {
    let alone = match schema.get("allOf").and_then(Value::as_array) {
        Some([single]) if schema.get("properties").is_none() => single.get("$ref"),
        _ => None,
    };
    schema.get("$ref").or(alone)
}

fn each(w: &mut Writer, schemas: &Value<'_>, told: &mut Told) {
    let Some(object) = schemas.as_object() else { return w.value(schemas) };
    w.object(|w| object.iter().for_each(|(name, schema)| write(w.key(name), schema, told)));
}

fn list(w: &mut Writer, schemas: &Value<'_>, told: &mut Told) {
    let Some(items) = schemas.as_array() else { return w.value(schemas) };
    w.array(|w| items.iter().for_each(|schema| write(w, schema, told)));
}
