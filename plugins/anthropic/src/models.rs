//! What each family of models takes. The operator's settings go before this table.

use tollgate_plugin::json::Value;

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    Never,
    /// By a number of tokens.
    Budget,
    /// By an effort, the model decides the rest; a number of tokens is still taken.
    Either,
    /// By an effort alone.
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
    /// The model refuses to be told not to think; a low effort stands in.
    pub(crate) always_thinks: bool,
    /// The model shows nothing of its thinking unless it is asked for a summary.
    pub(crate) hides_thinking: bool,
    pub(crate) sampling: Sampling,
    /// Whether the effort `xhigh` is known; `max` stands in for it.
    pub(crate) xhigh: bool,
    /// Whether the model takes an output format and strict tools.
    pub(crate) structured: bool,
    /// Whether the model may be made to call a tool.
    pub(crate) forced_tools: bool,
}

const fn model(output_tokens_max: u64, thinking: Thinking, sampling: Sampling) -> Model {
    Model {
        output_tokens_max,
        thinking,
        always_thinks: false,
        hides_thinking: false,
        sampling,
        xhigh: false,
        structured: true,
        forced_tools: true,
    }
}

const V5: Model = Model { xhigh: true, hides_thinking: true, ..model(128_000, Thinking::Adaptive, Sampling::None) };
const V5_ALWAYS: Model = Model { always_thinks: true, ..V5 };
const V5_5: Model = Model { forced_tools: false, ..V5_ALWAYS };
const V4_6: Model = model(128_000, Thinking::Either, Sampling::OneOfTwo);
const V4_5: Model = model(64_000, Thinking::Budget, Sampling::OneOfTwo);
const SONNET_4: Model = Model { structured: false, ..model(64_000, Thinking::Budget, Sampling::OneOfTwo) };
const OPUS_4: Model = Model { structured: false, ..model(32_000, Thinking::Budget, Sampling::OneOfTwo) };
const V3_7: Model = Model { structured: false, ..model(64_000, Thinking::Budget, Sampling::All) };
const V3_5: Model = Model { structured: false, ..model(8_192, Thinking::Never, Sampling::All) };
const V3: Model = Model { structured: false, ..model(4_096, Thinking::Never, Sampling::All) };

/// A Claude in no table is most likely newer than the table. Nothing is asked of it that one of the newest refuses:
/// thinking by effort and never switched off, no sampling, no forced tool.
const UNKNOWN_CLAUDE: Model = Model { xhigh: false, ..V5_5 };
/// Another house's model behind this dialect: they know it as it was when they took it over.
const UNKNOWN: Model = Model { structured: false, ..model(32_000, Thinking::Budget, Sampling::All) };

/// The longest prefix counts.
const TABLE: [(&str, Model); 27] = [
    ("claude-opus-5-5", V5_5),
    ("claude-sonnet-5-5", V5_5),
    ("claude-haiku-5-5", V5),
    ("claude-opus-5", V5),
    ("claude-sonnet-5", V5),
    ("claude-fable-5", V5_ALWAYS),
    ("claude-fable-5-1", V5_ALWAYS),
    ("claude-mythos-5", V5_ALWAYS),
    ("claude-mythos-preview", V5_ALWAYS),
    ("claude-opus-4-8", V5),
    ("claude-opus-4-7", V5),
    ("claude-opus-4-6", V4_6),
    ("claude-sonnet-4-6", V4_6),
    ("claude-opus-4-5", V4_5),
    ("claude-sonnet-4-5", V4_5),
    ("claude-haiku-4-5", V4_5),
    ("claude-sonnet-4-0", SONNET_4),
    ("claude-sonnet-4", SONNET_4),
    ("claude-opus-4-1", OPUS_4),
    ("claude-opus-4-0", OPUS_4),
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
        let configured = settings.iter().filter_map(|entry| Some((entry.text("prefix")?, entry)));
        let configured = configured.filter(|(prefix, _)| after(name, prefix).is_some());
        let built_in = Self::built_in(name);
        configured.max_by_key(|(prefix, _)| prefix.len()).map_or(built_in, |(_, entry)| built_in.with(entry))
    }

    fn built_in(name: &str) -> Self {
        // Resellers put their own words before it: `us.anthropic.claude-…`, `anthropic/claude-…`.
        let Some(at) = name.find("claude") else { return UNKNOWN };
        let name = &name[at..];
        let known = TABLE.iter().filter(|(prefix, _)| after(name, prefix).is_some_and(|rest| !is_later(rest)));
        known.max_by_key(|(prefix, _)| prefix.len()).map_or(UNKNOWN_CLAUDE, |(_, model)| *model)
    }

    fn with(self, entry: &Value<'_>) -> Self {
        let flag = |name: &str, otherwise: bool| entry.get(name).and_then(Value::as_bool).unwrap_or(otherwise);
        Self {
            output_tokens_max: entry.get("output_tokens_max").and_then(Value::as_u64).unwrap_or(self.output_tokens_max),
            thinking: match entry.text("thinking") {
                Some("never") => Thinking::Never,
                Some("budget") => Thinking::Budget,
                Some("either") => Thinking::Either,
                Some("adaptive") => Thinking::Adaptive,
                _ => self.thinking,
            },
            always_thinks: flag("always_thinks", self.always_thinks),
            hides_thinking: flag("hides_thinking", self.hides_thinking),
            sampling: match entry.text("sampling") {
                Some("all") => Sampling::All,
                Some("one") => Sampling::OneOfTwo,
                Some("none") => Sampling::None,
                _ => self.sampling,
            },
            xhigh: flag("xhigh", self.xhigh),
            structured: flag("structured", self.structured),
            forced_tools: flag("forced_tools", self.forced_tools),
        }
    }
}

/// What follows `prefix` in `name`, if it begins with it and goes on, if at all, with a new part. Some write `4.5` for
/// the provider's `4-5`.
fn after<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    let same = |(given, wanted): (u8, u8)| given == wanted || (given == b'.' && wanted == b'-');
    let rest = name.get(prefix.len()..)?;
    let begins = name.bytes().zip(prefix.bytes()).all(same);
    (begins && !rest.starts_with(|next: char| next.is_ascii_alphanumeric())).then_some(rest)
}

/// Whether what follows a family's name is the number of a later version, `-7` or `.7`, and not a date.
fn is_later(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(['-', '.']) else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    (1..=2).contains(&digits)
}
