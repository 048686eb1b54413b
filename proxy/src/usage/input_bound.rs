//! The most input tokens that a call may use, for holds.

use super::{
    count::Counter,
    family::{BaseTokenizer, Family},
};
use crate::call::Media;

/// What opens a prompt and its answer, in tokens. What a chat format puts around each message is not more than the JSON
/// around it, which is measured.
const FRAME_TOKENS: u64 = 8;
/// What they tell a model that may call tools. Anthropic's is the longest known, with 313 to 804.
const TOOLS_TOKENS: u64 = 1024;

/// What media may count at most, in tokens; by the model's own rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaBounds {
    /// One image, whatever its size.
    pub image_tokens_max: u64,
    pub audio_tokens_per_second_max: u64,
    /// The longest sound that the provider takes. One in the call is held for by its bytes where they show how long
    /// it lasts, one that the provider fetches by this.
    pub audio_seconds_max: u64,
    /// One page of a PDF, its text and its image together.
    pub pdf_page_tokens_max: u64,
    /// Pages of one PDF that the provider takes.
    pub pdf_pages_max: u64,
    /// One video, whatever its length.
    pub video_tokens_max: u64,
}

impl Default for MediaBounds {
    /// What no known model exceeds.
    fn default() -> MediaBounds {
        MediaBounds {
            image_tokens_max: 49_152,
            audio_tokens_per_second_max: 32,
            audio_seconds_max: 4 * 3_600,
            pdf_page_tokens_max: 5_000,
            pdf_pages_max: 100,
            video_tokens_max: 1_000_000,
        }
    }
}

/// The most that one image counts, by how a model's name begins; from the vendors' documentation. The first match
/// counts. A tile is 512 or 768 pixels wide, and images are scaled down to a bound before they are cut into tiles.
const IMAGE_TOKENS: [(&str, u64); 9] = [
    // 2 833 and 5 667 a tile, of at most 8.
    ("gpt-4o-mini", 48_169),
    // 1 536 patches, weighted by up to 2.46.
    ("gpt-4.1", 3_779),
    ("gpt-5", 3_779),
    ("o4-mini", 3_779),
    // 85 and 170 a tile, of at most 8.
    ("gpt-4", 1_445),
    ("o1", 1_445),
    ("o3", 1_445),
    // 750 pixels a token, of at most 2 576 pixels a side.
    ("claude", 8_848),
    ("gemini", 16_384),
];

impl MediaBounds {
    /// The rule of the model of this name at its provider; `None` where it is not known.
    pub fn of_model(model: &str) -> Option<MediaBounds> {
        let name = Family::bare_name(model);
        let (_, image_tokens_max) = *IMAGE_TOKENS.iter().find(|(prefix, _)| name.starts_with(prefix))?;
        Some(MediaBounds { image_tokens_max, ..MediaBounds::default() })
    }

    /// What bounds both.
    #[must_use]
    pub fn or_larger(self, other: MediaBounds) -> MediaBounds {
        MediaBounds {
            image_tokens_max: self.image_tokens_max.max(other.image_tokens_max),
            audio_tokens_per_second_max: self.audio_tokens_per_second_max.max(other.audio_tokens_per_second_max),
            audio_seconds_max: self.audio_seconds_max.max(other.audio_seconds_max),
            pdf_page_tokens_max: self.pdf_page_tokens_max.max(other.pdf_page_tokens_max),
            pdf_pages_max: self.pdf_pages_max.max(other.pdf_pages_max),
            video_tokens_max: self.video_tokens_max.max(other.video_tokens_max),
        }
    }

    /// The most that these media count.
    pub(super) fn tokens(&self, media: &Media) -> u64 {
        // No size says how many pages a PDF has: its list of pages may name one of them many times.
        let pages = u64::from(media.documents).saturating_mul(self.pdf_pages_max);
        let seconds = |sounds: u32| u64::from(sounds).saturating_mul(self.audio_seconds_max);
        let seconds = media.audio_seconds_max.min(seconds(media.audios)).saturating_add(seconds(media.audios_remote));
        [
            (u64::from(media.images), self.image_tokens_max),
            (u64::from(media.videos), self.video_tokens_max),
            (seconds, self.audio_tokens_per_second_max),
            (pages, self.pdf_page_tokens_max),
        ]
        .into_iter()
        .fold(0, |sum, (count, each)| sum.saturating_add(count.saturating_mul(each)))
    }
}

/// What the bounds of a call's input are made of, besides its text.
#[derive(Debug, Clone, Copy)]
pub struct NonTextInput {
    pub media: Media,
    pub bounds: MediaBounds,
    /// The model is told of tools.
    pub has_tools: bool,
}

impl NonTextInput {
    fn tokens(&self) -> u64 {
        let tools = if self.has_tools { TOOLS_TOKENS } else { 0 };
        self.bounds.tokens(&self.media).saturating_add(FRAME_TOKENS + tools)
    }
}

/// The most input tokens that a call with so much text may use, whatever the tokenizer: none makes more than one token
/// of a byte.
pub fn input_bound(prompt_bytes: u64, beside: &NonTextInput) -> u64 {
    prompt_bytes.saturating_add(beside.tokens())
}

impl Counter {
    /// The most input tokens that a call of this text may use at any of `models`, by counting.
    ///
    /// For models of other tokenizers than ours this allows for how far theirs may be from ours. Takes as long as
    /// [`Counter::count`], once for each of our tokenizers that is needed.
    pub fn input_bound<'a>(&self, models: impl Iterator<Item = &'a str>, text: &str, beside: &NonTextInput) -> u64 {
        let mut counted = [None; BaseTokenizer::ALL.len()];
        let bounds = models.map(|model| {
            let family = Family::of(model);
            let tokens = *counted[family.base as usize].get_or_insert_with(|| self.base_tokens(family.base, text));
            // Cut into pieces as it is, a text may count a little more or less than whole.
            let tokens = tokens + tokens.div_ceil(64);
            if family.is_exact { tokens } else { 2 * tokens.max(letters(text) / 4) + irregular(text) }
        });
        let bound = bounds.max().unwrap_or(u64::MAX).min(text.len() as u64);
        bound.saturating_add(beside.tokens())
    }
}

fn letters(text: &str) -> u64 {
    text.bytes().filter(u8::is_ascii_alphabetic).count() as u64
}

/// Bytes of what tokenizers treat most differently: scripts besides Latin, Chinese, Japanese and Korean, which one
/// may know by words and another by bytes, digits, and runs of signs and spaces.
fn irregular(text: &str) -> u64 {
    let mut bytes = 0;
    let mut in_run = false;
    for letter in text.chars() {
        let is_sign = letter.is_ascii() && !letter.is_ascii_alphanumeric();
        bytes += match letter {
            '0'..='9' => 1,
            _ if is_sign => u64::from(in_run),
            // Kana, the common ideographs and Hangul.
            '\u{3000}'..='\u{d7ff}' => 0,
            _ if letter.is_ascii() => 0,
            _ => letter.len_utf8() as u64,
        };
        in_run = is_sign;
    }
    bytes
}
