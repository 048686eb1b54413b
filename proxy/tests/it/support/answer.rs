//! An answer after it has come.

use serde_json::Value;

/// The head of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn parse(text: &str) -> Head {
        let mut lines = text.lines();
        let status_line = lines.next().unwrap_or_default();
        let (_, rest) = status_line.split_once(' ').unwrap_or_default();
        let status = rest.get(..3).and_then(|status| status.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let status = status.unwrap_or_else(|| panic!("no status line: {status_line:?}"));
        Head { status, headers }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The id under which the call has its row.
    pub(crate) fn request_id(&self) -> String {
        self.header("x-request-id").expect("every answer names its call").to_owned()
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// The codes under which a provider's own words are shown.
const QUOTED: &[&str] = &[
    "content_filter",
    "context_length_exceeded",
    "insufficient_quota",
    "invalid_request",
    "model_not_found",
    "rate_limit_exceeded",
    "request_too_large",
    "upstream_error",
    "upstream_overloaded",
    "upstream_timeout",
];

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub(crate) fn request_id(&self) -> String {
        self.head.request_id()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("answers are UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The payloads of a stream, in order, its last mark included.
    pub(crate) fn events(&self) -> Vec<String> {
        let payload = |frame: &str| frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect::<String>();
        self.text().split("\n\n").map(payload).filter(|payload| !payload.is_empty()).collect()
    }

    fn chunks(&self) -> Vec<Value> {
        let events = self.events().into_iter().filter(|event| event != "[DONE]");
        events.map(|event| serde_json::from_str(&event).expect("events are JSON")).collect()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type").is_some_and(|it| it.starts_with("text/event-stream"))
    }

    /// The text of the first choice, whole or gathered from a stream.
    pub(crate) fn said(&self) -> String {
        if !self.is_stream() {
            return self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        }
        let of_first = |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        self.chunks().iter().filter_map(of_first).collect()
    }

    /// The usage that the client is shown, if it is shown any.
    pub(crate) fn usage(&self) -> Option<Value> {
        let shown = |body: &Value| body.get("usage").filter(|usage| !usage.is_null()).cloned();
        if self.is_stream() { self.chunks().iter().find_map(shown) } else { shown(&self.json()) }
    }

    /// The error event that broke a stream off.
    pub(crate) fn broke_off_with(&self) -> Option<String> {
        self.chunks().iter().find_map(|chunk| Some(chunk["error"]["code"].as_str()?.to_owned()))
    }

    /// Holds that the call went well, to the end.
    #[track_caller]
    pub(crate) fn is_good(&self) -> &Answer {
        assert_eq!(self.status(), 200, "{self}");
        if self.is_stream() {
            assert_eq!(self.events().last().map(String::as_str), Some("[DONE]"), "{self}");
            assert_eq!(self.broke_off_with(), None, "{self}");
        }
        self
    }

    /// Holds that the call was refused as OpenAI refuses: with this status, and this stable code.
    #[track_caller]
    pub(crate) fn is_refused(&self, status: u16, code: &str) -> &Answer {
        assert_eq!(self.status(), status, "{self}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self}");
        let error = &self.json()["error"];
        assert_eq!(error["code"], code, "{self}");
        let message = error["message"].as_str().unwrap_or_default();
        // A provider is quoted as it spells; all else is a sentence.
        assert!(
            if QUOTED.contains(&code) { !message.is_empty() } else { message.ends_with(['.', '!', '?']) },
            "{self}"
        );
        assert!(error["type"].is_string(), "{self}");
        assert!(error.get("param").is_some_and(|it| it.is_null() || it.is_string()), "{self}");
        self.request_id();
        self
    }

    /// Holds that the refusal is about this part of the request.
    #[track_caller]
    pub(crate) fn for_its(&self, param: &str) -> &Answer {
        assert_eq!(self.json()["error"]["param"], param, "{self}");
        self
    }

    /// Holds what an SDK is told about trying again.
    #[track_caller]
    pub(crate) fn should_retry(&self, advice: Option<bool>) -> &Answer {
        let told = self.header("x-should-retry").map(|it| it == "true");
        assert_eq!(told, advice, "{self}");
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let shown: String = body.chars().take(2000).collect();
        write!(f, "{:?}\n{shown}", self.head)
    }
}
