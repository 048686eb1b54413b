//! The operator's settings for a provider of this dialect.

use tollgate_plugin::{Auth, Blame, Failure, FailureKind, json::Value};

pub(crate) const SCHEMA: &str = concat!(
    r#"{"type":"object","additionalProperties":false,"properties":{"#,
    r#""version":{"type":"string","default":"2023-06-01"},"#,
    r#""beta":{"type":"array","items":{"type":"string"},"description":"Values of the header anthropic-beta."},"#,
    r#""auth":{"enum":["x-api-key","bearer"],"default":"x-api-key"},"#,
    r#""max_tokens_default":{"type":"integer","minimum":1,"default":4096,"#,
    r#""description":"The most tokens of an answer to a request that names no bound."},"#,
    r#""models":{"type":"array","description":"What models of a name take, before the built-in table.","#,
    r#""items":{"type":"object","required":["prefix"],"additionalProperties":false,"properties":{"#,
    r#""prefix":{"type":"string"},"output_tokens_max":{"type":"integer","minimum":1},"#,
    r#""thinking":{"enum":["never","budget","either","adaptive"]},"always_thinks":{"type":"boolean"},"#,
    r#""hides_thinking":{"type":"boolean"},"sampling":{"enum":["all","one","none"]},"#,
    r#""xhigh":{"type":"boolean"},"structured":{"type":"boolean"},"forced_tools":{"type":"boolean"}}}}}}"#
);

const VERSION: &str = "2023-06-01";
const MAX_TOKENS_DEFAULT: u64 = 4096;

/// The settings, read from the operator's JSON.
#[derive(Debug)]
pub(crate) struct Settings<'a>(Value<'a>);

impl<'a> Settings<'a> {
    pub(crate) fn read(config: &'a str) -> Result<Self, Failure> {
        match Value::parse(config) {
            Ok(value @ Value::Object(_)) => Ok(Self(value)),
            _ => Err(Failure::new(
                FailureKind::Internal,
                Blame::Provider,
                "The provider's settings are not a JSON object.",
            )),
        }
    }

    pub(crate) fn version(&self) -> &str {
        self.0.text("version").unwrap_or(VERSION)
    }

    pub(crate) fn betas(&self) -> impl Iterator<Item = &str> {
        self.0.get("beta").and_then(Value::as_array).unwrap_or_default().iter().filter_map(Value::as_str)
    }

    pub(crate) fn auth(&self) -> Auth {
        match self.0.text("auth") {
            Some("bearer") => Auth::Bearer,
            _ => Auth::Header("x-api-key".into()),
        }
    }

    pub(crate) fn max_tokens_default(&self) -> u64 {
        self.0.get("max_tokens_default").and_then(Value::as_u64).unwrap_or(MAX_TOKENS_DEFAULT)
    }

    pub(crate) fn models(&self) -> &[Value<'a>] {
        self.0.get("models").and_then(Value::as_array).unwrap_or_default()
    }
}
