//! How large a prompt is, measured while it is scanned.

use super::{
    Call,
    json::{Text, Token},
};

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
    /// Sounds in the body, and how many bytes of base64 they are.
    pub audios: u32,
    pub audio_bytes: u64,
    /// Sounds that the provider is to fetch.
    pub audios_remote: u32,
    /// Documents in the body, and how many bytes of base64 they are.
    pub documents: u32,
    pub document_bytes: u64,
    /// Documents that the provider is to fetch.
    pub documents_remote: u32,
}

impl Media {
    /// How many parts there are.
    pub fn parts(&self) -> u64 {
        [self.images, self.videos, self.audios, self.audios_remote, self.documents, self.documents_remote]
            .map(u64::from)
            .into_iter()
            .sum()
    }
}

impl PromptSize {
    pub(super) fn text(&mut self, text: Text) {
        self.ascii_bytes += text.ascii;
        self.wide_chars += text.wide;
        self.cjk_chars += text.cjk;
    }

    /// JSON that reaches the model as it stands, such as a tool's schema.
    pub(super) fn json(&mut self, text: &str) {
        self.ascii_bytes += text.len() as u64;
    }
}

/// What a part is that is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Audio,
    Document,
    Video,
}

const KINDS: [Kind; 4] = [Kind::Image, Kind::Audio, Kind::Document, Kind::Video];

impl Kind {
    /// What the value of `type` announces.
    fn announced(name: &str) -> Option<Kind> {
        match name {
            "image_url" | "input_image" | "image" => Some(Kind::Image),
            "input_audio" | "audio" | "audio_url" => Some(Kind::Audio),
            "file" | "input_file" | "document" => Some(Kind::Document),
            "video_url" | "video" => Some(Kind::Video),
            _ => None,
        }
    }

    /// What a data URL holds; `None` for text.
    fn of_url(url: &str) -> Option<Kind> {
        let media_type = url.strip_prefix("data:")?;
        match media_type.split_once('/')?.0 {
            "image" => Some(Kind::Image),
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            "application" => Some(Kind::Document),
            _ => None,
        }
    }
}

/// One message's strings. A part is announced by its `type`, and its bytes hang below one of a few names.
#[derive(Debug, Default)]
pub(super) struct MessageStrings {
    announced: [u32; KINDS.len()],
    carried: [Payloads; KINDS.len()],
    /// Bytes that do not say what they are.
    unnamed: Payloads,
    /// Files of text.
    texts: u32,
}

/// Bytes of media of one kind.
#[derive(Debug, Default, Clone, Copy)]
struct Payloads {
    count: u32,
    bytes: u64,
    size: Text,
}

impl Payloads {
    fn add(&mut self, value: Token<'_>) {
        self.count += 1;
        self.bytes += value.raw.len() as u64;
        self.size.ascii += value.raw.len() as u64;
    }
}

impl MessageStrings {
    /// Counts one string of a message that stands below the name `key`.
    pub(super) fn note(&mut self, prompt_size: &mut PromptSize, key: &str, value: Token<'_>) {
        if key == "type" {
            if let Some(kind) = Kind::announced(value.raw) {
                self.announced[kind as usize] += 1;
            }
        } else if !is_payload(key, value.raw) {
            prompt_size.text(value.size());
        } else if let Some(kind) = Kind::of_url(value.raw) {
            self.carried[kind as usize].add(value);
        } else if value.raw.starts_with("data:") {
            self.texts += 1;
            prompt_size.text(value.size());
        } else {
            self.unnamed.add(value);
        }
    }

    /// Adds what the message holds besides text.
    ///
    /// Bytes are media only where a part of the message announces them: all others are text that is called otherwise.
    pub(super) fn finish(self, prompt_size: &mut PromptSize) {
        let announced: u32 = self.announced.iter().sum();
        let carried = || self.carried.iter().chain([&self.unnamed]);
        if carried().map(|payloads| payloads.count).sum::<u32>() > announced {
            carried().for_each(|payloads| prompt_size.text(payloads.size));
        } else {
            prompt_size.media.payload_bytes += carried().map(|payloads| payloads.bytes).sum::<u64>();
        }
        for kind in KINDS {
            let (announced, mut carried) = (self.announced[kind as usize], self.carried[kind as usize]);
            if announced > carried.count && self.unnamed.count > 0 {
                // Which of several parts they belong to is not known: they count with each that lacks some.
                carried.count += self.unnamed.count;
                carried.bytes += self.unnamed.bytes;
            }
            let here = carried.count + if kind == Kind::Document { self.texts } else { 0 };
            prompt_size.media.add(kind, carried, announced.saturating_sub(here));
        }
    }
}

impl Media {
    fn add(&mut self, kind: Kind, carried: Payloads, remote: u32) {
        let sum = |count: &mut u32, more: u32| *count = count.saturating_add(more);
        match kind {
            Kind::Image => sum(&mut self.images, carried.count + remote),
            Kind::Video => sum(&mut self.videos, carried.count + remote),
            Kind::Audio => {
                sum(&mut self.audios, carried.count);
                self.audio_bytes += carried.bytes;
                sum(&mut self.audios_remote, remote);
            }
            Kind::Document => {
                sum(&mut self.documents, carried.count);
                self.document_bytes += carried.bytes;
                sum(&mut self.documents_remote, remote);
            }
        }
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

/// Whether a model reads nothing of the top-level field of this name: it says how the model is to answer.
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

impl Call {
    /// How much of the call a model may read as text, in bytes: all of its JSON but parameters and the bytes of media.
    pub fn prompt_bytes(&self) -> u64 {
        let prompt = self.fields.iter().filter(|field| {
            let name = &self.text(&field.key)[1..field.key.len() - 1];
            field.escaped || !is_parameter(name)
        });
        let bytes: usize = prompt.map(|field| field.key.len() + field.value.len()).sum();
        (bytes as u64).saturating_sub(self.prompt_size.media.payload_bytes)
    }
}
