//! The life of a call.
//!
//! Visits the rooms in order and carries each one's answer to the next: admit, attempt, answer, settle, record.
//! Invariants: decides nothing that a room could decide; every call ends in exactly one row, written before the
//! client's last byte; nothing goes to the client before the provider's first good event.

mod admit;
mod attempt;
mod attempt_error;
mod attempts;
mod call_io;
mod call_state;
mod client;
mod decode;
mod large;
mod providers;
mod received;
mod reply;
mod sent;
mod settle;
mod streamed;
#[cfg(test)]
mod tests;
mod via;
mod whole;

pub use client::{BodyError, ClientGoneError, Downstream, Head, Interruption};
pub use providers::{Exchange, Providers};

use tokio::time::Instant;

use self::{
    admit::{Admitted, admit, authenticate, boxed, hold_again},
    attempt::attempt,
    attempt_error::AttemptError,
    call_io::CallIo,
    call_state::{CallState, Ending},
};
use crate::{
    call::Operation,
    dialect::{Dialect, ListedModel},
    error::{Error, RequestError},
    gateway::Gateway,
    route,
    snapshot::{Model, ModelTarget},
    upstream::{Budget, Decision},
};

/// Serves one call from the client's head to its row.
pub async fn serve<D: Downstream, P: Providers>(
    gateway: &Gateway,
    providers: &P,
    dialect: Dialect,
    operation: Operation,
    client: &mut D,
) {
    let mut state = CallState::start(gateway, dialect, Some(operation));
    let mut io = CallIo { gateway, providers, client };
    let outcome = match admit(&mut io, &mut state, operation).await {
        Ok(admitted) => try_targets(&mut io, &mut state, &admitted).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => {}
        Err(error) if matches!(*error, Error::Request(RequestError::ClientGone)) => client_left(&mut io, &mut state),
        // What is rare is boxed: a call's future is held by each open stream.
        Err(error) => Box::pin(refuse_call(gateway, state, &error, client)).await,
    }
}

/// Refuses a request that never became a call.
pub async fn refuse<D: Downstream>(gateway: &Gateway, dialect: Dialect, error: Box<Error>, client: &mut D) {
    refuse_call(gateway, CallState::start(gateway, dialect, None), &error, client).await;
}

/// Lists the models that the caller's key may use. Not a call: it costs nothing, and leaves a row only where it is
/// refused.
pub async fn models<D: Downstream>(gateway: &Gateway, dialect: Dialect, client: &mut D) {
    let mut state = CallState::start(gateway, dialect, None);
    let listed = authenticate(gateway, &mut state, client).map(|key| {
        let models = state.snapshot.models.values();
        let mut models: Vec<_> = models.filter(|model| key.may_use(&model.route.name)).collect();
        models.sort_by(|a, b| a.route.name.cmp(&b.route.name));
        dialect.models(models.into_iter().map(|model| listed(&state, model)))
    });
    show(gateway, state, listed, client).await;
}

/// Shows one model, if the caller's key may use it.
pub async fn model<D: Downstream>(gateway: &Gateway, dialect: Dialect, id: &str, client: &mut D) {
    let mut state = CallState::start(gateway, dialect, None);
    let shown = authenticate(gateway, &mut state, client).and_then(|key| {
        let model = route::find(&state.snapshot.models, id, key.may_use(id)).map_err(boxed)?;
        Ok(dialect.model(&listed(&state, model)))
    });
    show(gateway, state, shown, client).await;
}

fn listed<'a>(state: &CallState, model: &'a Model) -> ListedModel<'a> {
    ListedModel { id: &model.route.name, created_s: state.snapshot.created_s, owner: model.owner() }
}

/// Answers a question that is no call.
async fn show<D: Downstream>(
    gateway: &Gateway,
    mut state: CallState,
    answer: Result<Vec<u8>, Box<Error>>,
    client: &mut D,
) {
    match answer {
        Ok(body) => {
            state.leave_flight();
            if reply::json(gateway, &mut state, body.into(), client).await == Err(ClientGoneError) {
                return client.close_after();
            }
            client.discard_body().await;
        }
        Err(error) => refuse_call(gateway, state, &error, client).await,
    }
}

/// Tries the plan's targets until one has answered, the request itself is at fault, or none is left.
///
/// # Errors
/// The last attempt's, for the client.
async fn try_targets<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    admitted: &Admitted,
) -> Result<(), Box<Error>> {
    let mut last = None;
    for index in admitted.model.route.plan(state.identity.seed()).targets() {
        let target = &admitted.model.targets[index];
        let mut budget = Budget::default();
        loop {
            let error = match attempt(io, state, admitted, index).await {
                Ok(ending) => {
                    target.metrics.attempt(if ending.class.is_empty() { "ok" } else { ending.class });
                    return Ok(());
                }
                Err(error) => error,
            };
            if let AttemptError::ClientGone = error {
                target.metrics.attempt(Ending::CLIENT_GONE.class);
                client_left(io, state);
                return Ok(());
            }
            let decision = decide(target, &mut budget, &error);
            let is_final = error.is_final();
            let error = error.into_error(target);
            target.metrics.attempt(error.verdict(&state.snapshot.redactor).class);
            if is_final {
                return Err(error);
            }
            // Without room for another attempt, the client is told how the last one went.
            if hold_again(io.gateway, state).is_err() {
                return Err(error);
            }
            last = Some(error);
            match decision {
                Decision::Next => break,
                Decision::Again(wait) if wait.is_zero() => {}
                Decision::Again(wait) => {
                    tokio::select! {
                        biased;
                        why = io.client.interrupted() => match why {
                            Interruption::Stopping => return Err(boxed(RequestError::Draining)),
                            Interruption::ClientGone => {
                                client_left(io, state);
                                return Ok(());
                            }
                        },
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }
    Err(last.expect("a model has at least one target, and each target ends in an answer or an error"))
}

/// Whether the same target is tried again, by its provider's rules.
fn decide(target: &ModelTarget, budget: &mut Budget, error: &AttemptError) -> Decision {
    let Some(class) = error.class() else { return Decision::Next };
    let provider = &target.provider;
    let (other_key, keys) = (provider.keys.has_rested(Instant::now()), provider.keys.len());
    budget.decide(&provider.retries, class, error.retry_after(), other_key, keys)
}

/// Ends a call whose client left before its answer began.
fn client_left<D: Downstream, P>(io: &mut CallIo<'_, D, P>, state: &mut CallState) {
    io.client.close_after();
    // Nobody is left to be told, should the ledger fail too: it has logged it.
    let _ = state.end(io.gateway, Ending::CLIENT_GONE);
}

/// Ends a request in an error that the client is told.
async fn refuse_call<D: Downstream>(gateway: &Gateway, mut state: CallState, error: &Error, client: &mut D) {
    let snapshot = state.snapshot.clone();
    let verdict = error.verdict(&snapshot.redactor);
    let unrecorded = state.end(gateway, Ending::failed(verdict.status, verdict.class)).err();
    let verdict = unrecorded.map_or(verdict, |error| error.verdict(&snapshot.redactor));
    state.leave_flight();
    if reply::error(gateway, &state, &verdict, client).await == Err(ClientGoneError) {
        return client.close_after();
    }
    client.discard_body().await;
}
