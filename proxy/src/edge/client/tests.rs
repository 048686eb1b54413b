use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::timeout,
};

use super::{
    super::{
        Edge, ReadHead,
        bodies::Bodies,
        connections::{Connection, Connections, Waits},
    },
    *,
};

const WRITE: Duration = Duration::from_secs(10);
const BODY: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn settings() -> Settings {
    Settings {
        h2c: false,
        keep_idle: HOUR,
        head_timeout: HOUR,
        read: BODY,
        write: WRITE,
        body: BODY,
        body_bytes_max: 1 << 20,
        bodies_bytes_max: 1 << 20,
        decoding_max: 1,
        headers_max: 100,
        header_bytes_max: 16 << 10,
    }
}

/// A request whose head has been read, and the client's end of its connection, which takes so many bytes unread.
async fn session(head: &'static str, unread_max: usize) -> (ServerSession, DuplexStream) {
    let (ours, mut theirs) = duplex(unread_max);
    let mut session = ServerSession::new_http1(Box::new(ours));
    let (read, sent) = tokio::join!(session.read_request(), theirs.write_all(head.as_bytes()));
    assert!(read.unwrap() && sent.is_ok());
    session.set_write_timeout(Some(WRITE));
    session.set_read_timeout(Some(BODY));
    (session, theirs)
}

async fn connection() -> (Arc<Connections>, Connection) {
    let connections = Connections::new(1, Waits { head: HOUR, next: HOUR });
    let connection = connections.admit().await;
    (connections, connection)
}

/// What `answer` makes of a client of this request.
async fn with_client<T>(session: &mut ServerSession, answer: impl AsyncFnOnce(&mut Client<'_>) -> T) -> T {
    let (settings, (_, cut), (_connections, connection)) = (settings(), watch::channel(false), connection().await);
    let serving = connection.serve().unwrap();
    answer(&mut Client::new(session, &settings, &cut, Bodies::new(1 << 20, 1).hold(), serving, false)).await
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_answered_leaves_its_place_to_others_while_its_body_is_awaited() {
    let (mut session, _client) = session("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n", 1 << 16).await;
    let (connections, connection) = connection().await;
    let (_stop, shutdown) = watch::channel(false);
    let (_cut, cut) = watch::channel(false);
    let edge = Edge::pages(Router::new(), settings(), cut);
    let serving = connection.serve().unwrap();
    let cut = async {
        tokio::select! {
            biased;
            _ = edge.answer(&mut session, ReadHead::Good, serving, &shutdown) => panic!("the place was kept"),
            () = connection.cut() => {}
            _ = connections.admit() => panic!("there is no place before the other has left it"),
        }
    };
    tokio::time::timeout(Duration::from_secs(1), cut).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_and_without_a_pause_is_given_all_of_a_long_answer() {
    let (mut session, mut client) = session("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 16 << 10).await;
    let reading = tokio::spawn(async move {
        let (mut all, mut piece) = (0, vec![0; 64 << 10]);
        while let Ok(count) = client.read(&mut piece).await
            && count > 0
        {
            all += count;
            tokio::time::sleep(WRITE / 8).await;
        }
        all
    });
    let bytes = 1 << 20;
    with_client(&mut session, async |client| {
        let head = Head::whole(200, HeaderValue::from_static("text/plain"), bytes);
        client.begin(head).await.unwrap();
        client.write(vec![b'x'; bytes].into(), true).await.unwrap();
        assert!(client.is_answered());
    })
    .await;
    drop(session);
    assert!(reading.await.unwrap() > bytes);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_left_at_each_write() {
    let (mut session, _client) = session("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 8).await;
    let head = Head { status: 200, content_type: HeaderValue::from_static("a/b"), length: None, headers: Vec::new() };
    let begun = with_client(&mut session, async |client| timeout(2 * WRITE, client.begin(head)).await).await;
    assert_eq!(begun, Ok(Err(ClientGoneError)));

    let (mut session, mut client) = self::session("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1 << 10).await;
    let head = Head { status: 200, content_type: HeaderValue::from_static("a/b"), length: None, headers: Vec::new() };
    let ended = with_client(&mut session, async |it| {
        it.begin(head).await.unwrap();
        let mut taken = vec![0; 1 << 10];
        let count = client.read(&mut taken).await.unwrap();
        assert!(taken[..count].ends_with(b"\r\n\r\n"));
        // With its length before it, the piece leaves no room for the end mark.
        it.write(vec![b'x'; (1 << 10) - 7].into(), false).await.unwrap();
        timeout(2 * WRITE, it.write(Bytes::new(), true)).await
    })
    .await;
    assert_eq!(ended, Ok(Err(ClientGoneError)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_leave_to_send_is_waited_for_as_long_as_any_other() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let (mut session, _client) = session(head, 8).await;
    let body = with_client(&mut session, async |client| timeout(WRITE + BODY * 2, client.body()).await).await;
    assert_eq!(body, Ok(Err(BodyError::Slow)));
}
