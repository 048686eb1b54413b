//! Bounds, thinking, sampling and what else stands beside the messages.

use crate::models::{self, Model};
use crate::wire::{Sampling, Thinking};
use alloc::vec::Vec;
use tollgate_plugin::Failure;
use tollgate_plugin::json::Value;

/// How long the answer may be, and how the model is to think about it.
pub(super) struct Bounds<'a> {
    pub(super) max_tokens: u64,
    pub(super) thinking: Thinking<'a>,
    pub(super) effort: Option<&'a str>,
}

impl Bounds<'_> {
    pub(super) fn thinks(&self) -> bool {
        match self.thinking {
            Thinking::Unsaid | Thinking::Disabled => false,
            Thinking::Budget(_) | Thinking::Adaptive => true,
            Thinking::Native(value) => value.text("type") != Some("disabled"),
        }
    }

    pub(super) fn forbids_forced_tools(&self) -> bool {
        match self.thinking {
            Thinking::Budget(_) => true,
            Thinking::Native(value) => value.text("type") == Some("enabled"),
            _ => false,
        }
    }
}

/// Fewer tokens than this the provider does not take as a budget.
const BUDGET_MIN: u64 = 1024;

pub(super) fn thinking<'a>(
    asked: &'a Value<'a>,
    model: &Model,
    max_tokens_default: u64,
    loop_without_thinking: bool,
) -> Result<Bounds<'a>, Failure> {
    let asked_max = max_tokens(asked)?;
    let mut bounds = Bounds {
        max_tokens: asked_max.unwrap_or(max_tokens_default.min(model.output_tokens_max)),
        thinking: Thinking::Unsaid,
        effort: None,
    };
    if let Some(native) = asked.get("thinking").filter(|native| native.as_object().is_some()) {
        bounds.thinking = Thinking::Native(native);
        if loop_without_thinking && bounds.forbids_forced_tools() {
            bounds.thinking = Thinking::Unsaid;
        }
    } else if let Some(effort) = asked.text("reasoning_effort")
        && !(loop_without_thinking && model.thinking == models::Thinking::Budget)
    {
        reason(&mut bounds, effort, model, asked_max.is_some());
    }
    Ok(bounds)
}

fn max_tokens(asked: &Value<'_>) -> Result<Option<u64>, Failure> {
    for name in ["max_completion_tokens", "max_tokens"] {
        if let Some(value) = asked.get(name) {
            let bound = value.as_u64().filter(|bound| *bound > 0);
            return bound.map(Some).ok_or_else(|| Failure::invalid(name, "the bound is not a positive whole number"));
        }
    }
    Ok(None)
}

fn reason(bounds: &mut Bounds<'_>, effort: &str, model: &Model, bounded: bool) {
    // With the share of a model's output that thinking may take, where it thinks by budget.
    let (name, percent) = match effort {
        "none" => ("none", 0),
        "minimal" => ("low", 2),
        "low" => ("low", 10),
        "medium" => ("medium", 30),
        "high" => ("high", 60),
        "xhigh" if model.xhigh => ("xhigh", 90),
        "xhigh" | "max" => ("max", 90),
        _ => return,
    };
    match model.thinking {
        models::Thinking::Never => {}
        _ if name == "none" => bounds.thinking = Thinking::Disabled,
        models::Thinking::Adaptive => {
            bounds.thinking = Thinking::Adaptive;
            bounds.effort = Some(name);
        }
        models::Thinking::Budget => {
            let wanted = (model.output_tokens_max / 100 * percent).max(BUDGET_MIN);
            think_by_budget(bounds, wanted, model, bounded);
        }
    }
}

/// The provider's bound is on thinking and answer together. The client's means the same, and quota was set aside for
/// no more, so thinking takes its share of it; only a bound that the client did not set grows.
fn think_by_budget(bounds: &mut Bounds<'_>, wanted: u64, model: &Model, bounded: bool) {
    let answer_max = if bounded { u64::MAX } else { bounds.max_tokens };
    if !bounded {
        bounds.max_tokens = bounds.max_tokens.saturating_add(wanted).min(model.output_tokens_max);
    }
    let answer = answer_max.min(bounds.max_tokens / 4);
    let budget = wanted.min(bounds.max_tokens - answer);
    if budget >= BUDGET_MIN {
        bounds.thinking = Thinking::Budget(budget);
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

pub(super) fn user_id<'a>(asked: &'a Value<'a>) -> Option<&'a str> {
    let native = || asked.get("metadata").and_then(|metadata| metadata.text("user_id"));
    asked.text("safety_identifier").or(asked.text("user")).or_else(native)
}
