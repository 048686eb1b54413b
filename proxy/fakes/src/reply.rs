//! What a fake answers: a status, headers, and a body that is whole or a list of frames. Owns their form on the wire;
//! never decides what they say.

use crate::script::Script;

/// An answer, before the scenario decides how it travels.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// Further header lines, each ended by CRLF.
    pub(super) headers: String,
    pub(super) body: Body,
}

pub(super) enum Body {
    Whole(Vec<u8>),
    Stream(Frames),
}

impl Reply {
    pub(super) fn json(status: u16, body: Vec<u8>) -> Reply {
        Reply { status, content_type: "application/json", headers: String::new(), body: Body::Whole(body) }
    }

    pub(super) fn html(status: u16) -> Reply {
        const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n\
            <body><center><h1>502 Bad Gateway</h1></center><hr><center>cloudflare</center></body></html>\n";
        Reply { content_type: "text/html; charset=UTF-8", ..Reply::json(status, PAGE.as_bytes().to_vec()) }
    }

    pub(super) fn stream(frames: Frames) -> Reply {
        Reply {
            status: 200,
            content_type: "text/event-stream; charset=utf-8",
            headers: "cache-control: no-cache\r\n".to_owned(),
            body: Body::Stream(frames),
        }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Reply {
        for part in [name, ": ", value, "\r\n"] {
            self.headers.push_str(part);
        }
        self
    }

    /// The status line and headers, up to and with the empty line.
    pub(super) fn head(&self, out: &mut Vec<u8>) {
        let lines = ["HTTP/1.1 ", status_line(self.status), "\r\ncontent-type: ", self.content_type, "\r\n"];
        lines.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        out.extend_from_slice(self.headers.as_bytes());
        match &self.body {
            Body::Whole(body) => {
                out.extend_from_slice(b"content-length: ");
                out.extend_from_slice(body.len().to_string().as_bytes());
                out.extend_from_slice(b"\r\n\r\n");
            }
            Body::Stream(_) => out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
        }
    }
}

/// Server-sent events, each with its blank line.
pub(super) struct Frames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    newline: &'static str,
    comments: bool,
}

impl Frames {
    pub(super) fn new(script: &Script) -> Frames {
        let newline = if script.crlf { "\r\n" } else { "\n" };
        Frames { bytes: Vec::with_capacity(4096), ends: Vec::with_capacity(64), newline, comments: script.comments }
    }

    /// Adds an event whose data `write` appends on one line. Without a name it has no `event` line.
    pub(super) fn push(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if self.comments {
            self.line(": keep-alive");
            self.line("");
        }
        if !name.is_empty() {
            self.bytes.extend_from_slice(b"event: ");
            self.line(name);
        }
        self.bytes.extend_from_slice(b"data: ");
        write(&mut self.bytes);
        self.line("");
        self.line("");
        self.ends.push(self.bytes.len());
    }

    fn line(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(self.newline.as_bytes());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Drops all frames from `count` on.
    pub(super) fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Appends `text` as a JSON string with its quotes.
pub(super) fn quoted(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing a string to memory does not fail");
}

/// Appends `text` as the inside of a JSON string, without quotes.
pub(super) fn escaped(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    quoted(text, out);
    out.pop();
    out.remove(start);
}

fn status_line(status: u16) -> &'static str {
    match status {
        200 => "200 OK",
        302 => "302 Found",
        400 => "400 Bad Request",
        401 => "401 Unauthorized",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        408 => "408 Request Timeout",
        413 => "413 Payload Too Large",
        429 => "429 Too Many Requests",
        500 => "500 Internal Server Error",
        502 => "502 Bad Gateway",
        503 => "503 Service Unavailable",
        504 => "504 Gateway Timeout",
        529 => "529 Overloaded",
        _ => "",
    }
}
