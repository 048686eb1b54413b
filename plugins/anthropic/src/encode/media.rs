//! Images and documents, from the data URIs and URLs that clients send.

use alloc::string::String;

use tollgate_plugin::Failure;

use super::base64;
use crate::wire::{BlockKind, Source};

/// An image or a document at `url`, wherever the client meant either.
pub(super) fn block<'a>(url: &'a str, param: &str) -> Result<BlockKind<'a>, Failure> {
    if let Some(rest) = strip_prefix_ignoring_case(url, "data:") {
        return data_uri(rest, param);
    }
    if strip_prefix_ignoring_case(url, "https://").is_some() || strip_prefix_ignoring_case(url, "http://").is_some() {
        return Ok(BlockKind::Image(Source::Url(url)));
    }
    Err(refused(param, "An image must be given as an http URL or as a base64 data URI."))
}

/// The data of a file part: a data URI, or base64 whose bytes or whose name say what they are.
pub(super) fn file<'a>(data: &'a str, name: Option<&str>, param: &str) -> Result<BlockKind<'a>, Failure> {
    let block = match strip_prefix_ignoring_case(data, "data:") {
        Some(rest) => data_uri(rest, param),
        None => typed(sniff(data).or_else(|| named(name)).unwrap_or_default(), data, param),
    };
    block.map_err(|failure| failure.with_code("invalid_file"))
}

fn named(name: Option<&str>) -> Option<&'static str> {
    name.filter(|name| name.ends_with(".txt")).map(|_| "text/plain")
}

fn data_uri<'a>(rest: &'a str, param: &str) -> Result<BlockKind<'a>, Failure> {
    let Some((head, data)) = rest.split_once(',') else {
        return Err(refused(param, "The data URI has no data."));
    };
    let mut attributes = head.split(';');
    let declared = attributes.next().unwrap_or_default().trim();
    if !attributes.any(|attribute| attribute.trim().eq_ignore_ascii_case("base64")) {
        return Err(refused(param, "The data URI must be base64."));
    }
    typed(sniff(data).unwrap_or(declared), data, param)
}

fn typed<'a>(media_type: &'a str, data: &'a str, param: &str) -> Result<BlockKind<'a>, Failure> {
    let data = data.trim();
    let known = ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"];
    let spelled = if media_type.eq_ignore_ascii_case("image/jpg") { "image/jpeg" } else { media_type };
    match known.iter().find(|known| known.eq_ignore_ascii_case(spelled)) {
        _ if data.is_empty() => Err(refused(param, "The data URI has no data.")),
        Some(&"application/pdf") => Ok(BlockKind::Document(Source::Base64 { media_type: "application/pdf", data })),
        Some(media_type) => Ok(BlockKind::Image(Source::Base64 { media_type, data })),
        None if strip_prefix_ignoring_case(media_type, "text/").is_some() => {
            let text = base64::decode(data).and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| refused(param, "The text file must be UTF-8 in base64."))?;
            Ok(BlockKind::Document(Source::Text(text)))
        }
        None => Err(refused(param, "The provider takes PNG, JPEG, GIF and WebP images, PDF documents and text files.")),
    }
}

/// The media type that the first bytes of `data`, which is base64, show. The provider refuses a wrong declaration.
fn sniff(data: &str) -> Option<&'static str> {
    let data = data.trim_start();
    let starts = |prefix: &str| data.starts_with(prefix);
    if starts("iVBORw0K") {
        Some("image/png")
    } else if starts("/9j/") {
        Some("image/jpeg")
    } else if starts("R0lGOD") {
        Some("image/gif")
    } else if starts("UklGR") && data.get(12..16) == Some("RUJQ") {
        // `RIFF`, four bytes of length, and of `WEBP` the last three, which fill a group of their own.
        Some("image/webp")
    } else if starts("JVBERi0") {
        Some("application/pdf")
    } else {
        None
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn refused(param: &str, message: &str) -> Failure {
    Failure::invalid(String::from(param), message).with_code("invalid_image_url")
}
