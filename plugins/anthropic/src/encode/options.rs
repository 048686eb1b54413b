//! Bounds, thinking, sampling and what else stands beside the messages.

use alloc::{borrow::Cow, vec::Vec};

use tollgate_plugin::{Failure, json::Value};

use crate::{
    models::{self, Model},
    names,
    wire::{Sampling, Thinking},
};

/// How long the answer may be, and how the model is to think about it.
pub(super) struct Bounds<'a> {
    pub(super) max_tokens: u64,
    /// The bound is the client's: it does not grow.
    bounded: bool,
    pub(super) thinking: Thinking<'a>,
    pub(super) effort: Option<&'a str>,
}

impl<'a> Bounds<'a> {
    pub(super) fn thinks(&self) -> bool {
        match self.thinking {
            Thinking::Unsaid | Thinking::Disabled => false,
            Thinking::Budget { .. } | Thinking::Adaptive { .. } | Thinking::Native(_) => true,
        }
    }

    pub(super) fn forbids_forced_tools(&self) -> bool {
        matches!(self.thinking, Thinking::Budget { .. })
    }

    /// The model is not to think, or as little as it can.
    fn without_thinking(&mut self, model: &Model) {
        match model.thinking {
            models::Thinking::Never => {}
            _ if model.always_thinks => self.effort = Some("low"),
            _ => self.thinking = Thinking::Disabled,
        }
    }

    fn adaptive(&mut self, model: &Model, display: Option<&'a str>, effort: Option<&'a str>) {
        let display = display.or(model.hides_thinking.then_some("summarized"));
        self.thinking = Thinking::Adaptive { display };
        self.effort = effort;
    }

    /// The provider's bound is on thinking and answer together. The client's means the same, and quota was set aside
    /// for no more, so thinking takes its share of it; only a bound that the client did not set grows.
    fn by_budget(&mut self, wanted: u64, model: &Model, display: Option<&'a str>) {
        let answer_max = if self.bounded { u64::MAX } else { self.max_tokens };
        if !self.bounded {
            self.max_tokens = self.max_tokens.saturating_add(wanted).min(model.output_tokens_max);
        }
        let answer = answer_max.min(self.max_tokens / 4);
        let tokens = wanted.min(self.max_tokens - answer);
        if tokens >= BUDGET_MIN {
            self.thinking = Thinking::Budget { tokens, display };
        }
    }
}

/// Fewer tokens than this the provider does not take as a budget.
const BUDGET_MIN: u64 = 1024;
/// Of a model's output, in percent, that thinking may take where a medium effort is asked.
const MEDIUM_PERCENT: u64 = 30;

pub(super) fn thinking<'a>(
    asked: &'a Value<'a>,
    model: &Model,
    max_tokens_default: u64,
    loop_without_thinking: bool,
) -> Result<Bounds<'a>, Failure> {
    let asked_max = max_tokens(asked)?;
    let mut bounds = Bounds {
        max_tokens: asked_max.unwrap_or(max_tokens_default.min(model.output_tokens_max)),
        bounded: asked_max.is_some(),
        thinking: Thinking::Unsaid,
        effort: None,
    };
    if let Some(native) = asked.get("thinking") {
        as_asked(&mut bounds, native, model)?;
    } else if let Some(effort) = asked.text("reasoning_effort") {
        by_effort(&mut bounds, effort, model);
    }
    if loop_without_thinking && matches!(bounds.thinking, Thinking::Budget { .. }) {
        bounds.thinking = Thinking::Unsaid;
        bounds.max_tokens = asked_max.unwrap_or(max_tokens_default.min(model.output_tokens_max));
    }
    Ok(bounds)
}

/// The client's own `thinking`, in the words that this model takes.
fn as_asked<'a>(bounds: &mut Bounds<'a>, native: &'a Value<'a>, model: &Model) -> Result<(), Failure> {
    let display = native.text("display");
    match (native.text("type"), model.thinking) {
        (Some("disabled"), _) => bounds.without_thinking(model),
        (Some("enabled" | "adaptive"), models::Thinking::Never) => {}
        (Some("enabled"), of) => {
            let tokens = native.get("budget_tokens").and_then(Value::as_u64);
            let tokens = tokens.ok_or_else(|| {
                Failure::invalid("thinking.budget_tokens", "The budget of enabled thinking must be a whole number.")
            })?;
            match of {
                models::Thinking::Adaptive => bounds.adaptive(model, display, Some(effort_of(tokens))),
                // As the client has it, where it fits.
                _ if bounds.bounded && (BUDGET_MIN..bounds.max_tokens).contains(&tokens) => {
                    bounds.thinking = Thinking::Budget { tokens, display };
                }
                _ => bounds.by_budget(tokens.max(BUDGET_MIN), model, display),
            }
        }
        (Some("adaptive"), models::Thinking::Budget) => {
            let wanted = model.output_tokens_max / 100 * MEDIUM_PERCENT;
            bounds.by_budget(wanted.max(BUDGET_MIN), model, display);
        }
        (Some("adaptive"), _) => bounds.adaptive(model, display, None),
        _ => bounds.thinking = Thinking::Native(native),
    }
    Ok(())
}

