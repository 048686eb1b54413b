//! Tokens from sizes alone, where nobody counts.

use super::input_bound::MediaBounds;
use crate::call::PromptSize;

/// Around each message a chat format puts its role and its ends.
const MESSAGE_TOKENS: u64 = 6;
/// An image in full detail; what OpenAI charges for a large one is near it.
const MEDIA_TOKENS: u64 = 1100;
/// What opens the answer.
const ANSWER_TOKENS: u64 = 3;

/// Input tokens that a call is taken to have used where nobody counts. Errs high, but knows no bound: hold it to the
/// most that the call may use.
pub fn estimate(prompt_size: &PromptSize, bounds: &MediaBounds) -> u64 {
    // Dense ASCII, such as minified JSON or hashes, has about 2.5 bytes a token; prose has more. Outside ASCII a
    // character is a token or, in older tokenizers, a little more.
    let ascii = prompt_size.ascii_bytes.saturating_mul(2).div_ceil(5);
    let wide = prompt_size.wide_chars.saturating_mul(5).div_ceil(4);
    ascii.saturating_add(wide).saturating_add(overhead(prompt_size, bounds))
}

/// What a call uses besides its text: message ends, media, token ids. To be added to a count of the text. Media count
/// no more than `bounds` lets them.
pub fn overhead(prompt_size: &PromptSize, bounds: &MediaBounds) -> u64 {
    let messages = u64::from(prompt_size.messages) * MESSAGE_TOKENS;
    let media = (prompt_size.media.parts() * MEDIA_TOKENS).min(bounds.tokens(&prompt_size.media));
    let answer = if prompt_size.messages > 0 { ANSWER_TOKENS } else { 0 };
    prompt_size.token_ids.saturating_add(messages + media + answer)
}
