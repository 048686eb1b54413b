//! The life of a call.
//!
//! Visits the rooms in order and carries each one's answer to the next: admit, attempt, answer, settle, record.
//! Invariants: decides nothing that a room could decide; every call ends in exactly one row, written before the
//! client's last byte; nothing goes to the client before the provider's first good event.

mod admit;
mod attempt;
mod decode;
mod call_state;
mod reply;
mod settle;
mod streamed;
mod whole;

use std::future::Future;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use self::{
    admit::{Admitted, admit},
    attempt::{Failed, Stop, attempt},
    call_state::CallState,
};
use crate::{
    call::Operation,
    error::Error,
    gateway::Gateway,
    upstream::{Budget, Decision},
};

/// The client's side of a call.
///
/// `gone` and `body` may be dropped half-way; `begin` and `write` must be awaited.
pub trait Downstream: Send {
    fn header(&self, name: HeaderName) -> Option<&[u8]>;

    /// The whole body, within the bounds of size and time that the implementation was made with.
    fn body(&mut self) -> impl Future<Output = Result<Bytes, BodyFault>> + Send;

    /// Reads what is left of the body and forgets it, so that an early answer keeps the connection usable.
    fn discard_body(&mut self) -> impl Future<Output = ()> + Send;

    /// Returns when the client has left; else never.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;

    /// Sends the answer's head. Once only.
    fn begin(&mut self, head: Head) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Sends a piece of the answer, the last one with `end`.
    fn write(&mut self, bytes: Bytes, end: bool) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Lets the connection end with this answer.
    fn close_after(&mut self);
}

/// The client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Why a body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// Larger than this many bytes.
    TooLarge(usize),
    Slow,
    Broken,
}

/// The head of an answer to a client.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    pub content_type: HeaderValue,
    /// The body's length in bytes; none for a stream.
    pub length: Option<usize>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Head {
    /// The head of an answer of known length.
    pub fn whole(status: u16, content_type: HeaderValue, length: usize) -> Head {
        Head { status, content_type, length: Some(length), headers: Vec::new() }
    }
}

/// Serves one call from the client's head to its row.
pub async fn serve<D: Downstream>(gateway: &Gateway, operation: Operation, down: &mut D) {
    let mut state = CallState::start(gateway, Some(operation));
    let refusal = match admit(gateway, &mut state, operation, down).await {
        Ok(admitted) => match try_targets(gateway, &mut state, admitted, down).await {
            Ok(()) => return,
            Err(error) => error,
        },
        Err(error) => error,
    };
    state.refuse(gateway, &refusal, down).await;
}

/// Refuses a request that never became a call.
pub async fn refuse<D: Downstream>(gateway: &Gateway, error: Box<Error>, down: &mut D) {
    CallState::start(gateway, None).refuse(gateway, &error, down).await;
}

/// Lists the models that the caller's key may use.
pub async fn models<D: Downstream>(gateway: &Gateway, down: &mut D) {
    reply::models(gateway, None, down).await;
}

/// Shows one model, if the caller's key may use it.
pub async fn model<D: Downstream>(gateway: &Gateway, id: &str, down: &mut D) {
    reply::models(gateway, Some(id), down).await;
}

/// Tries the plan's targets until one has answered, the request itself is at fault, or none is left.
async fn try_targets<D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: Admitted,
    down: &mut D,
) -> Result<(), Box<Error>> {
    let model = admitted.model.clone();
    let mut last = None;
    for target in model.route.plan(state.seed()).targets() {
        let target = &model.targets[target];
        let mut budget = Budget::default();
        loop {
            let failed = match attempt(gateway, state, &admitted, target, down).await {
                Ok(()) => return Ok(()),
                Err(Stop::Gone) => return state.client_left(gateway, &admitted, down).await,
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Failed(failed)) => failed,
            };
            let Failed { error, class, retry_after } = failed;
            last = Some(error);
            let now_ms = gateway.now_ms();
            let (other_key, keys) = (target.provider.keys.has_rested(now_ms), target.provider.keys.len());
            let decision = class.map_or(Decision::Next, |class| {
                budget.decide(&target.provider.retries, class, retry_after, other_key, keys)
            });
            match decision {
                Decision::Next => break,
                Decision::Again(wait) if wait.is_zero() => {}
                Decision::Again(wait) => {
                    tokio::select! {
                        biased;
                        () = down.gone() => return state.client_left(gateway, &admitted, down).await,
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }
    Err(last.expect("a model has at least one target, and each target ends in an answer or an error"))
}