/// The effort that a budget asks for, of a model that knows no budgets.
fn effort_of(tokens: u64) -> &'static str {
    match tokens {
        0..4096 => "low",
        4096..16_384 => "medium",
        _ => "high",
    }
}

fn max_tokens(asked: &Value<'_>) -> Result<Option<u64>, Failure> {
    for name in ["max_completion_tokens", "max_tokens"] {
        if let Some(value) = asked.get(name) {
            let bound = value.as_u64().filter(|bound| *bound > 0);
            return bound.map(Some).ok_or_else(|| Failure::invalid(name, "The bound must be a positive whole number."));
        }
    }
    Ok(None)
}

fn by_effort(bounds: &mut Bounds<'_>, effort: &str, model: &Model) {
    // With the share of a model's output that thinking may take, where it thinks by budget.
    let (name, percent) = match effort {
        "none" => return bounds.without_thinking(model),
        "minimal" => ("low", 2),
        "low" => ("low", 10),
        "medium" => ("medium", MEDIUM_PERCENT),
        "high" => ("high", 60),
        "xhigh" if model.xhigh => ("xhigh", 90),
        "xhigh" | "max" => ("max", 90),
        _ => return,
    };
    match model.thinking {
        models::Thinking::Never => {}
        models::Thinking::Either | models::Thinking::Adaptive => bounds.adaptive(model, None, Some(name)),
        models::Thinking::Budget => {
            let wanted = model.output_tokens_max / 100 * percent;
            bounds.by_budget(wanted.max(BUDGET_MIN), model, None);
        }
    }
}

pub(super) fn sampling<'a>(asked: &'a Value<'a>, model: &Model, thinks: bool) -> Sampling<'a> {
    if model.sampling == models::Sampling::None {
        return Sampling::default();
    }
    let mut sampling =
        Sampling { temperature: temperature(asked), top_p: digits(asked, "top_p"), top_k: digits(asked, "top_k") };
    if thinks {
        sampling.temperature = None;
        sampling.top_k = None;
        sampling.top_p = sampling.top_p.filter(|_| number(asked, "top_p").is_some_and(|top_p| top_p >= 0.95));
    }
    if sampling.temperature.is_some() && model.sampling == models::Sampling::OneOfTwo {
        sampling.top_p = None;
    }
    sampling
}

/// OpenAI's temperatures go up to 2, Anthropic's to 1; the same number means about the same.
fn temperature<'a>(asked: &'a Value<'a>) -> Option<&'a str> {
    let given = digits(asked, "temperature")?;
    match number(asked, "temperature") {
        Some(number) if number > 1.0 => Some("1"),
        Some(number) if number < 0.0 => Some("0"),
        _ => Some(given),
    }
}

fn digits<'a>(asked: &'a Value<'a>, name: &str) -> Option<&'a str> {
    match asked.get(name)? {
        Value::Number(digits) => Some(digits),
        _ => None,
    }
}

fn number(asked: &Value<'_>, name: &str) -> Option<f64> {
    asked.get(name).and_then(Value::as_f64)
}

/// The provider refuses a sequence without a visible character.
pub(super) fn stop_sequences<'a>(asked: &'a Value<'a>) -> Vec<&'a str> {
    let listed = match asked.get("stop") {
        Some(Value::Array(items)) => items.as_slice(),
        Some(single) => core::slice::from_ref(single),
        None => &[],
    };
    listed.iter().filter_map(Value::as_str).filter(|text| !text.trim().is_empty()).collect()
}

pub(super) fn user_id<'a>(asked: &'a Value<'a>) -> Option<Cow<'a, str>> {
    let native = || asked.get("metadata").and_then(|metadata| metadata.text("user_id"));
    asked.text("safety_identifier").or(asked.text("user")).or_else(native).map(names::of_user)
}
