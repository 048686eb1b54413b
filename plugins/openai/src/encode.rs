//! The edits that make the client's request one for this provider and model.

use alloc::{string::String, vec::Vec};

use tollgate_plugin::{
    Auth, Context, Edit, Failure, Framing, Header, Operation, Request, RequestBody,
    json::{self, Field, Value, Writer},
};

use crate::settings::{MaxTokensField, Settings};

pub(crate) fn request(context: &Context, head: &str) -> Result<Request, Failure> {
    let settings = Settings::read(&context.config)?;
    let mut edits = Edits { fields: json::fields(head).collect(), edits: Vec::new() };
    edits.set("model", json::quoted(&context.model));
    let streaming = context.streaming && context.operation == Operation::Chat;
    if context.operation == Operation::Chat {
        if streaming {
            edits.set("stream", "true".into());
            edits.set_usage_in_stream()?;
        }
        let reasons = reasons(&context.model);
        edits.name_max_tokens(settings.max_tokens_field, reasons);
        if reasons {
            edits.drop_refused(&context.model);
        }
    }
    for name in &settings.drop {
        edits.drop(name);
    }
    Ok(Request {
        method: "POST".into(),
        path: match context.operation {
            Operation::Chat => "/chat/completions".into(),
            Operation::Embeddings => "/embeddings".into(),
        },
        headers: headers(settings.organization, settings.project),
        body: RequestBody::Edits(edits.edits),
        auth: Auth::Bearer,
        framing: if streaming { Framing::Sse } else { Framing::Whole },
        passthrough: true,
        state: None,
    })
}

fn headers(organization: Option<String>, project: Option<String>) -> Vec<Header> {
    let named = [("openai-organization", organization), ("openai-project", project)];
    named.into_iter().filter_map(|(name, value)| Some(Header { name: name.into(), value: value? })).collect()
}

struct Edits<'a> {
    /// The client's, read once: tools can make a head long.
    fields: Vec<Field<'a>>,
    edits: Vec<Edit>,
}

impl<'a> Edits<'a> {
    /// The field of the client's request, null or not.
    fn field(&self, name: &str) -> Option<Field<'a>> {
        self.fields.iter().find(|field| field.name == name).copied()
    }

    /// The JSON text of a field that the client gave a value.
    fn value(&self, name: &str) -> Option<&'a str> {
        self.field(name).filter(|field| !field.is_null()).map(|field| field.value)
    }

    /// Sets a field, unless the client has written the very same.
    fn set(&mut self, name: &str, json: String) {
        if self.field(name).is_none_or(|field| field.value != json) {
            self.edits.push(Edit { field: name.into(), value: Some(json) });
        }
    }

    /// Removes a field, whether the client wrote it or an edit above set it.
    fn drop(&mut self, name: &str) {
        self.edits.retain(|edit| edit.field != name);
        if self.field(name).is_some() {
            self.edits.push(Edit { field: name.into(), value: None });
        }
    }

    /// The bill needs the usage of every stream. The client's other options stay.
    ///
    /// # Errors
    /// Where the client's options are no object.
    fn set_usage_in_stream(&mut self) -> Result<(), Failure> {
        const USAGE: &str = r#"{"include_usage":true}"#;
        let Some(text) = self.value("stream_options") else {
            self.set("stream_options", USAGE.into());
            return Ok(());
        };
        let options = Value::parse(text).ok();
        let Some(options) = options.as_ref().and_then(Value::as_object) else {
            return Err(Failure::invalid("stream_options", "This field must be an object."));
        };
        if options.get("include_usage").and_then(Value::as_bool) == Some(true) {
            return Ok(());
        }
        let mut writer = Writer::with_capacity(text.len() + USAGE.len());
        writer.object(|writer| {
            for (name, value) in options.iter().filter(|(name, _)| *name != "include_usage") {
                writer.key(name).value(value);
            }
            writer.key("include_usage").bool(true);
        });
        self.set("stream_options", writer.finish());
        Ok(())
    }

    /// Leaves one of the two names that OpenAI has for the same bound, where the provider takes only one.
    fn name_max_tokens(&mut self, field: MaxTokensField, reasons: bool) {
        let (wanted, other) = match field {
            MaxTokensField::Auto if !reasons => return,
            MaxTokensField::Auto | MaxTokensField::MaxCompletionTokens => ("max_completion_tokens", "max_tokens"),
            MaxTokensField::MaxTokens => ("max_tokens", "max_completion_tokens"),
        };
        if self.field(other).is_none() {
            return;
        }
        // Where a client gives both, the newer name counts.
        let bound = self.value("max_completion_tokens").or(self.value("max_tokens"));
        // Anything but a number is the provider's to refuse, where the client wrote it.
        if bound.is_some_and(|bound| json::approximate(bound).is_none()) {
            return;
        }
        if let Some(bound) = bound {
            self.set(wanted, bound.into());
        }
        self.drop(other);
    }

    /// Reasoning models refuse these unless they have their defaults.
    fn drop_refused(&mut self, model: &str) {
        const REFUSED: [(&str, Option<f64>); 7] = [
            ("temperature", Some(1.0)),
            ("top_p", Some(1.0)),
            ("presence_penalty", Some(0.0)),
            ("frequency_penalty", Some(0.0)),
            ("logprobs", None),
            ("top_logprobs", None),
            ("logit_bias", None),
        ];
        for (name, default) in REFUSED {
            let Some(value) = self.value(name) else { continue };
            let allowed = default.is_some() && json::approximate(value) == default;
            if !allowed && value != "false" {
                self.drop(name);
            }
        }
        if self.value("stop").is_some() && (is_of(model, "o3") || is_of(model, "o4-mini")) {
            self.drop("stop");
        }
    }
}

/// Whether OpenAI's model of this name reasons before it answers.
fn reasons(model: &str) -> bool {
    ["o1", "o3", "o4"].iter().any(|family| is_of(model, family)) || (is_of(model, "gpt-5") && !model.contains("-chat"))
}

/// Whether `model` is `family` or a later or smaller one of it, such as `gpt-5.1` or `o3-mini` but not `o30`.
fn is_of(model: &str, family: &str) -> bool {
    model.strip_prefix(family).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
}
