//! JSON Schemas as the provider takes them.

use alloc::string::String;
use tollgate_plugin::json::{Value, Writer};

/// The schema of a tool that takes nothing.
pub(super) const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// The schema of a tool's input, which must say that it is an object.
pub(super) fn input(parameters: Option<&Value<'_>>) -> String {
    let Some(schema) = parameters.and_then(Value::as_object).filter(|schema| !schema.is_empty()) else {
        return NO_PARAMETERS.into();
    };
    if schema.get("type").is_some() {
        return Value::Object(schema.clone()).to_json();
    }
    let mut writer = Writer::new();
    writer.object(|w| {
        w.key("type").string("object");
        for (name, value) in schema.iter().filter(|(name, _)| *name != "type") {
            w.key(name).value(value);
        }
    });
    writer.finish()
}

/// The schema of an output format: without the bounds that the provider refuses, and every object closed.
pub(super) fn output(schema: &Value<'_>) -> String {
    let mut writer = Writer::new();
    write(&mut writer, schema);
    writer.finish()
}

const REFUSED: [&str; 14] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
];

fn write(w: &mut Writer, schema: &Value<'_>) {
    let Some(object) = schema.as_object() else { return w.value(schema) };
    let is_object = object.get("properties").is_some()
        || match object.get("type") {
            Some(Value::Array(types)) => types.iter().any(|name| name.as_str() == Some("object")),
            Some(name) => name.as_str() == Some("object"),
            None => false,
        };
    w.object(|w| {
        for (name, value) in object.iter() {
            match name {
                _ if REFUSED.contains(&name) => {}
                "minItems" if value.as_u64().is_none_or(|least| least > 1) => {}
                "additionalProperties" if is_object => {}
                "properties" | "$defs" | "definitions" => each(w.key(name), value),
                "oneOf" => list(w.key("anyOf"), value),
                "anyOf" | "allOf" | "prefixItems" => list(w.key(name), value),
                "items" | "not" => write(w.key(name), value),
                _ => w.key(name).value(value),
            }
        }
        if is_object {
            w.key("additionalProperties").bool(false);
        }
    });
}

/// An object whose values are schemas, and whose names are not keywords.
fn each(w: &mut Writer, schemas: &Value<'_>) {
    let Some(object) = schemas.as_object() else { return w.value(schemas) };
    w.object(|w| object.iter().for_each(|(name, schema)| write(w.key(name), schema)));
}

fn list(w: &mut Writer, schemas: &Value<'_>) {
    let Some(items) = schemas.as_array() else { return w.value(schemas) };
    w.array(|w| items.iter().for_each(|schema| write(w, schema)));
}
