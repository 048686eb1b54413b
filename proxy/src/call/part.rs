//! The parts of a message: text, and what is not text.
//!
//! Whatever a provider may take for a medium counts as one: a part is announced by its `type` or by the name that
//! carries it, however either is escaped. What is counted twice is held twice; what is missed would be free.

use std::borrow::Cow;

use super::{
    json::{Token, unquote},
    prompt_size::{Media, PromptSize},
    sound,
};

/// What a part is that is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Audio,
    Document,
    Video,
}

const KINDS: [Kind; 4] = [Kind::Image, Kind::Audio, Kind::Document, Kind::Video];

/// The names that announce a part: the value of its `type`, and the field that carries it.
const NAMES: [(&str, Kind); 9] = [
    ("image_url", Kind::Image),
    ("image", Kind::Image),
    ("input_audio", Kind::Audio),
    ("audio_url", Kind::Audio),
    ("audio", Kind::Audio),
    ("file", Kind::Document),
    ("document", Kind::Document),
    ("video_url", Kind::Video),
    ("video", Kind::Video),
];

/// The index in [`NAMES`] of what the value of `type` announces.
fn typed(name: &str) -> Option<usize> {
    let name = match name {
        "input_image" => "image_url",
        "input_file" => "file",
        name => name,
    };
    NAMES.iter().position(|(known, _)| *known == name)
}

/// The index in [`NAMES`] of a field that carries a part by itself. Some providers read names in any case.
fn carrying(name: &str, is_object: bool) -> Option<usize> {
    let index = NAMES.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))?;
    match NAMES[index].0 {
        // The id of an answer that was spoken earlier.
        "audio" => None,
        // Names of files and frames, in tools' results and elsewhere.
        "file" | "document" | "input_audio" | "video" if !is_object => None,
        _ => Some(index),
    }
}

/// The strings of one part of a message, those of the parts in it among them.
#[derive(Debug, Default)]
pub(super) struct PartStrings {
    /// How often each of [`NAMES`] is the value of `type`, and how often it carries something.
    typed: [u32; NAMES.len()],
    carrying: [u32; NAMES.len()],
    sent: [Payloads; KINDS.len()],
    /// Bytes that do not say what they are.
    unnamed: Payloads,
    /// Files of text.
    texts: u32,
    /// Names of something that the provider is to fetch.
    remote: u32,
    /// A source says that it is text, or base64.
    is_source_text: bool,
    is_source_base64: bool,
}

/// Bytes of media of one kind.
#[derive(Debug, Default, Clone, Copy)]
struct Payloads {
    count: u32,
    bytes: u64,
    /// What they last at most if they are a sound.
    seconds_max: u64,
}

impl Payloads {
    fn add(&mut self, value: Token<'_>, data: &str) {
        self.count += 1;
        self.bytes += value.raw.len() as u64;
        self.seconds_max = self.seconds_max.saturating_add(sound::seconds_max(data));
    }
}

impl PartStrings {
    /// Counts one string that stands below `name`; none where an object opens there.
    pub(super) fn note(&mut self, prompt_size: &mut PromptSize, name: Token<'_>, value: Option<Token<'_>>) {
        let name = name.decode();
        if let Some(index) = carrying(&name, value.is_none()) {
            self.carrying[index] += 1;
        }
        let Some(value) = value else { return };
        if name.eq_ignore_ascii_case("type") {
            self.note_type(&value.decode());
        } else if !is_payload(&name, value) {
            self.remote += u32::from(is_reference(&name));
            prompt_size.text(value.size());
        } else {
            self.note_payload(prompt_size, value);
        }
    }

    fn note_type(&mut self, value: &str) {
        if let Some(index) = typed(value) {
            self.typed[index] += 1;
        }
        self.is_source_text |= value == "text";
        self.is_source_base64 |= value == "base64";
    }

    fn note_payload(&mut self, prompt_size: &mut PromptSize, value: Token<'_>) {
        let Some(url) = DataUrl::of(value) else {
            // No base64 has these: some providers take a URL in its place.
            let head = &value.raw[..value.raw.floor_char_boundary(16)];
            self.remote += u32::from(head.contains(':') || head.contains("\\u"));
            let sniffed = is_pdf(value.raw).then_some(Kind::Document);
            sniffed.map_or(&mut self.unnamed, |kind| &mut self.sent[kind as usize]).add(value, value.raw);
            return;
        };
        match url.kind() {
            Some(kind) => self.sent[kind as usize].add(value, url.data),
            None if url.is_text() => {
                self.texts += 1;
                prompt_size.text(value.size());
            }
            None => self.unnamed.add(value, url.data),
        }
    }

