//! What each family of models takes. The operator's settings go before this table.

use tollgate_plugin::json::Value;

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    Never,
    /// By a number of tokens.
    Budget,
    /// By an effort; the model decides the rest.
    Adaptive,
}

/// Which of temperature, `top_p` and `top_k` a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    All,
    /// Not temperature and `top_p` together.
    OneOfTwo,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model {
    /// The most tokens of one answer.
    pub(crate) output_tokens_max: u64,
    pub(crate) thinking: Thinking,
    pub(crate) sampling: Sampling,
    /// Whether the effort `xhigh` is known; `max` stands in for it.
    pub(crate) xhigh: bool,
    /// Whether the model takes an output format and strict tools.
    pub(crate) structured: bool,
}

const fn model(output_tokens_max: u64, thinking: Thinking, sampling: Sampling) -> Model {
    Model { output_tokens_max, thinking, sampling, xhigh: false, structured: true }
}

const NEWEST: Model = Model { xhigh: true, ..model(128_000, Thinking::Adaptive, Sampling::None) };
const V4_6: Model = model(128_000, Thinking::Adaptive, Sampling::OneOfTwo);
const V4_5: Model = model(64_000, Thinking::Budget, Sampling::OneOfTwo);
const SONNET_4: Model = Model { structured: false, ..model(64_000, Thinking::Budget, Sampling::OneOfTwo) };
const OPUS_4: Model = Model { structured: false, ..model(32_000, Thinking::Budget, Sampling::OneOfTwo) };
const V3_7: Model = Model { structured: false, ..model(64_000, Thinking::Budget, Sampling::All) };
const V3_5: Model = Model { structured: false, ..model(8_192, Thinking::Never, Sampling::All) };
const V3: Model = Model { structured: false, ..model(4_096, Thinking::Never, Sampling::All) };

/// A name that is in no table is most likely newer than the table; but what the client asks of it is left to it.
const UNKNOWN: Model = model(128_000, Thinking::Adaptive, Sampling::OneOfTwo);

/// The longest prefix that ends at a part of the name counts.
const TABLE: [(&str, Model); 19] = [
    ("claude-opus-5", NEWEST),
    ("claude-sonnet-5", NEWEST),
    ("claude-fable-5", NEWEST),
    ("claude-opus-4-8", NEWEST),
    ("claude-opus-4-7", NEWEST),
    ("claude-opus-4-6", V4_6),
    ("claude-sonnet-4-6", V4_6),
    ("claude-opus-4-5", V4_5),
    ("claude-sonnet-4-5", V4_5),
    ("claude-haiku-4-5", V4_5),
    ("claude-sonnet-4", SONNET_4),
    ("claude-opus-4-1", OPUS_4),
    ("claude-opus-4", OPUS_4),
    ("claude-3-7-sonnet", V3_7),
    ("claude-3-5-sonnet", V3_5),
    ("claude-3-5-haiku", V3_5),
    ("claude-3-opus", V3),
    ("claude-3-sonnet", V3),
    ("claude-3-haiku", V3),
];

impl Model {
    /// The model of this name, as `settings` or the table has it. `settings` is a list of objects with a `prefix`.
    pub(crate) fn of(name: &str, settings: &[Value<'_>]) -> Self {
        let built_in = longest(TABLE.iter().map(|(prefix, model)| (*prefix, *model)), name).unwrap_or(UNKNOWN);
        let configured = settings.iter().filter_map(|entry| Some((entry.text("prefix")?, entry)));
        longest(configured, name).map_or(built_in, |entry| built_in.with(entry))
    }

    fn with(self, entry: &Value<'_>) -> Self {
        Self {
            output_tokens_max: entry.get("output_tokens_max").and_then(Value::as_u64).unwrap_or(self.output_tokens_max),
            thinking: match entry.text("thinking") {
                Some("never") => Thinking::Never,
                Some("budget") => Thinking::Budget,
                Some("adaptive") => Thinking::Adaptive,
                _ => self.thinking,
            },
            sampling: match entry.text("sampling") {
                Some("all") => Sampling::All,
                Some("one") => Sampling::OneOfTwo,
                Some("none") => Sampling::None,
                _ => self.sampling,
            },
            xhigh: entry.get("xhigh").and_then(Value::as_bool).unwrap_or(self.xhigh),
            structured: entry.get("structured").and_then(Value::as_bool).unwrap_or(self.structured),
        }
    }
}

/// The entry with the longest prefix of `name` that is not followed by a further digit or letter.
fn longest<'p, T>(entries: impl Iterator<Item = (&'p str, T)>, name: &str) -> Option<T> {
    let fits = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
    };
    entries.filter(|(prefix, _)| fits(prefix)).max_by_key(|(prefix, _)| prefix.len()).map(|(_, entry)| entry)
}
