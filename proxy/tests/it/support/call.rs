//! A call before it is sent.

use serde_json::{Value, json};

use super::setup::key_of;

/// A request, as a client writes it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The fields of the body, in the order in which they are sent.
    fields: Value,
    /// The body itself, where its fields do not say it all.
    raw: Option<Vec<u8>>,
}

/// A chat of one message.
pub(crate) fn chat(model: &str) -> Call {
    let fields = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
    Call { fields, ..post("/v1/chat/completions") }
}

/// One text to embed.
pub(crate) fn embeddings(model: &str) -> Call {
    Call { fields: json!({ "model": model, "input": "hi" }), ..post("/v1/embeddings") }
}

/// Anything else, without a body so far.
pub(crate) fn post(path: &str) -> Call {
    let headers = vec![
        ("authorization".to_owned(), format!("Bearer {}", key_of("main"))),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    Call { method: "POST".to_owned(), path: path.to_owned(), headers, fields: json!({}), raw: None }
}

/// A question without a body.
pub(crate) fn get(path: &str) -> Call {
    Call { raw: Some(Vec::new()), ..post(path) }.method("GET").without("content-type")
}

impl Call {
    /// The text of the first message.
    pub(crate) fn saying(mut self, text: &str) -> Call {
        self.fields["messages"][0]["content"] = text.into();
        self
    }

    pub(crate) fn streamed(self) -> Call {
        self.with("stream", true)
    }

    /// A stream whose client asks for its usage.
    pub(crate) fn streamed_with_usage(self) -> Call {
        self.streamed().with("stream_options", json!({ "include_usage": true }))
    }

    /// Sets a field of the body.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Call {
        self.fields[field] = value.into();
        self
    }

    /// The body, byte for byte.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Call {
        self.raw = Some(body.into());
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Call {
        path.clone_into(&mut self.path);
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Call {
        method.clone_into(&mut self.method);
        self
    }

    /// Sets a header.
    pub(crate) fn header(self, name: &str, value: &str) -> Call {
        let mut call = self.without(name);
        call.headers.push((name.to_owned(), value.to_owned()));
        call
    }

    pub(crate) fn without(mut self, name: &str) -> Call {
        self.headers.retain(|(it, _)| it != name);
        self
    }

    /// Calls with the configured key of this name.
    pub(crate) fn by(self, key: &str) -> Call {
        self.with_key(&key_of(key))
    }

    /// Calls with this key.
    pub(crate) fn with_key(self, key: &str) -> Call {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        self.raw.clone().unwrap_or_else(|| self.fields.to_string().into_bytes())
    }

    /// The head, framing apart.
    pub(crate) fn head(&self, version: &str) -> String {
        let mut head = format!("{} {} {version}\r\nhost: tollgate.test\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head
    }

    /// The whole request.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body = self.payload();
        let mut bytes = self.head("HTTP/1.1").into_bytes();
        if !body.is_empty() {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        bytes
    }
}
