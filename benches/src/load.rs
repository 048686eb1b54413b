//! The load: calls over keep-alive connections, and what their client sees of the answers. Closed loop for
//! throughput, one by one for latency, paced streams for first bytes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream as BlockingStream},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer takes no longer than this, or the measurement has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// A chat call of one kibibyte, ready to be sent.
#[derive(Clone)]
pub(crate) struct Call {
    bytes: Vec<u8>,
}

impl Call {
    /// A call to `model` at `address` under `key`.
    pub(crate) fn new(address: SocketAddr, key: &str, model: &str, stream: bool) -> Call {
        const WORDS: &str = "What does a toll gate cost the cart that passes it? ";
        let text = WORDS.repeat(1024 / WORDS.len());
        let messages = json!([{ "role": "user", "content": text }]);
        let body = json!({ "model": model, "stream": stream, "max_tokens": 4096, "messages": messages }).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\naccept: application/json\r\nuser-agent: OpenAI/Python 3.52.0\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        Call { bytes: [head.into_bytes(), body.into_bytes()].concat() }
    }
}

/// An answer as it arrives.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    /// Where the body begins, once known.
    body: Option<usize>,
    /// None for a chunked body.
    length: Option<usize>,
}

impl Answer {
    fn clear(&mut self) {
        self.bytes.clear();
        (self.body, self.length) = (None, None);
    }

    /// Whether the answer is complete. Anything but a success is an error.
    fn is_complete(&mut self) -> anyhow::Result<bool> {
        if self.body.is_none() {
            let Some(at) = memmem::find(&self.bytes, b"\r\n\r\n") else { return Ok(false) };
            self.body = Some(at + 4);
            let head = std::str::from_utf8(&self.bytes[..at])?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            self.length = length.map(|it| it.trim().parse()).transpose()?;
            if !head.starts_with("http/1.1 200") {
                bail!("the answer was: {}", String::from_utf8_lossy(&self.bytes));
            }
        }
        Ok(match (self.body, self.length) {
            (Some(body), Some(length)) => self.bytes.len() >= body + length,
            (Some(body), None) => self.bytes.len() > body && self.bytes.ends_with(LAST_CHUNK),
            (None, _) => false,
        })
    }

    fn has_frame(&self) -> bool {
        self.body.is_some_and(|body| self.bytes.len() > body)
    }

    /// The text of a streamed answer.
    fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.bytes);
        let chunks = body.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        chunks.filter_map(|it| Some(it["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
    }
}

/// Calls `connections` at a time for so long, each at once after the one before. Returns how long each took, in nanoseconds.
pub(crate) fn closed_loop(
    address: SocketAddr,
    call: &Call,
    connections: usize,
    length: Duration,
) -> anyhow::Result<Vec<u64>> {
    runtime()?.block_on(async {
        let mut workers = Vec::new();
        for _ in 0..connections {
            let (call, mut stream) = (call.clone(), connect(address).await?);
            workers.push(tokio::spawn(async move {
                let (begun, mut answer, mut times_ns) = (Instant::now(), Answer::default(), Vec::new());
                while begun.elapsed() < length {
                    let sent = Instant::now();
                    let answered = exchange(&mut stream, &call, &mut answer);
                    tokio::time::timeout(PATIENCE, answered).await.context("a call took too long")??;
                    times_ns.push(u64::try_from(sent.elapsed().as_nanos())?);
                }
                anyhow::Ok(times_ns)
            }));
        }
        let mut times_ns = Vec::new();
        for worker in workers {
            times_ns.extend(worker.await??);
        }
        Ok(times_ns)
    })
}

/// Opens `count` streams and reads each up to `word`; then `measure` is called while all of them are open.
pub(crate) fn held<T>(
    address: SocketAddr,
    call: &Call,
    count: usize,
    word: &str,
    measure: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let finder = memmem::Finder::new(word).into_owned();
    runtime()?.block_on(async {
        let mut opening = Vec::new();
        for _ in 0..count {
            let (call, finder) = (call.clone(), finder.clone());
            let mut stream = connect(address).await?;
            opening.push(tokio::spawn(async move {
                stream.write_all(&call.bytes).await?;
                let mut bytes = Vec::with_capacity(16 << 10);
                while finder.find(&bytes).is_none() {
                    // What was looked through is dropped, but for what may be a half of the word.
                    bytes.drain(..bytes.len().saturating_sub(finder.needle().len()));
                    let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut bytes)).await;
                    ensure!(read.context("a stream took too long")?? > 0, "closed before the word");
                }
                anyhow::Ok(stream)
            }));
        }
        let mut streams = Vec::with_capacity(count);
        for stream in opening {
            streams.push(stream.await??);
        }
        let measured = measure();
        drop(streams);
        measured
    })
}

