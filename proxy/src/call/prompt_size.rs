//! How large a prompt is, measured while it is scanned.

use super::json::TextSize;

/// The size of a prompt, in the units that estimates and bounds of its tokens are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptSize {
    pub ascii_bytes: u64,
    /// Characters outside ASCII, the Chinese, Japanese and Korean ones included.
    pub wide_chars: u64,
    pub cjk_chars: u64,
    pub messages: u32,
    /// Token ids that the client sent instead of text.
    pub token_ids: u64,
    pub media: Media,
}

/// What a prompt holds that is not text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Media {
    /// What of the body stands for media and not for text: base64, in bytes.
    pub payload_bytes: u64,
    /// Images, sent or named by a URL.
    pub images: u32,
    pub videos: u32,
    /// Sounds in the body, and the most seconds that they last by their bytes.
    pub audios: u32,
    pub audio_seconds_max: u64,
    /// Sounds that the provider is to fetch.
    pub audios_remote: u32,
    /// Documents, sent or to be fetched.
    pub documents: u32,
}

impl Media {
    /// How many parts there are.
    pub fn parts(&self) -> u64 {
        [self.images, self.videos, self.audios, self.audios_remote, self.documents].map(u64::from).into_iter().sum()
    }
}

impl PromptSize {
    pub(super) fn text(&mut self, text: TextSize) {
        self.ascii_bytes += text.ascii;
        self.wide_chars += text.wide;
        self.cjk_chars += text.cjk;
    }

    /// JSON that reaches the model as it stands, such as a tool's schema.
    pub(super) fn json(&mut self, text: &str) {
        self.ascii_bytes += text.len() as u64;
    }
}

/// Whether the top-level field of this name says how the model is to answer, and no model reads it.
pub fn is_parameter(name: &str) -> bool {
    matches!(
        name,
        "dimensions"
            | "encoding_format"
            | "frequency_penalty"
            | "logit_bias"
            | "logprobs"
            | "max_completion_tokens"
            | "max_tokens"
            | "metadata"
            | "model"
            | "n"
            | "parallel_tool_calls"
            | "presence_penalty"
            | "prompt_cache_key"
            | "reasoning_effort"
            | "repetition_penalty"
            | "safety_identifier"
            | "seed"
            | "service_tier"
            | "stop"
            | "store"
            | "stream"
            | "stream_options"
            | "temperature"
            | "top_logprobs"
            | "top_p"
            | "user"
    )
}
