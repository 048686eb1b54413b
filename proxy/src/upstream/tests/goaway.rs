//! Connections of HTTP/2 whose provider says goodbye while they are in use.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};

use super::*;
use crate::sign::Credential;

/// Empty settings, and the word that the other side's were read.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];
/// The status 200 on the first stream.
const HEAD: &[u8] = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];

/// No further stream than the first.
fn goaway(code: u8) -> [u8; 17] {
    [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, code]
}

/// A provider that says goodbye for this reason on each of its connections when it is told to, and then answers the
/// first request.
async fn provider(code: u8) -> (Provider, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let leave = Arc::new(Notify::new());
    let told = leave.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                stream.write_all(SETTINGS).await.unwrap();
                let mut unread = [0; 1024];
                let mut told = std::pin::pin!(told.notified());
                loop {
                    tokio::select! {
                        count = stream.read(&mut unread) => if count.unwrap_or(0) == 0 { return },
                        () = &mut told => break,
                    }
                }
                stream.write_all(&[&goaway(code), HEAD].concat()).await.unwrap();
                // Until the other side has left.
                while stream.read(&mut unread).await.unwrap_or(0) > 0 {}
            });
        }
    });
    (Provider::new("one", settings(address)), leave)
}

fn settings(address: SocketAddr) -> Settings {
    let wait = Duration::from_secs(60);
    Settings {
        base: Base {
            tls: false,
            host: address.ip().to_string(),
            port: address.port(),
            prefix: String::new(),
            authority: address.to_string(),
        },
        keys: Vec::new(),
        clocks: Clocks { connect: wait, first_byte: wait, idle: wait, total: wait, write: wait },
        version: Version::Http2,
        retries: rules(),
        key_rest: wait,
        keep_idle: wait,
    }
}

async fn send(exchange: &mut Exchange, provider: &Provider, headers: &[(String, String)]) -> Result<(), UpstreamError> {
    let outgoing = Outgoing {
        method: "POST",
        path: "/chat",
        headers,
        credential: &Credential::None,
        via: "1.1 test",
        key: None,
        body: Bytes::from_static(b"{}"),
    };
    exchange.send(provider, outgoing).await
}

#[tokio::test]
async fn a_request_that_its_connection_takes_no_more_is_stale_and_no_answer_is_waited_for() {
    let (provider, leave) = provider(0).await;
    let connector = Connector::new(4);
    let mut first = connector.open(&provider).await.unwrap();
    send(&mut first, &provider, &[]).await.unwrap();
    let (mut late, mut invalid) = (connector.open(&provider).await.unwrap(), connector.open(&provider).await.unwrap());
    let broken = [("a".to_owned(), "b\nc".to_owned())];
    assert_eq!(send(&mut invalid, &provider, &broken).await, Err(UpstreamError::Protocol));
    assert_eq!(invalid.head().await, Err(UpstreamError::Reset));
    leave.notify_waiters();
    assert_eq!(first.head().await.unwrap().status, 200);
    assert_eq!(send(&mut late, &provider, &[]).await, Err(UpstreamError::Stale));
    assert_eq!(late.head().await, Err(UpstreamError::Reset));
}

#[tokio::test]
async fn a_kept_connection_that_takes_no_stream_any_more_is_passed_over() {
    for code in [0, 2] {
        let (provider, leave) = provider(code).await;
        let connector = Connector::new(4);
        let mut first = connector.open(&provider).await.unwrap();
        send(&mut first, &provider, &[]).await.unwrap();
        leave.notify_waiters();
        assert_eq!(first.head().await.unwrap().status, 200);
        let mut second = connector.open(&provider).await.unwrap();
        send(&mut second, &provider, &[]).await.unwrap();
        leave.notify_waiters();
        assert_eq!(second.head().await.unwrap().status, 200, "on a connection of its own");
    }
}
