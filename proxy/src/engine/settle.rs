//! What an attempt used, where its provider did not say or could not finish.

use super::{admit::Admitted, attempt_error::AttemptError, call_state::CallState, large, received::Received};
use crate::{
    call::{FailureKind, Operation, Tokens},
    dialect::canonical,
    gateway::Gateway,
    snapshot::ModelTarget,
    usage::{self, ReportBounds, Source},
};

/// Adds what an attempt used that has answered, and returns it.
pub(super) async fn answered(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    target: &ModelTarget,
) -> Tokens {
    let received = take_received(gateway, state, admitted);
    let has_output = admitted.call.operation != Operation::Embeddings;
    let reported = large::scan(gateway, received.scanned_bytes(), || received.whole_report(has_output)).await;
    let (tokens, source) = match (reported, received.reported) {
        (Some(tokens), _) => (tokens, Source::Provider),
        (None, told) => {
            let (counted, source) = Box::pin(counted(gateway, admitted, target, received)).await;
            (merged(told, counted), source)
        }
    };
    let overrun = overrun(admitted, &tokens);
    if overrun > 0 {
        state.attempts.metrics(&state.snapshot).overrun(overrun);
        state.attempts.add_overrun(overrun);
    }
    state.attempts.add(&tokens, source);
    tokens
}

/// What was used beyond what was held: of the prompt, and of the answer where the provider was told how long it may be.
fn overrun(admitted: &Admitted, used: &Tokens) -> u64 {
    let output_max = if admitted.is_output_told { admitted.output_max } else { u64::MAX };
    used.input.saturating_sub(admitted.input_max).saturating_add(used.output.saturating_sub(output_max))
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
            if let Some(told) = take_received(gateway, state, admitted).reported {
                state.attempts.add(&told, Source::Provider);
            }
        }
        _ if state.attempts.is_without_verdict() => unfinished(gateway, state, admitted, target).await,
        _ => {}
    }
}

/// Adds what an attempt used that was sent and never finished: the prompt and what was received, by estimate.
pub(super) async fn unfinished(gateway: &Gateway, state: &mut CallState, admitted: &Admitted, target: &ModelTarget) {
    let received = take_received(gateway, state, admitted);
    let told = received.reported;
    let counted = if received.is_empty() {
        Tokens { input: admitted.input_estimate, ..Tokens::default() }
    } else {
        Box::pin(counted(gateway, admitted, target, received)).await.0
    };
    state.attempts.add(&merged(told, counted), Source::Estimated);
}

/// What was received of the attempt under way. Counts that the call does not explain are set aside.
fn take_received(gateway: &Gateway, state: &mut CallState, admitted: &Admitted) -> Received {
    let mut received = std::mem::take(&mut state.received);
    let Some(told) = received.reported else { return received };
    let explained = ReportBounds {
        input_tokens_max: admitted.input_max,
        answer_bytes: received.bytes(),
        output_tokens_max: if admitted.is_output_told { admitted.output_max } else { 0 },
    };
    if !usage::is_believable(&told, &explained, gateway.bounds.usage_slack) {
        received.reported = None;
        state.attempts.metrics(&state.snapshot).set_aside();
        tracing::warn!(
            request_id = &*state.identity.request_id,
            input = told.input,
            output = told.output,
            "the provider reported more tokens than the call explains: they are counted here"
        );
    }
    received
}

/// Has the oldest text of a long answer counted away from the workers. Waits for its turn, so that no more is received
/// than can be counted.
pub(super) async fn shrink(gateway: &Gateway, state: &mut CallState, target: &ModelTarget) {
    let Some(oldest) = state.received.overflow() else { return };
    let turn = gateway.settling.clone().acquire_owned().await;
    let count_as = state.attempts.model.as_ref().and_then(|model| model.count_as.as_deref());
    let (counter, model) = (gateway.counter(), count_as.unwrap_or(&target.upstream_model).to_owned());
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        oldest.count(&counter, &model)
    });
}

/// Of an answer that was not told of to its end: the prompt as the provider told it, unless it told nothing of it, and
/// the answer as it was counted.
fn merged(told: Option<Tokens>, counted: Tokens) -> Tokens {
    let Some(told) = told else { return counted };
    let input = if told.input == 0 { counted.input } else { told.input };
    Tokens { input, output: told.output.max(counted.output), ..told }
}

/// Counts prompt and answer with a tokenizer, away from the proxy's workers. The prompt counts no more than is held for
/// it, which is the most that it may be.
async fn counted(gateway: &Gateway, admitted: &Admitted, target: &ModelTarget, received: Received) -> (Tokens, Source) {
    let model = admitted.model.count_as.as_deref().unwrap_or(&target.upstream_model).to_owned();
    let overhead = usage::overhead(&admitted.call.prompt_size, &admitted.model.media);
    let (counter, input_max) = (gateway.counter(), admitted.input_max);
    let (body, embeddings) = (admitted.call.body().clone(), admitted.call.operation == Operation::Embeddings);
    // A few at one time: a thousand answers that break off together would take a thread and its tables each.
    let turn = gateway.settling.clone().acquire_owned().await;
    // A provider keeps to what it was told: what our count has beyond that is the count's own error.
    let output_max = if admitted.is_output_told { admitted.output_max } else { u64::MAX };
    let counting = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut prompt = String::new();
        canonical::prompt_text(&body, &mut prompt);
        let input = counter.count(&model, &prompt).saturating_add(overhead).min(input_max);
        let output = if embeddings { 0 } else { received.count(&counter, &model).min(output_max) };
        Tokens { input, output, ..Tokens::default() }
    });
    match counting.await {
        Ok(tokens) => (tokens, Source::Counted),
        // The runtime is going down, or counting failed: the estimate stands in.
        Err(_) => (Tokens { input: admitted.input_estimate, ..Tokens::default() }, Source::Estimated),
    }
}
