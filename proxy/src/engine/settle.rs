//! What a call used, where its provider did not say or could not finish.

use bytes::Bytes;

use super::{
    Admitted, CallState,
    call_state::{CLIENT_GONE, End},
};
use crate::{
    call::{Operation, Tokens},
    dialect::openai,
    gateway::Gateway,
    usage::{self, Source},
};

/// How much of a stream is kept for counting, in bytes. What comes after is estimated from its length.
pub(super) const RECEIVED_BYTES_MAX: usize = 4 << 20;

/// What was received of an answer, for counting.
#[derive(Default)]
pub(super) struct Received {
    /// A whole answer, canonical.
    whole: Option<Bytes>,
    /// The payloads of canonical chunks.
    chunks: Vec<Bytes>,
    /// Text of translated events.
    text: String,
    kept_bytes: usize,
    dropped_bytes: usize,
    /// What the provider said so far.
    pub(super) reported: Option<Tokens>,
}

impl Received {
    pub(super) fn nothing() -> Received {
        Received::default()
    }

    pub(super) fn answer(body: Bytes) -> Received {
        Received { whole: Some(body), ..Received::default() }
    }

    pub(super) fn chunk(&mut self, data: &Bytes) {
        if self.keeps(data.len()) {
            self.chunks.push(data.clone());
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        if self.keeps(text.len()) {
            self.text.push_str(text);
        }
    }

    fn keeps(&mut self, bytes: usize) -> bool {
        let kept = self.kept_bytes + bytes <= RECEIVED_BYTES_MAX;
        if kept {
            self.kept_bytes += bytes;
        } else {
            self.dropped_bytes += bytes;
        }
        kept
    }

    fn into_text(self) -> (String, usize) {
        let mut text = self.text;
        for chunk in &self.chunks {
            openai::text_of(chunk, &mut text);
        }
        if let Some(whole) = &self.whole {
            text.push_str(&openai::answer_text(whole));
        }
        (text, self.dropped_bytes)
    }
}

/// Counts prompt and answer with a tokenizer, away from the proxy's workers.
pub(super) async fn counted(
    gateway: &Gateway,
    admitted: &Admitted,
    model: &str,
    received: Received,
) -> (Tokens, Source) {
    let model = admitted.model.count_as.as_deref().unwrap_or(model).to_owned();
    let (counter, overhead) = (gateway.counter(), usage::overhead(&admitted.call.prompt_size));
    let (body, embeddings) = (admitted.call.body().clone(), admitted.call.operation == Operation::Embeddings);
    let counting = tokio::task::spawn_blocking(move || {
        let mut prompt = String::new();
        openai::prompt_text(&body, &mut prompt);
        let input = counter.count(&model, &prompt) + overhead;
        let (text, dropped) = if embeddings { (String::new(), 0) } else { received.into_text() };
        let output = counter.count(&model, &text) + (dropped as u64).div_ceil(4);
        Tokens { input, output, ..Tokens::default() }
    });
    match counting.await {
        Ok(tokens) => (tokens, Source::Counted),
        // The runtime is going down, or counting failed: the estimate stands in.
        Err(_) => (Tokens { input: admitted.input_estimate, ..Tokens::default() }, Source::Estimated),
    }
}

/// Ends a call that broke off, with what was received of its answer.
pub(super) async fn interrupted(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    received: Received,
    class: &'static str,
) {
    let sent = state.is_sent;
    let reported = received.reported;
    let (tokens, source) = if sent {
        let (counted, source) = counted(gateway, admitted, &state.upstream_model.clone(), received).await;
        match reported {
            // Of a broken stream the provider has told the prompt, and the answer only up to some point.
            Some(told) => (Tokens { output: told.output.max(counted.output), ..told }, source),
            None => (counted, source),
        }
    } else {
        (Tokens::default(), Source::Counted)
    };
    let client_gone = class == CLIENT_GONE;
    let status = if client_gone { 499 } else { 200 };
    // Nobody is left to be told, should the ledger fail too: it has logged it.
    let _ = state.end(gateway, &End { status, class, tokens, source, client_gone });
}
