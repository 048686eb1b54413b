//! What an attempt used, where its provider did not say or could not finish.

use super::{admit::Admitted, attempt_error::AttemptError, call_state::CallState, received::Received};
use crate::{
    call::{FailureKind, Operation, Tokens},
    dialect::canonical,
    gateway::Gateway,
    snapshot::ModelTarget,
    usage::{self, Source},
};

/// Adds what an attempt used that has answered, and returns it.
pub(super) async fn answered(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    target: &ModelTarget,
) -> Tokens {
    let received = std::mem::take(&mut state.received);
    let (tokens, source) = match (received.whole_report(), received.reported) {
        (Some(tokens), _) => (tokens, Source::Provider),
        (None, told) => {
            let (counted, source) = counted(gateway, admitted, target, received).await;
            (merged(told, counted), source)
        }
    };
    state.attempts.add(&tokens, source);
    tokens
}

/// Adds what an attempt used that has failed. A refusal costs nothing beyond what the provider told before it.
pub(super) async fn failed(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    target: &ModelTarget,
    error: &AttemptError,
) {
    match error {
        // Settled by whoever found it.
        AttemptError::Final(_) => {}
        AttemptError::Provider(failure) if failure.kind != FailureKind::Internal => {
            if let Some(told) = std::mem::take(&mut state.received).reported {
                state.attempts.add(&told, Source::Provider);
            }
        }
        _ if state.attempts.is_without_verdict() => unfinished(gateway, state, admitted, target).await,
        _ => {}
    }
}

/// Adds what an attempt used that was sent and never finished: the prompt and what was received, by estimate.
pub(super) async fn unfinished(gateway: &Gateway, state: &mut CallState, admitted: &Admitted, target: &ModelTarget) {
    let received = std::mem::take(&mut state.received);
    let told = received.reported;
    let counted = if received.is_empty() {
        Tokens { input: admitted.input_estimate, ..Tokens::default() }
    } else {
        counted(gateway, admitted, target, received).await.0
    };
    state.attempts.add(&merged(told, counted), Source::Estimated);
}

/// Of an answer that was not told of to its end: the prompt as the provider told it, the answer as it was counted.
fn merged(told: Option<Tokens>, counted: Tokens) -> Tokens {
    told.map_or(counted, |told| Tokens { output: told.output.max(counted.output), ..told })
}

/// Counts prompt and answer with a tokenizer, away from the proxy's workers.
async fn counted(gateway: &Gateway, admitted: &Admitted, target: &ModelTarget, received: Received) -> (Tokens, Source) {
    let model = admitted.model.count_as.as_deref().unwrap_or(&target.upstream_model).to_owned();
    let (counter, overhead) = (gateway.counter(), usage::overhead(&admitted.call.prompt_size));
    let (body, embeddings) = (admitted.call.body().clone(), admitted.call.operation == Operation::Embeddings);
    let counting = tokio::task::spawn_blocking(move || {
        let mut prompt = String::new();
        canonical::prompt_text(&body, &mut prompt);
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
