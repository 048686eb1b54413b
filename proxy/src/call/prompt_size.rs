//! How large a prompt is, measured while it is scanned.

use super::json::{Text, Token};

/// The size of a prompt, in the units that a cheap estimate of its tokens is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptSize {
    pub ascii_bytes: u64,
    /// Characters outside ASCII, the Chinese, Japanese and Korean ones included.
    pub wide_chars: u64,
    pub cjk_chars: u64,
    pub messages: u32,
    /// Image, audio, video and file parts. Their bytes are not in `ascii_bytes`.
    pub media: u32,
    /// Token ids that the client sent instead of text.
    pub token_ids: u64,
}

/// Values of `type` that announce a part which is not text.
const MEDIA_TYPES: [&str; 11] = [
    "image_url",
    "input_image",
    "image",
    "input_audio",
    "audio",
    "audio_url",
    "file",
    "input_file",
    "document",
    "video_url",
    "video",
];

impl PromptSize {
    pub(super) fn text(&mut self, text: Text) {
        self.ascii_bytes += text.ascii;
        self.wide_chars += text.wide;
        self.cjk_chars += text.cjk;
    }

    pub(super) fn add(&mut self, other: &PromptSize) {
        self.ascii_bytes += other.ascii_bytes;
        self.wide_chars += other.wide_chars;
        self.cjk_chars += other.cjk_chars;
        self.messages = self.messages.saturating_add(other.messages);
        self.media = self.media.saturating_add(other.media);
        self.token_ids += other.token_ids;
    }

    /// JSON that reaches the model as it stands, such as a tool's schema.
    pub(super) fn json(&mut self, text: &str) {
        self.ascii_bytes += text.len() as u64;
    }
}

/// One message's strings. A part is announced by its `type`, and its bytes hang below one of a few names.
#[derive(Debug, Default)]
pub(super) struct MessageStrings {
    announced: u32,
    payloads: u32,
}

impl MessageStrings {
    /// Counts one string of a message that stands below the name `key`.
    pub(super) fn note(&mut self, prompt_size: &mut PromptSize, key: &str, value: Token<'_>) {
        match key {
            "type" => {
                if MEDIA_TYPES.contains(&value.raw) {
                    self.announced += 1;
                }
            }
            _ if is_payload(key, value.raw) => self.payloads += 1,
            _ => prompt_size.text(value.size()),
        }
    }

    pub(super) fn finish(self, prompt_size: &mut PromptSize) {
        // A part may be announced and carry no bytes (a remote image), or carry bytes unannounced.
        prompt_size.media = prompt_size.media.saturating_add(self.announced.max(self.payloads));
    }
}

/// Whether a message's string `raw` below the name `key` is the bytes of an image, a sound or a file.
pub fn is_payload(key: &str, raw: &str) -> bool {
    match key {
        "data" | "file_data" => true,
        "url" | "image_url" | "audio_url" | "video_url" => raw.starts_with("data:"),
        _ => false,
    }
}
