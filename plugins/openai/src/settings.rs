//! The operator's settings for a provider of this dialect.

use alloc::{string::String, vec::Vec};

use tollgate_plugin::{
    Blame, Failure, FailureKind,
    json::{self, Value},
};

pub(crate) const SCHEMA: &str = concat!(
    r#"{"type":"object","additionalProperties":false,"properties":{"#,
    r#""max_tokens_field":{"enum":["auto","max_tokens","max_completion_tokens"],"default":"auto","#,
    r#""description":"The one field that the provider takes for the most tokens of an answer; auto goes by the model."},"#,
    r#""organization":{"type":"string"},"project":{"type":"string"},"#,
    r#""drop":{"type":"array","items":{"type":"string"},"#,
    r#""description":"Top-level fields that the provider refuses."}}}"#
);

/// Which field names the most tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MaxTokensField {
    /// By the model's name.
    #[default]
    Auto,
    MaxTokens,
    MaxCompletionTokens,
}

#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) max_tokens_field: MaxTokensField,
    pub(crate) organization: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) drop: Vec<String>,
}

impl Settings {
    /// An empty object costs next to nothing, for most providers have no settings.
    pub(crate) fn read(config: &str) -> Result<Self, Failure> {
        let mut settings = Self::default();
        for field in json::fields(config) {
            if !field.is_null() {
                settings.set(field.name, field.value).ok_or_else(|| wrong(field.name))?;
            }
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, json: &str) -> Option<()> {
        let value = Value::parse(json).ok()?;
        match name {
            "max_tokens_field" => {
                self.max_tokens_field = match value.as_str()? {
                    "auto" => MaxTokensField::Auto,
                    "max_tokens" => MaxTokensField::MaxTokens,
                    "max_completion_tokens" => MaxTokensField::MaxCompletionTokens,
                    _ => return None,
                }
            }
            "organization" => self.organization = Some(value.as_str()?.into()),
            "project" => self.project = Some(value.as_str()?.into()),
            "drop" => {
                for item in value.as_array()? {
                    self.drop.push(item.as_str()?.into());
                }
            }
            _ => {}
        }
        Some(())
    }
}

fn wrong(name: &str) -> Failure {
    let mut message = String::from("The provider's setting `");
    message.push_str(name);
    message.push_str("` does not fit the adapter's schema.");
    Failure::new(FailureKind::Internal, Blame::Provider, message)
}
