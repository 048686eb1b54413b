//! A `usage` object of OpenAI, or of a provider that names some of its counts otherwise.

/// What a call used: cached and cache-write tokens are part of the input, reasoning tokens of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cached: u64,
    pub cache_write: u64,
    pub reasoning: u64,
}

/// Reads a usage object, field by field in any order.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageReader {
    usage: Usage,
    cached_elsewhere: u64,
}

impl UsageReader {
    /// A field of the object; or, where `outer` is not empty, of the object that it has under that name. `json` is the
    /// value's text.
    pub fn field(&mut self, outer: &str, name: &str, json: &str) {
        let count = match (outer, name) {
            ("", "prompt_tokens") => &mut self.usage.input,
            ("", "completion_tokens") => &mut self.usage.output,
            ("", "prompt_cache_hit_tokens" | "cached_tokens") => &mut self.cached_elsewhere,
            ("prompt_tokens_details", "cached_tokens") => &mut self.usage.cached,
            ("prompt_tokens_details", "cache_write_tokens") => &mut self.usage.cache_write,
            ("completion_tokens_details", "reasoning_tokens") => &mut self.usage.reasoning,
            _ => return,
        };
        *count = count_of(json);
    }

    /// None for a report that counts nothing, as null and all zeros do.
    pub fn finish(self) -> Option<Usage> {
        let mut usage = self.usage;
        if usage.cached == 0 {
            usage.cached = self.cached_elsewhere;
        }
        // A part is never more than its whole: a provider that forgot to include it must not make it free.
        usage.input = usage.input.max(usage.cached.saturating_add(usage.cache_write));
        usage.output = usage.output.max(usage.reasoning);
        (usage.input > 0 || usage.output > 0).then_some(usage)
    }
}

/// A count of tokens, given the text of its JSON. One below zero is as far beyond reason as a count can be, so that
/// whoever holds the report against the call sets it aside.
pub fn count_of(json: &str) -> u64 {
    match json.strip_prefix('-') {
        Some(digits) if whole(digits) > 0 => u64::MAX,
        Some(_) => 0,
        None => whole(json),
    }
}

/// The whole part of a number, which some providers write as `12.0` or `1.2e3`; at most `u64::MAX`, and 0 of anything
/// that is no number.
fn whole(json: &str) -> u64 {
    if let Ok(count) = json.parse() {
        return count;
    }
    let (mantissa, exponent) = json.split_once(['e', 'E']).unwrap_or((json, "0"));
    let (digits, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>() else { return 0 };
    let kept = (digits.len() as i64).saturating_add(i64::from(exponent));
    let mut count = 0_u64;
    let mut all = digits.bytes().chain(fraction.bytes());
    // More digits than any count has fill it up.
    for _ in 0..kept.clamp(0, 25) {
        let digit = all.next().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return 0;
        }
        count = count.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    if kept > 25 && count > 0 { u64::MAX } else { count }
}
