//! How an answer travels: at which pace, in which pieces, and where it breaks off. Owns the timing and the chunks;
//! never decides what is said.

use std::{io, time::Duration};

use crate::{
    connection::Connection,
    counters::Open,
    reply::{Body, Frames, Reply},
    script::{Fault, Script},
};

/// A call that hangs is let go after this long, should its client never leave.
const HANG_MAX: Duration = Duration::from_secs(600);
/// Other connections get their turn after this many frames.
const FRAMES_PER_TURN: usize = 64;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes `reply` as `script` says, and marks `call` as completed or aborted. Returns the connection where it may
/// carry another request. `out` is scratch space.
pub(super) async fn deliver(
    mut connection: Connection,
    reply: Reply,
    script: &Script,
    call: &mut Open,
    out: &mut Vec<u8>,
) -> Option<Connection> {
    let written = match attempt(&mut connection, reply, script, call, out).await {
        Ok(ending) => ending,
        Err(_left) => {
            call.aborted = true;
            return None;
        }
    };
    match written {
        Ending::Complete => {
            call.completed = true;
            Some(connection)
        }
        Ending::Closed => None,
        Ending::Reset => {
            // A socket that cannot be reset any more is closed already.
            let _ = connection.reset();
            None
        }
    }
}

enum Ending {
    Complete,
    Closed,
    Reset,
}

async fn attempt(
    connection: &mut Connection,
    reply: Reply,
    script: &Script,
    call: &mut Open,
    out: &mut Vec<u8>,
) -> io::Result<Ending> {
    if script.gated {
        let counters = call.counters();
        connection.meanwhile(counters.gate(&script.id)).await?;
    }
    pause(connection, script.first).await?;
    match script.fault {
        Fault::Hang => return hang(connection).await,
        Fault::Reset if script.after == 0 && !script.at_end => return Ok(Ending::Reset),
        _ => {}
    }
    out.clear();
    reply.head(out);
    match &reply.body {
        Body::Whole(body) => whole(connection, body, script, out).await,
        Body::Stream(frames) => stream(connection, frames, script, call, out).await,
    }
}

async fn whole(connection: &mut Connection, body: &[u8], script: &Script, out: &mut Vec<u8>) -> io::Result<Ending> {
    let kept = match script.fault {
        _ if script.at_end => body.len(),
        Fault::Stall => 0,
        Fault::None => body.len(),
        Fault::Hang | Fault::Reset | Fault::Cut | Fault::End => body.len() / 2,
    };
    if script.bytewise {
        connection.write(out).await?;
        for byte in &body[..kept] {
            connection.write(std::slice::from_ref(byte)).await?;
        }
    } else {
        out.extend_from_slice(&body[..kept]);
        connection.write(out).await?;
    }
    match script.fault {
        Fault::None => Ok(Ending::Complete),
        Fault::Stall => hang(connection).await,
        Fault::Reset => Ok(Ending::Reset),
        Fault::Hang | Fault::Cut | Fault::End => Ok(Ending::Closed),
    }
}

async fn stream(
    connection: &mut Connection,
    frames: &Frames,
    script: &Script,
    call: &mut Open,
    out: &mut Vec<u8>,
) -> io::Result<Ending> {
    let last = frames.len();
    for (index, frame) in frames.iter().enumerate() {
        if script.fault != Fault::None && !script.at_end && index == script.after {
            return broken(connection, frame, script.fault, out).await;
        }
        if index > 0 {
            pause(connection, script.frame).await?;
        }
        if script.bytewise {
            for byte in frame {
                chunk(std::slice::from_ref(byte), out);
                connection.write(out).await?;
                out.clear();
            }
        } else {
            chunk(frame, out);
        }
        call.frames += 1;
        let waits = script.frame.is_zero() && !call.frames.is_multiple_of(script.per_write);
        if !waits && index + 1 < last {
            connection.write(out).await?;
            out.clear();
        }
        if call.frames.is_multiple_of(FRAMES_PER_TURN) {
            tokio::task::yield_now().await;
        }
    }
    if script.fault != Fault::None && script.at_end {
        return broken(connection, &[], script.fault, out).await;
    }
    out.extend_from_slice(LAST_CHUNK);
    connection.write(out).await?;
    Ok(Ending::Complete)
}

/// What a stream does at the frame where it fails.
async fn broken(connection: &mut Connection, frame: &[u8], fault: Fault, out: &mut Vec<u8>) -> io::Result<Ending> {
    match fault {
        Fault::Cut if !frame.is_empty() => {
            // The chunk is announced in full, so that its end is missing on both layers.
            let half = &frame[..frame.len() / 2];
            out.extend_from_slice(format!("{:x}\r\n", frame.len()).as_bytes());
            out.extend_from_slice(half);
        }
        Fault::End => out.extend_from_slice(LAST_CHUNK),
        Fault::None | Fault::Hang | Fault::Stall | Fault::Reset | Fault::Cut => {}
    }
    connection.write(out).await?;
    match fault {
        Fault::Reset => Ok(Ending::Reset),
        Fault::Stall => hang(connection).await,
        Fault::End => Ok(Ending::Complete),
        Fault::None | Fault::Hang | Fault::Cut => Ok(Ending::Closed),
    }
}

fn chunk(data: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - data.len().leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|place| DIGITS[(data.len() >> (4 * place)) & 15]));
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

async fn pause(connection: &mut Connection, length: Duration) -> io::Result<()> {
    if length.is_zero() { Ok(()) } else { connection.meanwhile(tokio::time::sleep(length)).await }
}

async fn hang(connection: &mut Connection) -> io::Result<Ending> {
    pause(connection, HANG_MAX).await?;
    Ok(Ending::Closed)
}
