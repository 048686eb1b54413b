//! `response_format`, by the best means that the model has.

use alloc::string::String;

use tollgate_plugin::{Failure, json::Value};

use super::schema::{self, Told};
use crate::{
    models::Model,
    state::JSON_TOOL,
    wire::{OutputConfig, Tool},
};

pub(super) enum Format<'a> {
    Free,
    /// The model's own output format.
    Native(&'a Value<'a>),
    /// A tool that must be called, whose input is the answer: its input schema, JSON text.
    Tool(String),
    /// Words alone, with the schema if there is one.
    Words(Option<&'a Value<'a>>),
}

const SCHEMA: &str = "response_format.json_schema.schema";

impl<'a> Format<'a> {
    pub(super) fn of(asked: &'a Value<'a>, model: &Model, no_tools: bool, told: &mut Told) -> Result<Self, Failure> {
        let Some(format) = asked.get("response_format") else { return Ok(Format::Free) };
        let schema = format.get("json_schema").and_then(|named| named.get("schema"));
        if schema.is_some_and(|schema| schema.as_object().is_none()) {
            return Err(Failure::invalid(SCHEMA, "A JSON Schema must be an object."));
        }
        Ok(match (format.text("type"), schema) {
            (Some("json_schema"), Some(schema)) if model.structured => Format::Native(schema),
            (Some("json_schema"), Some(schema)) => match schema::input(Some(schema), told).ok().filter(|_| no_tools) {
                Some(input) => Format::Tool(input),
                None => Format::Words(Some(schema)),
            },
            (Some("json_schema"), None) | (Some("json_object"), _) => Format::Words(None),
            _ => Format::Free,
        })
    }

    pub(super) fn instruction(&self) -> Option<String> {
        let Format::Words(schema) = self else { return None };
        let mut words = String::from("Answer with one JSON object and nothing else: no prose, no code fence.");
        if let Some(schema) = schema {
            words.push_str(" It must fit this JSON Schema: ");
            words.push_str(&schema.to_json());
        }
        Some(words)
    }

    pub(super) fn tool(&self) -> Option<Tool<'a>> {
        let Format::Tool(schema) = self else { return None };
        Some(Tool::Function {
            name: JSON_TOOL,
            description: Some("Give the answer as the input of this tool."),
            schema: schema.clone(),
            strict: false,
            cache_control: None,
        })
    }

    pub(super) fn output(
        &self,
        asked: &'a Value<'a>,
        effort: Option<&'a str>,
        told: &mut Told,
    ) -> Result<OutputConfig<'a>, Failure> {
        let schema = match self {
            Format::Native(schema) => {
                Some(schema::structured(schema, told).map_err(|sentence| Failure::invalid(SCHEMA, sentence))?)
            }
            _ => None,
        };
        Ok(OutputConfig { native: asked.get("output_config"), effort, schema })
    }
}