    /// Adds what the part holds besides text.
    ///
    /// Bytes are media only where the part announces them: all others are text that is called otherwise.
    pub(super) fn finish(mut self, prompt_size: &mut PromptSize) {
        let mut announced = [0; KINDS.len()];
        for (index, (_, kind)) in NAMES.iter().enumerate() {
            // A part that says its type carries something under the same name.
            announced[*kind as usize] += self.typed[index].max(self.carrying[index]);
        }
        if self.is_source_text && !self.is_source_base64 && announced[Kind::Document as usize] > 0 {
            let text = std::mem::take(&mut self.unnamed);
            prompt_size.ascii_bytes += text.bytes;
            self.texts += text.count;
        }
        let sent = || self.sent.iter().chain([&self.unnamed]);
        let (count, bytes) =
            sent().fold((0, 0), |(count, bytes), payloads| (count + payloads.count, bytes + payloads.bytes));
        if count > announced.iter().sum() {
            prompt_size.ascii_bytes += bytes;
        } else {
            prompt_size.media.payload_bytes += bytes;
        }
        for kind in KINDS {
            let (announced, mut sent) = (announced[kind as usize], self.sent[kind as usize]);
            if announced > sent.count && self.unnamed.count > 0 {
                // Nothing says which kind these bytes are: every kind that was announced without bytes counts them.
                sent.count += self.unnamed.count;
                sent.seconds_max = sent.seconds_max.saturating_add(self.unnamed.seconds_max);
            }
            let here = sent.count + if kind == Kind::Document { self.texts } else { 0 };
            let remote = match kind {
                Kind::Image | Kind::Video => announced.saturating_sub(here),
                // What lies elsewhere may be longer than what is here, and be read in its place.
                Kind::Audio | Kind::Document => announced.saturating_sub(here).max(self.remote.min(announced)),
            };
            add(&mut prompt_size.media, kind, sent, remote);
        }
    }
}

fn add(media: &mut Media, kind: Kind, sent: Payloads, remote: u32) {
    let sum = |count: &mut u32, more: u32| *count = count.saturating_add(more);
    match kind {
        Kind::Image => sum(&mut media.images, sent.count + remote),
        Kind::Video => sum(&mut media.videos, sent.count + remote),
        Kind::Document => sum(&mut media.documents, sent.count + remote),
        Kind::Audio => {
            sum(&mut media.audios, sent.count);
            sum(&mut media.audios_remote, remote);
            media.audio_seconds_max = media.audio_seconds_max.saturating_add(sent.seconds_max);
        }
    }
}

/// A URL that holds what it names.
struct DataUrl<'a> {
    /// From the media type on.
    head: Cow<'a, str>,
    /// Behind the comma, as it is written.
    data: &'a str,
}

/// How much of a URL its media type stands in, in bytes.
const HEAD_BYTES: usize = 64;

impl<'a> DataUrl<'a> {
    fn of(value: Token<'a>) -> Option<DataUrl<'a>> {
        let head = front(value.raw, HEAD_BYTES);
        let scheme = head.get(..5)?;
        if !scheme.eq_ignore_ascii_case("data:") {
            return None;
        }
        let head = match head {
            Cow::Borrowed(head) => Cow::Borrowed(&head[5..]),
            Cow::Owned(head) => Cow::Owned(head[5..].to_owned()),
        };
        Some(DataUrl { head, data: value.raw.split_once(',').map_or("", |(_, data)| data) })
    }

    /// What it holds, by what it says and by its first bytes, which some go by instead; `None` for text.
    fn kind(&self) -> Option<Kind> {
        if is_pdf(self.data) {
            return Some(Kind::Document);
        }
        match self.head.split_once('/')?.0.to_ascii_lowercase().as_str() {
            "image" => Some(Kind::Image),
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            "application" => Some(Kind::Document),
            _ => None,
        }
    }

    fn is_text(&self) -> bool {
        self.head.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("text/"))
    }
}

/// Whether base64 is that of a PDF.
fn is_pdf(base64: &str) -> bool {
    front(base64, HEAD_BYTES).starts_with("JVBERi0")
}

/// The beginning of what `raw`, the inside of a JSON string, means.
fn front(raw: &str, bytes: usize) -> Cow<'_, str> {
    let raw = raw.trim_ascii_start();
    let front = &raw[..raw.floor_char_boundary(bytes)];
    if front.contains('\\') { Cow::Owned(unquote(front).trim_start().to_owned()) } else { Cow::Borrowed(front) }
}

/// Whether a message's string below this name is the bytes of an image, a sound or a file.
pub fn is_payload(name: &str, value: Token<'_>) -> bool {
    match name {
        "data" | "file_data" => true,
        "url" | "image_url" | "audio_url" | "video_url" => DataUrl::of(value).is_some(),
        _ => false,
    }
}

/// Whether a string below this name says where a medium is.
fn is_reference(name: &str) -> bool {
    ["url", "image_url", "audio_url", "video_url", "file_url", "file_uri", "file_id"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}
