//! What a client still sends after its answer: read and forgotten, within bounds.

use std::time::Duration;

use pingora::protocols::http::ServerSession;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a refused client may go on sending its body.
const DISCARD_MAX: Duration = Duration::from_secs(10);
/// How long a client may go on sending what was refused already and cannot be read.
const LINGER: Duration = Duration::from_secs(1);
/// How often it is read from: all that has come each time, but over TLS a byte.
const LINGER_READS_MAX: usize = 4 << 10;

/// Reads the rest of a body that may take `time`. Whether it came whole, so that the next request begins behind it.
pub(super) async fn discard(session: &mut ServerSession, time: Duration, bytes_max: usize) -> bool {
    let deadline = Instant::now() + time.min(DISCARD_MAX);
    let mut read = 0;
    loop {
        match timeout_at(deadline, session.read_request_body()).await {
            Ok(Ok(Some(piece))) if read + piece.len() <= bytes_max => read += piece.len(),
            Ok(Ok(None)) => return true,
            _ => return false,
        }
    }
}

/// Reads on for a moment what cannot be understood: closing with unread bytes would reset the connection before the
/// client has read why.
pub(super) async fn linger(session: &mut ServerSession) {
    let ServerSession::H1(session) = session else { return };
    let reading = async {
        // A client that reads to the end of the connection sees it now.
        session.shutdown().await;
        for _ in 0..LINGER_READS_MAX {
            match session.idle().await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    let _ = timeout(LINGER, reading).await;
}
