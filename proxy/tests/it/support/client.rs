//! One connection of a client, spoken by hand: HTTP/1.1 with as few manners as a test needs.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{Answer, Call, Head, PATIENCE};

/// A connection to the gateway, kept as long as the gateway keeps it.
pub(crate) struct Client {
    stream: TcpStream,
    /// Read and not yet taken.
    read: Vec<u8>,
    rest: Rest,
    /// Text of a stream that makes no whole event yet.
    partial: String,
}

/// What is to come of the answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    Bytes(usize),
    Chunks,
    UntilClosed,
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Client {
        Client::try_to(address).expect("the gateway accepts connections")
    }

    pub(crate) fn try_to(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream, read: Vec::new(), rest: Rest::Nothing, partial: String::new() })
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub(crate) fn call(&mut self, call: &Call) -> Answer {
        self.send(call);
        self.answer()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, call: &Call) {
        self.write(&call.bytes());
    }

    #[track_caller]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).expect("the gateway takes what it is sent");
    }

    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next answer, whole.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next answer if it comes whole: with its last byte. What comes before it with a 1xx is passed over.
    pub(crate) fn try_answer(&mut self) -> io::Result<Answer> {
        let head = loop {
            let head = self.try_head()?;
            if head.status >= 200 {
                break head;
            }
        };
        let mut body = Vec::new();
        while let Some(piece) = self.try_piece()? {
            body.extend_from_slice(&piece);
        }
        Ok(Answer { head, body })
    }

    /// The head of the next answer; 1xx are answers too.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Head {
        self.try_head().unwrap_or_else(|error| panic!("no head: {error}"))
    }

    pub(crate) fn try_head(&mut self) -> io::Result<Head> {
        let end = loop {
            match memchr::memmem::find(&self.read, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.more()?,
            }
        };
        let text: Vec<u8> = self.read.drain(..end).collect();
        let head = Head::parse(&String::from_utf8_lossy(&text));
        self.rest = match head.header("content-length") {
            _ if head.status < 200 || head.status == 204 => Rest::Nothing,
            Some(length) => Rest::Bytes(length.parse().expect("lengths are numbers")),
            None if head.header("transfer-encoding") == Some("chunked") => Rest::Chunks,
            None => Rest::UntilClosed,
        };
        Ok(head)
    }

    /// The next piece of the body; none at its end.
    pub(crate) fn try_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.rest {
            Rest::Nothing | Rest::Bytes(0) => Ok(None),
            Rest::Bytes(left) => {
                if self.read.is_empty() {
                    self.more()?;
                }
                let piece: Vec<u8> = self.read.drain(..left.min(self.read.len())).collect();
                self.rest = Rest::Bytes(left - piece.len());
                Ok(Some(piece))
            }
            Rest::Chunks => {
                let size = self.line()?;
                let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                while self.read.len() < size + 2 {
                    self.more()?;
                }
                let piece: Vec<u8> = self.read.drain(..size).collect();
                self.read.drain(..2);
                if size == 0 {
                    self.rest = Rest::Nothing;
                    return Ok(None);
                }
                Ok(Some(piece))
            }
            Rest::UntilClosed if !self.read.is_empty() => Ok(Some(std::mem::take(&mut self.read))),
            Rest::UntilClosed => match self.more() {
                Ok(()) => Ok(Some(std::mem::take(&mut self.read))),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// The payload of the stream's next event; none at its end.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Option<String> {
        self.try_event().unwrap_or_else(|error| panic!("no event: {error}"))
    }

    pub(crate) fn try_event(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some((frame, rest)) = self.partial.split_once("\n\n") {
                let payload: String = frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                self.partial = rest.to_owned();
                if !payload.is_empty() {
                    return Ok(Some(payload));
                }
                continue;
            }
            match self.try_piece()? {
                Some(piece) => self.partial.push_str(&String::from_utf8_lossy(&piece)),
                None => return Ok(None),
            }
        }
    }

    /// Reads events up to the `count`th.
    #[track_caller]
    pub(crate) fn events(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.event().expect("the stream goes on")).collect()
    }

    /// Reads to the stream's end, and returns its last event.
    #[track_caller]
    pub(crate) fn last_event(&mut self) -> String {
        std::iter::from_fn(|| self.event()).last().expect("the stream has events")
    }

    /// Closes the connection, in mid-answer or not, and tells when.
    pub(crate) fn leave(self) -> Instant {
        let left = Instant::now();
        drop(self);
        left
    }

    /// Sends a byte of `bytes` every `pause`, until the gateway closes the connection. Returns whether it did.
    pub(crate) fn dribbles(&mut self, bytes: &[u8], pause: Duration) -> bool {
        self.stream.set_read_timeout(Some(pause)).expect("there is a timeout");
        let closed = bytes.iter().any(|byte| {
            let more = self.stream.write_all(&[*byte]).and_then(|()| self.more());
            more.is_err_and(|error| !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
        });
        self.stream.set_read_timeout(Some(PATIENCE)).expect("there is a timeout");
        closed
    }

    /// Says that nothing more will be sent, and keeps on reading.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Holds that the gateway closes the connection without another word.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        let more = self.more();
        let closed = more
            .as_ref()
            .is_err_and(|error| matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset));
        assert!(closed, "{more:?}: {}", String::from_utf8_lossy(&self.read));
    }

    /// Waits for the gateway to close the connection, whatever it still sends.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        let ended = loop {
            if let Err(error) = self.more() {
                break error;
            }
        };
        let closed = matches!(ended.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
        assert!(closed, "{ended}");
    }

    fn line(&mut self) -> io::Result<String> {
        let end = loop {
            match memchr::memmem::find(&self.read, b"\r\n") {
                Some(end) => break end + 2,
                None => self.more()?,
            }
        };
        let line: Vec<u8> = self.read.drain(..end).collect();
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Reads what is there, and waits if nothing is.
    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        let count = self.stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend_from_slice(&piece[..count]);
        Ok(())
    }
}
