//! The operator's pages: a router of axum's, served on a connection of Pingora's.
//!
//! One server for all listeners means one set of deadlines and bounds for all of them.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::Frame;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::client::Client;
use crate::engine::{Downstream, Head};

/// The largest page, in bytes.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// Answers one request out of `router`.
pub(super) async fn answer(router: &Router, client: &mut Client<'_>) {
    let (pieces, body) = mpsc::channel(1);
    let request = client.request(Body::new(Pieces(body)));
    let response = respond(router, request, pieces, client).await;
    let (parts, body) = response.into_parts();
    // The router makes its pages in memory, so that reading one cannot fail.
    let page = to_bytes(body, PAGE_BYTES_MAX).await.unwrap_or_default();
    let mut headers = parts.headers;
    let plain = || HeaderValue::from_static("text/plain; charset=utf-8");
    let content_type = headers.remove(header::CONTENT_TYPE).unwrap_or_else(plain);
    headers.remove(header::CONTENT_LENGTH);
    let mut head = Head::whole(parts.status.as_u16(), content_type, page.len());
    head.headers.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    if client.begin(head).await.is_ok() {
        let _ = client.write(page, true).await;
        client.discard_body().await;
    }
}

/// Lets the router answer, and gives it the body as far as it reads it: a request that it refuses by its head alone is
/// never read.
async fn respond(
    router: &Router,
    request: Request,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    client: &mut Client<'_>,
) -> Response {
    let mut response = pin!(router.clone().oneshot(request));
    let mut pieces = Some(pieces);
    loop {
        tokio::select! {
            biased;
            response = &mut response => return response.unwrap_or_else(|never: Infallible| match never {}),
            more = pass_piece(pieces.as_ref(), client) => {
                pieces.take_if(|_| !more);
            }
        }
    }
}

/// Passes the next piece of the body on, once there is a place for it. False at its end.
async fn pass_piece(pieces: Option<&mpsc::Sender<io::Result<Bytes>>>, client: &mut Client<'_>) -> bool {
    let Some(pieces) = pieces else { return std::future::pending().await };
    let Ok(place) = pieces.reserve().await else { return false };
    match client.piece().await {
        Ok(Some(piece)) => {
            place.send(Ok(piece));
            true
        }
        Ok(None) => false,
        Err(_) => {
            place.send(Err(io::ErrorKind::UnexpectedEof.into()));
            false
        }
    }
}

/// A body that comes piece by piece.
struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