/// Makes `count` calls on one connection, each after the one before. Returns how long each took, in nanoseconds.
pub(crate) fn one_by_one(address: SocketAddr, call: &Call, count: usize) -> anyhow::Result<Vec<u64>> {
    let mut stream = BlockingStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut answer, mut buffer) = (Answer::default(), vec![0; 64 << 10]);
    let mut times_ns = Vec::with_capacity(count);
    for _ in 0..count {
        answer.clear();
        let begun = Instant::now();
        stream.write_all(&call.bytes)?;
        while !answer.is_complete()? {
            let read = stream.read(&mut buffer)?;
            ensure!(read > 0, "closed before the end of the answer");
            answer.bytes.extend_from_slice(&buffer[..read]);
        }
        times_ns.push(u64::try_from(begun.elapsed().as_nanos())?);
    }
    Ok(times_ns)
}

/// What paced streams showed.
#[derive(Default)]
pub(crate) struct Paced {
    /// From the request to the first byte of the first frame, in nanoseconds, for each stream.
    pub(crate) first_frames_ns: Vec<u64>,
    /// Words that did not arrive, or not in their place.
    pub(crate) lost_frames: u64,
}

/// Opens `count` streams, spread over `spread`, and reads each to its end; their text must be `1 2 … frames`.
pub(crate) fn paced(
    address: SocketAddr,
    call: &Call,
    count: usize,
    frames: usize,
    spread: Duration,
) -> anyhow::Result<Paced> {
    runtime()?.block_on(async {
        let step = spread / u32::try_from(count)?;
        let begun = tokio::time::Instant::now();
        let mut streams = Vec::new();
        for index in 0..u32::try_from(count)? {
            let (call, mut stream) = (call.clone(), connect(address).await?);
            streams.push(tokio::spawn(async move {
                tokio::time::sleep_until(begun + Duration::from_millis(50) + step * index).await;
                let mut answer = Answer::default();
                let first = exchange(&mut stream, &call, &mut answer).await?;
                anyhow::Ok((first, lost(&answer.text(), frames)))
            }));
        }
        let mut paced = Paced::default();
        for stream in streams {
            let (first, lost) = tokio::time::timeout(PATIENCE, stream).await.context("a stream took too long")???;
            paced.first_frames_ns.push(u64::try_from(first.as_nanos())?);
            paced.lost_frames += lost;
        }
        Ok(paced)
    })
}

/// How many of the words `1 2 … frames` are not in their place in `text`.
fn lost(text: &str, frames: usize) -> u64 {
    let mut words = text.split(' ');
    let wrong = (1..=frames).filter(|word| words.next() != Some(&word.to_string())).count();
    (wrong + words.count()) as u64
}

/// Makes one call, and returns how long its first frame took.
async fn exchange(stream: &mut TcpStream, call: &Call, answer: &mut Answer) -> anyhow::Result<Duration> {
    answer.clear();
    let begun = Instant::now();
    let mut first = None;
    stream.write_all(&call.bytes).await?;
    while !answer.is_complete()? {
        if answer.has_frame() && first.is_none() {
            first = Some(begun.elapsed());
        }
        answer.bytes.reserve(16 << 10);
        ensure!(stream.read_buf(&mut answer.bytes).await? > 0, "closed before the end of the answer");
    }
    Ok(first.unwrap_or_else(|| begun.elapsed()))
}

/// Whether one call at `address` is answered well.
pub(crate) fn answers(address: SocketAddr, call: &Call) -> anyhow::Result<()> {
    one_by_one(address, call, 1).map(drop)
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::{Answer, lost};

    #[test]
    fn lost_and_doubled_words_are_counted() {
        for (text, count) in [("1 2 3", 0), ("1 2", 1), ("", 3), ("1 3", 2), ("1 1 2 3", 3), ("1 2 3 4", 1)] {
            assert_eq!(lost(text, 3), count, "{text}");
        }
    }

    #[test]
    fn an_answer_is_complete_at_its_last_byte_and_not_before() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let counted = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for text in [chunked, counted] {
            for cut in 0..=text.len() {
                let mut answer = Answer { bytes: text.as_bytes()[..cut].to_vec(), ..Answer::default() };
                assert_eq!(answer.is_complete().unwrap(), cut == text.len(), "{cut} of {text}");
            }
        }
    }

    #[test]
    fn a_refusal_is_an_error() {
        let mut answer = Answer { bytes: b"HTTP/1.1 429 x\r\n\r\n".to_vec(), ..Answer::default() };
        assert!(answer.is_complete().is_err());
    }

    #[test]
    fn the_text_of_a_stream_is_that_of_its_chunks() {
        let stream = "7\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"1 \"}}]}\n\n\r\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"2\"}}]}\n\ndata: [DONE]\n\n";
        let answer = Answer { bytes: stream.as_bytes().to_vec(), ..Answer::default() };
        assert_eq!(answer.text(), "1 2");
    }
}
