//! One connection that speaks HTTP/1.1: request after request.
//!
//! Pingora would walk it too. Its walk and its room for a head are larger than all else that an open stream keeps, so
//! that the walk is here, and what comes first of a request is read into as much room as it takes.

use std::{future::poll_fn, mem::MaybeUninit, pin::Pin, time::Duration};

use bytes::BytesMut;
use pingora::{
    apps::HttpPersistentSettings,
    protocols::{Stream, http::ServerSession},
    server::ShutdownWatch,
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::timeout,
};

use super::{Edge, connections::Connection, read_head};

/// How much is read at once of a request's beginning, onto the stack.
const FIRST_BYTES_MAX: usize = 4 << 10;
/// Between two pieces of a connection's first head, in seconds. The whole of it has a shorter deadline of its own.
const FIRST_HEAD_PAUSE_S: u64 = 60;

/// Serves a connection until it ends, or the process stops.
pub(super) async fn serve(edge: &Edge, connection: &Connection, mut stream: Stream, shutdown: &ShutdownWatch) {
    let (mut unread, mut settings) = (None, None::<HttpPersistentSettings>);
    loop {
        let first = match unread {
            Some(unread) => unread,
            None => {
                let kept_for = settings.is_some().then_some(edge.settings.keep_idle);
                let Some(first) = first_bytes(&mut stream, kept_for, shutdown).await else { return };
                first
            }
        };
        let mut session = session(stream, first, settings);
        let Some(head) = read_head(&mut session, shutdown).await else { return };
        // None: the head came in the moment in which the connection was cut.
        let Some(serving) = connection.serve() else { return };
        if !edge.answer(&mut session, head, serving, shutdown).await {
            return;
        }
        settings = Some(HttpPersistentSettings::for_session(&session));
        // Boxed: it holds the session once more, for what is done at once.
        let Ok(Some(reusable)) = Box::pin(session.finish()).await else { return };
        (stream, unread) = reusable.into_parts();
    }
}

/// What comes first of a request. None where nothing comes: the client left, has waited for too long, or the process
/// stops.
async fn first_bytes(stream: &mut Stream, kept_for: Option<Duration>, shutdown: &ShutdownWatch) -> Option<BytesMut> {
    let mut stopping = shutdown.clone();
    let read = poll_fn(|cx| {
        let mut room = [const { MaybeUninit::uninit() }; FIRST_BYTES_MAX];
        let mut read = ReadBuf::uninit(&mut room);
        Pin::new(&mut *stream).poll_read(cx, &mut read).map(|done| {
            let is_some = done.is_ok() && !read.filled().is_empty();
            is_some.then(|| BytesMut::from(read.filled()))
        })
    });
    tokio::select! {
        biased;
        first = timeout(kept_for.unwrap_or(Duration::MAX), read) => first.ok()?,
        _ = stopping.wait_for(|stop| *stop) => None,
    }
}

/// A session for the request that begins with `first`. `settings` are left by the request before it.
fn session(stream: Stream, first: BytesMut, settings: Option<HttpPersistentSettings>) -> ServerSession {
    let mut session = ServerSession::new_http1(stream);
    match settings {
        Some(settings) => settings.apply_to_session(&mut session),
        None => session.set_keepalive(Some(FIRST_HEAD_PAUSE_S)),
    }
    session.set_pipelined_prefix(first);
    session
}
