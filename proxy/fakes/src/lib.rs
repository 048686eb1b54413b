//! Providers to try the gateway with: an OpenAI and an Anthropic on loopback that speak the real wire formats, check
//! requests as strictly as the real ones, and say deterministic things. `make run` without provider keys, the tests
//! and the benches all use these. Depends on nothing of the gateway: what it says can be held against it.
//!
//! A model's name chooses a scenario: `fake:<name>[+<name>…][?<parameter>=<value>&…]`. Any other model answers well,
//! with `You said: …`. Any key but `sk-bad-key` is good.
//!
//! | scenario | what happens | its parameters |
//! |---|---|---|
//! | `ok`, `slow` | a good answer, at a pace | `first_ms`, `frame_ms`, `frames` (`1 2 3 …`), `per_write` |
//! | `long`, `big` | 1000 frames; 1 MiB of text | `frames`; `bytes` (in `frames` pieces) |
//! | `hang` | no byte, ever | |
//! | `stall` | the head and `after` frames (3), then nothing | `after` |
//! | `reset` | the connection is reset after `after` frames (0) | `after` |
//! | `cut` | the connection closes in mid-frame, or in mid-body | `after` |
//! | `end` | the stream ends in good order, without its last events | `after` |
//! | `at-end` | with `stall`, `reset` or `cut`: only behind the last frame, or the whole body | |
//! | `no-done` | the stream lacks `[DONE]`, or `message_stop` | |
//! | `no-finish` | the stream lacks its finish reason (`message_delta`) | |
//! | `html` | a load balancer's page, status 200 | `code` |
//! | `200-error` | an error body under status 200 | `code` (of the error) |
//! | `error-event` | an error event after `after` frames (3) | `after`, `code` |
//! | `status` | a refusal in the provider's words, status 500 | `code`, `retry_after` (seconds) |
//! | `redirect` | 302 to another host | `code` |
//! | `fail-first` | the first `n` calls of `id` fail at once with `code`, the next do what else is named | `n`, `id`, `code`, `retry_after` |
//! | `gate` | no byte before [`Counters::open_gate`] or `POST /__fake/open?<id>` | `id` |
//! | `no-usage`, `usage` | no token counts; these, however absurd | `input`, `output`, `cached`, `cache_write`, `reasoning` |
//! | `o200k`, `cl100k`, `bytes-counted` | input counted by this tokenizer, or a token a byte; `media` tokens (1000) an image or file | `media` |
//! | `tools` | tool calls, declared or not | `calls` |
//! | `deep` | a tool call whose arguments nest `depth` (120) levels | `depth` |
//! | `echo` | the request's headers, as the text (of an error too) and as headers `x-echo-<name>` | |
//! | `report` | the text is the request's JSON without its prompt: `max_tokens`, `n` and all others as they came | |
//! | `thinking`, `refusal` | an answer with reasoning; one that its filter stopped | |
//! | `crlf`, `comments`, `bytewise` | CRLF line ends; comment lines; one byte a write | |
//! | `whole` | a JSON body in answer to a stream | |
//! | `headers` | 100 more headers | `headers` |
//! | `floats`, `base64` | embeddings in this form, whatever was asked | |
//! | `missing` | the model is unknown | |
//!
//! Examples: `fake:stall+at-end` never closes behind `[DONE]` or `message_stop`; `fake:cut+at-end?per_write=1000`
//! sends all of an answer in one write and closes without the last chunk; `fake:fail-first+hang?code=429` refuses
//! once and then hangs; `fake:usage?output=99999999999999999999` and `?output=-1` report what cannot be;
//! `fake:long+o200k?frames=100000` says as much as it is let, and counts exactly.
//!
//! Input is counted in words, and output in words too, unless the scenario says otherwise.
//! `GET /__fake/stats` answers [`Counters::to_json`].

mod answer;
mod anthropic;
mod connection;
mod count;
mod counters;
mod delivery;
mod instance;
mod openai;
mod reply;
mod script;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

pub use counters::{Abort, BODY_BYTES_KEPT, Counters, REQUESTS_KEPT, Seen};

use connection::{Connection, Request, Unreadable};
use counters::Open;
use delivery::deliver;
use reply::Reply;
use script::{Fault, Instead, Script};

/// Further connections are closed at once.
const CONNECTIONS_MAX: usize = 16_384;

/// What `report` leaves out: the prompt, which may be long.
const PROMPT_FIELDS: [&str; 4] = ["messages", "system", "tools", "input"];

/// Which provider a fake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    OpenAi,
    Anthropic,
}

