//! A provider's stream into the client's events: forwarded where the dialects agree, translated where they do not.

use bytes::{Bytes, BytesMut};

use super::{Admitted, CallState, attempt::Sent, settle::Received, streamed::Broken};
use crate::{
    call::{Event, Failure, FailureKind, Tokens},
    dialect::openai::{self, Chunks, Forward, Passthrough},
    framing::{Frame, Splitter},
    gateway::Gateway,
    plugin::{Adapter, Context, Stream},
    upstream::UpstreamError,
};

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    /// The answer is whole; what has not been written is the end of it.
    Done,
}

/// Turns the pieces of one answer into the client's bytes.
pub(super) struct Decoder<'a> {
    splitter: Splitter,
    frames: Vec<Frame>,
    way: Way<'a>,
    received: Received,
    held_back: BytesMut,
}

enum Way<'a> {
    Forward { passthrough: Box<Passthrough>, finished: bool },
    Translate(Box<Translation<'a>>),
}

struct Translation<'a> {
    adapter: &'a Adapter,
    context: Context<'a>,
    /// Made at the first frame, so that no instance is held while the provider thinks.
    stream: Option<Stream>,
    chunks: Chunks,
    scratch: Vec<u8>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(gateway: &Gateway, state: &CallState, admitted: &Admitted, sent: &Sent<'a>) -> Decoder<'a> {
        let way = if sent.request.passthrough {
            Way::Forward { passthrough: Box::new(Passthrough::new(admitted.call.include_usage)), finished: false }
        } else {
            let id = format!("chatcmpl-{}", state.request_id.trim_start_matches("req_"));
            let chunks = Chunks::new(&id, state.started_ms / 1000, &state.model_name, admitted.call.include_usage);
            Way::Translate(Box::new(Translation {
                adapter: &sent.target.adapter,
                context: sent.context,
                stream: None,
                chunks,
                scratch: Vec::new(),
            }))
        };
        let splitter = Splitter::new(sent.request.framing, gateway.bounds.frame_bytes_max);
        Decoder { splitter, frames: Vec::new(), way, received: Received::nothing(), held_back: BytesMut::new() }
    }

    /// Takes a piece of the answer, none at its end, and adds what the client may see to `out`.
    pub(super) fn take(&mut self, piece: Option<Bytes>, out: &mut BytesMut) -> Result<Progress, Broken> {
        let ended = piece.is_none();
        match piece {
            Some(piece) => self.splitter.push(piece, &mut self.frames),
            None => self.splitter.finish(&mut self.frames),
        }
        .map_err(|broken| {
            Broken::Failure(Failure::of_provider(
                FailureKind::Upstream,
                format!("the provider's stream cannot be read: {broken}"),
            ))
        })?;
        let frames = std::mem::take(&mut self.frames);
        let progress = match &mut self.way {
            Way::Forward { passthrough, finished } => forward(passthrough, finished, &frames, &mut self.received, out)?,
            Way::Translate(translation) => translation.push(&frames, ended, &mut self.received, out)?,
        };
        self.frames = frames;
        self.frames.clear();
        match (progress, ended) {
            (Progress::More, true) if self.may_end() => Ok(Progress::Done),
            (Progress::More, true) => Err(Broken::Upstream(UpstreamError::Reset)),
            (progress, _) => Ok(progress),
        }
    }

    /// Whether an answer that just stops here is whole: servers that leave `[DONE]` out have said why they finished.
    fn may_end(&self) -> bool {
        match &self.way {
            Way::Forward { finished, .. } => *finished,
            Way::Translate(translation) => translation.chunks.finished(),
        }
    }

    pub(super) fn take_heard(&mut self) -> Received {
        std::mem::take(&mut self.received)
    }

    /// Keeps the answer's last events until the row is written.
    pub(super) fn hold_back(&mut self, out: BytesMut) {
        self.held_back = out;
    }

    /// The answer's last events.
    pub(super) fn last(&mut self, tokens: Tokens) -> Bytes {
        let mut end = Vec::new();
        match &mut self.way {
            Way::Forward { passthrough, .. } => {
                passthrough.owed_usage(&tokens, &mut end);
                end.extend_from_slice(openai::DONE);
            }
            Way::Translate(translation) => translation.chunks.finish(Some(tokens), &mut end),
        }
        self.held_back.extend_from_slice(&end);
        self.held_back.split().freeze()
    }
}

fn forward(
    passthrough: &mut Passthrough,
    finished: &mut bool,
    frames: &[Frame],
    received: &mut Received,
    out: &mut BytesMut,
) -> Result<Progress, Broken> {
    for frame in frames {
        let seen = passthrough.frame(&frame.event, &frame.data);
        if let Some(failure) = seen.error {
            return Err(Broken::Failure(failure));
        }
        received.reported = seen.usage.or(received.reported);
        *finished |= seen.finished;
        if seen.done {
            return Ok(Progress::Done);
        }
        if received.reported.is_none() {
            received.chunk(&frame.data);
        }
        match seen.forward {
            Forward::AsIs => out.extend_from_slice(&frame.raw),
            Forward::Rewritten(bytes) => out.extend_from_slice(&bytes),
            Forward::Drop => {}
        }
    }
    Ok(Progress::More)
}

impl Translation<'_> {
    fn push(
        &mut self,
        frames: &[Frame],
        ended: bool,
        received: &mut Received,
        out: &mut BytesMut,
    ) -> Result<Progress, Broken> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None if frames.is_empty() => return Ok(Progress::More),
            None => self.stream.insert(self.adapter.stream(&self.context).map_err(Broken::Plugin)?),
        };
        let mut events = Vec::new();
        if !frames.is_empty() {
            events = stream.push(frames).map_err(Broken::Plugin)?.map_err(Broken::Failure)?;
        }
        if ended {
            events.extend(stream.finish().map_err(Broken::Plugin)?.map_err(Broken::Failure)?);
        }
        for event in events {
            self.event(&event, frames, received, out)?;
        }
        Ok(Progress::More)
    }

    fn event(
        &mut self,
        event: &Event,
        frames: &[Frame],
        received: &mut Received,
        out: &mut BytesMut,
    ) -> Result<(), Broken> {
        match event {
            Event::Usage(tokens) => received.reported = Some(*tokens),
            Event::Failed(failure) => return Err(Broken::Failure(failure.clone())),
            Event::Forward(index) => {
                if let Some(frame) = frames.get(*index as usize) {
                    received.chunk(&frame.data);
                    out.extend_from_slice(&frame.raw);
                }
            }
            event => {
                match event {
                    Event::Text(text) | Event::Reasoning(text) => received.text(text),
                    Event::Tool(tool) => received.text(&tool.arguments),
                    _ => {}
                }
                self.scratch.clear();
                self.chunks.event(event, &mut self.scratch).map_err(|misfit| {
                    Broken::Failure(Failure::of_provider(
                        FailureKind::Internal,
                        format!("the adapter's events do not fit: {misfit}"),
                    ))
                })?;
                out.extend_from_slice(&self.scratch);
            }
        }
        Ok(())
    }
}
