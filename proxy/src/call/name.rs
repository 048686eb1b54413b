//! The names of top-level fields, as providers read them.
//!
//! Some read a name in any case, as Go's `encoding/json` and .NET do. To them `MODEL` is `model`, so that a call with
//! both would be served by one model and permitted, capped and priced as another.

/// What providers call the most tokens of one answer, at the top of a request or in an object there.
pub(super) const TOKENS_NAMES: [&str; 12] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_tokens_to_sample",
    "max_gen_len",
    "max_length",
    "maxTokens",
    "maxOutputTokens",
    "maxNewTokens",
    "maxTokenCount",
    "num_predict",
];
/// What they call the number of answers, besides `n`.
pub(super) const CHOICES_NAMES: [&str; 4] = ["candidateCount", "candidate_count", "num_generations", "best_of"];
/// Tokens that some of them think beside those of the answer.
pub(super) const THINKING_NAME: &str = "thinking_budget";
/// Those of the names above that have capital letters.
pub(super) const MIXED_NAMES: [&str; 5] =
    ["maxTokens", "maxOutputTokens", "maxNewTokens", "maxTokenCount", "candidateCount"];
/// What else the gateway or an adapter acts on, or an operator may take out of a call.
const OTHER_NAMES: [&str; 31] = [
    "dimensions",
    "encoding_format",
    "frequency_penalty",
    "functions",
    "input",
    "logit_bias",
    "logprobs",
    "messages",
    "metadata",
    "model",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "template",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
];

/// Whether a field of this name bounds what a provider may answer.
pub(super) fn is_bound(name: &str) -> bool {
    TOKENS_NAMES.contains(&name) || CHOICES_NAMES.contains(&name) || name == THINKING_NAME
}

/// The name that `name` is in another case.
pub(super) fn misspelt(name: &str) -> Option<&'static str> {
    let is_small = name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_small {
        return MIXED_NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name));
    }
    let folded: String = name.chars().map(fold).collect();
    let mut known = TOKENS_NAMES.into_iter().chain(CHOICES_NAMES).chain([THINKING_NAME]).chain(OTHER_NAMES);
    let is_exact = |known: &str| known == name;
    if known.clone().any(is_exact) { None } else { known.find(|known| known.eq_ignore_ascii_case(&folded)) }
}

/// The letter that `char` is taken for in any case: two besides ASCII's own are.
fn fold(char: char) -> char {
    match char {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        char => char.to_ascii_lowercase(),
    }
}