/// A fake that answers on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Fake {
    address: SocketAddr,
    counters: Arc<Counters>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Starts a fake that listens on `address`; port 0 takes any free one. Fails where the address cannot be bound.
    pub fn start(dialect: Dialect, address: impl ToSocketAddrs) -> io::Result<Fake> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (counters, stop) = (Arc::new(Counters::default()), Arc::new(Notify::new()));
        let (seen, stopped) = (Arc::clone(&counters), Arc::clone(&stop));
        let listener = runtime.block_on(async { TcpListener::from_std(listener) })?;
        let thread = std::thread::Builder::new().name("fake-provider".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(dialect, &listener, &seen) => {}
                    () = stopped.notified() => {}
                }
            });
        })?;
        Ok(Fake { address, counters, stop, thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What an operator would configure as the provider's `base_url`.
    pub fn base_url(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::OpenAi => format!("http://{}/v1", self.address),
            Dialect::Anthropic => format!("http://{}", self.address),
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A fake that panicked has nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// A stable 64-bit hash (FNV-1a), for comparing bodies and for answers that depend on their question.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

async fn accept(dialect: Dialect, listener: &TcpListener, counters: &Arc<Counters>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: those in use must end before another can begin.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (open, counters) = (Arc::clone(&open), Arc::clone(counters));
        tokio::spawn(async move {
            // A connection that breaks concerns its client alone.
            let _ = serve(dialect, stream, &counters).await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve(dialect: Dialect, stream: TcpStream, counters: &Arc<Counters>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    let mut out = Vec::new();
    loop {
        match connection.read().await? {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(fault) => {
                refuse(&mut connection, dialect, fault, &mut out).await?;
                return Ok(());
            }
        }
        let Some(request) = connection.request() else { return Ok(()) };
        let closes = request.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        if let Some(question) = request.path.strip_prefix("/__fake/") {
            let reply = about(question, request.query, counters);
            out.clear();
            reply.head(&mut out);
            if let reply::Body::Whole(body) = &reply.body {
                out.extend_from_slice(body);
            }
            connection.write(&out).await?;
        } else {
            let mut call = counters.begin(request.head.as_bytes(), request.body);
            let (reply, script) = answer(dialect, &request, &call);
            match deliver(connection, reply, &script, &mut call, &mut out).await {
                Some(kept) => connection = kept,
                None => return Ok(()),
            }
        }
        if closes {
            return Ok(());
        }
    }
}

/// Answers under `/__fake/`.
fn about(question: &str, query: &str, counters: &Counters) -> Reply {
    match question {
        "stats" => Reply::json(200, counters.to_json().to_string().into_bytes()),
        "open" => {
            counters.open_gate(query);
            Reply::json(200, b"{}".to_vec())
        }
        _ => Reply::json(404, b"{}".to_vec()),
    }
}

/// The provider's answer and the scenario under which it travels.
fn answer(dialect: Dialect, request: &Request<'_>, call: &Open) -> (Reply, Script) {
    let (reply, script) = match dialect {
        Dialect::OpenAi => openai::answer(request, call),
        Dialect::Anthropic => anthropic::answer(request, call),
    };
    let mut reply = (0..script.headers).fold(reply, |reply, index| reply.header(&format!("x-fake-{index}"), "padding"));
    if script.echo {
        reply = request.headers().fold(reply, |reply, (name, value)| reply.header(&format!("x-echo-{name}"), value));
    }
    (reply, script)
}

/// Puts into `script` what it shall tell of the request.
fn tell(script: &mut Script, request: &Request<'_>, body: &Value) {
    if script.echo {
        let headers: Vec<String> = request.headers().map(|(name, value)| format!("{name}: {value}")).collect();
        script.text = Some(headers.join("\n"));
    } else if script.report {
        let fields = body.as_object().into_iter().flatten().filter(|(name, _)| !PROMPT_FIELDS.contains(&name.as_str()));
        let told: serde_json::Map<_, _> = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        script.text = Some(Value::Object(told).to_string());
    }
}

/// What the scenario answers in place of an answer, in either dialect; `error` puts its status into the dialect's
/// words. A call that `fail-first` fails is answered at once, whatever the scenario says of the calls behind it.
fn instead(script: &mut Script, call: &Open, error: impl Fn(&Script) -> Reply) -> Option<Reply> {
    let failing = script.fail_first.is_some_and(|count| call.counters().must_fail(&script.id, count));
    if failing {
        script.fault = Fault::None;
    }
    let reply = match script.instead {
        _ if failing => error(script),
        Instead::Nothing => return None,
        Instead::Status => error(script),
        Instead::ErrorIn200 => Reply { status: 200, ..error(script) },
        Instead::Html => Reply::html(script.code),
        Instead::Redirect => Reply { status: script.code, ..Reply::html(302) }.header("location", "http://192.0.2.1/"),
    };
    Some(match script.retry_after {
        Some(seconds) => reply.header("retry-after", &seconds.to_string()),
        None => reply,
    })
}

async fn refuse(connection: &mut Connection, dialect: Dialect, fault: Unreadable, out: &mut Vec<u8>) -> io::Result<()> {
    let (status, message) = match fault {
        Unreadable::Malformed => (400, "the request is not HTTP/1.1"),
        Unreadable::HeadTooLong => (400, "the request's headers are too long"),
        Unreadable::BodyTooLong => (413, "the request's body is too long"),
    };
    let reply = match dialect {
        Dialect::OpenAi => openai::error(status, message, None, None),
        Dialect::Anthropic => anthropic::error(status, message),
    }
    .header("connection", "close");
    out.clear();
    reply.head(out);
    if let reply::Body::Whole(body) = &reply.body {
        out.extend_from_slice(body);
    }
    connection.write(out).await
}
