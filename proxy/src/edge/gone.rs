//! Whether a client is still there.

use std::time::Duration;

use bytes::Bytes;
use pingora::{http::ResponseHeader, protocols::http::ServerSession};
use tokio::time::{Instant, sleep_until};

/// A client that has said that it will send nothing more: it may have left, or may still read.
pub(super) struct Probes {
    next: Instant,
    wait: Duration,
}

/// What a client can be sent that it skips.
#[derive(Clone, Copy)]
pub(super) enum Skipped {
    /// HTTP/1.1 lets any number of interim answers come before an answer.
    Interim,
    /// A comment, which every reader of a stream of events skips.
    Comment,
}

/// The wait between the first two probes; each further one is twice as long, up to the last.
const PROBE_WAIT_MIN: Duration = Duration::from_millis(5);
const PROBE_WAIT_MAX: Duration = Duration::from_secs(15);
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Returns when the client has left; else never. One that will send nothing more is taken to have left where there is
/// nothing to send that it skips.
pub(super) async fn left(session: &mut ServerSession, probes: &mut Option<Probes>, skipped: Option<Skipped>) {
    if !is_half_closed(session) {
        // Anything but an error would be a body after the body's end, which pipelining keeps from showing here.
        while session.read_body_or_idle(true).await.is_ok() {}
    }
    if is_half_closed(session) {
        // Boxed: rare, and every call would hold what this is.
        Box::pin(left_for_good(session, probes, skipped)).await;
    }
}

/// Whether the client will send nothing more, and may still read.
fn is_half_closed(session: &ServerSession) -> bool {
    match session {
        ServerSession::H1(session) => session.is_half_closed(),
        _ => false,
    }
}

/// Returns once a client that will send nothing more has been found to have left. Only writing shows whether it has: one
/// that still reads is sent what it skips, and one that left refuses it.
///
/// Safe to drop half-way: what is written fits into the connection's own buffer, which an answer in parts leaves empty.
async fn left_for_good(session: &mut ServerSession, probes: &mut Option<Probes>, skipped: Option<Skipped>) {
    loop {
        let now = Instant::now();
        let probes = probes.get_or_insert(Probes { next: now, wait: PROBE_WAIT_MIN });
        sleep_until(probes.next).await;
        *probes = Probes { next: probes.next.max(now) + probes.wait, wait: (probes.wait * 2).min(PROBE_WAIT_MAX) };
        if probe(session, skipped).await.is_none() {
            return;
        }
    }
}

/// Writes something that does not count. None where it cannot be written.
async fn probe(session: &mut ServerSession, skipped: Option<Skipped>) -> Option<()> {
    match skipped? {
        Skipped::Interim => {
            let interim = ResponseHeader::build(100, Some(0)).ok()?;
            session.write_response_header(Box::new(interim)).await.ok()
        }
        Skipped::Comment => session.write_response_body(COMMENT, false).await.ok(),
    }
}
