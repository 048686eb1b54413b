//! What one call gathers on its way, and the one row it ends in.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Admitted, Downstream, Gone, reply, settle};
use crate::{
    call::{Operation, Tokens},
    error::{Error, Verdict},
    gateway::{Gateway, InFlight},
    ledger::CallTicket,
    limit::Hold,
    metrics,
    snapshot::{Key, Model, ModelTarget, Snapshot},
    store::{Opened, Record},
    usage::{self, Price, Source},
};

/// One call under way.
pub(super) struct CallState {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) request_id: Arc<str>,
    pub(super) started: Instant,
    pub(super) started_ms: u64,
    operation: Option<Operation>,
    pub(super) key: Option<Arc<Key>>,
    /// The model as the client named it.
    pub(super) model_name: String,
    pub(super) model: Option<Arc<Model>>,
    pub(super) provider: Option<Arc<str>>,
    target: Option<Arc<metrics::TargetMetrics>>,
    price: Option<Price>,
    pub(super) upstream_model: String,
    pub(super) streamed: bool,
    pub(super) attempts: u32,
    pub(super) first_byte: Option<Duration>,
    /// Time spent waiting for providers.
    pub(super) waited: Duration,
    pub(super) hold: Option<Hold>,
    /// What a call has used that is refused all the same.
    pub(super) used: Option<(Tokens, Source)>,
    pub(super) is_sent: bool,
    /// Present once the call is admitted.
    pub(super) ticket: Option<CallTicket>,
    /// Counted as in state until dropped.
    _in_flight: InFlight,
}

/// How a call ended.
pub(super) struct End {
    pub(super) status: u16,
    /// Empty for a call that went well.
    pub(super) class: &'static str,
    pub(super) tokens: Tokens,
    pub(super) source: Source,
    pub(super) client_gone: bool,
}

impl End {
    pub(super) fn good(tokens: Tokens, source: Source) -> End {
        End { status: 200, class: "", tokens, source, client_gone: false }
    }

    /// An end before anything was used.
    pub(super) fn unused(status: u16, class: &'static str) -> End {
        End { status, class, tokens: Tokens::default(), source: Source::Counted, client_gone: false }
    }
}

impl CallState {
    pub(super) fn start(gateway: &Gateway, operation: Option<Operation>) -> CallState {
        let started_ms = gateway.now_ms();
        CallState {
            snapshot: gateway.snapshot(),
            request_id: gateway.request_id(started_ms).into(),
            started: Instant::now(),
            started_ms,
            operation,
            key: None,
            model_name: String::new(),
            model: None,
            provider: None,
            target: None,
            price: None,
            upstream_model: String::new(),
            streamed: false,
            attempts: 0,
            first_byte: None,
            waited: Duration::ZERO,
            hold: None,
            used: None,
            is_sent: false,
            ticket: None,
            _in_flight: gateway.begin(),
        }
    }

    /// Randomness of this call's own.
    pub(super) fn seed(&self) -> u64 {
        let tail = self.request_id.as_bytes().rchunks(8).next().unwrap_or_default();
        tail.iter().fold(0, |seed: u64, byte| seed.rotate_left(5) ^ u64::from(*byte))
    }

    /// The call is admitted: from here on a crash leaves a row, with the hold as what it used.
    pub(super) fn open(&mut self, gateway: &Gateway, tokens_held: u64) {
        let Record { request_id, started_ms, key_id, key_name, user, model, dialect, operation, streamed, .. } =
            self.record(&End::unused(0, ""));
        self.ticket = Some(gateway.ledger.open_call(Opened {
            request_id,
            started_ms,
            key_id,
            key_name,
            user,
            model,
            dialect,
            operation,
            streamed,
            tokens_held,
            ..Opened::default()
        }));
    }

    /// Something goes to a provider: from here on the call costs, whatever becomes of it.
    pub(super) fn sent(&mut self) {
        self.is_sent = true;
        if let Some(hold) = &mut self.hold {
            hold.sent();
        }
        if let Some(ticket) = &mut self.ticket {
            ticket.sent();
        }
    }

    /// An attempt at `target` begins.
    pub(super) fn enter(&mut self, target: &ModelTarget) {
        self.attempts += 1;
        self.provider = Some(target.provider.name.clone());
        self.target = Some(target.metrics.clone());
        self.price.clone_from(&target.price);
        self.upstream_model.clone_from(&target.upstream_model);
    }

    /// Settles the hold and writes the row. What a client is sent last may go out once this has returned.
    ///
    /// # Errors
    /// [`Error::Unrecorded`] where the row could not be kept.
    pub(super) fn end(&mut self, gateway: &Gateway, end: &End) -> Result<(), Box<Error>> {
        if let Some(hold) = self.hold.take() {
            hold.settle(end.tokens.total());
        }
        let record = self.record(end);
        self.target.as_ref().unwrap_or(&self.snapshot.unknown_target).count(&record);
        let ticket = self.ticket.take();
        gateway.record(ticket, record).map_err(|_| Box::new(Error::Unrecorded))
    }

    fn record(&self, end: &End) -> Record {
        let price = self.price.as_ref();
        let key = self.key.as_deref();
        let total = self.started.elapsed();
        Record {
            request_id: self.request_id.to_string(),
            started_ms: self.started_ms,
            key_id: key.map_or_else(String::new, |key| key.id.clone()),
            key_name: key.map_or_else(String::new, |key| key.name.clone()),
            user: key.map_or_else(String::new, |key| key.user.clone()),
            model: self.model_name.clone(),
            provider: self.provider.as_deref().unwrap_or_default().to_owned(),
            upstream_model: self.upstream_model.clone(),
            dialect: if self.operation.is_some() { "openai".to_owned() } else { String::new() },
            operation: self.operation.map_or("", operation_name).to_owned(),
            status: end.status,
            error_class: end.class.to_owned(),
            tokens: end.tokens,
            usage_source: end.source,
            charge_nanos: price.map_or(0, |price| usage::charge(&end.tokens, price)),
            currency: price.map_or_else(String::new, |price| price.currency.to_string()),
            priced: price.is_some(),
            first_byte_us: self.first_byte.map(micros),
            total_us: micros(total),
            overhead_us: micros(total.saturating_sub(self.waited)),
            attempts: self.attempts,
            streamed: self.streamed,
            client_gone: end.client_gone,
            ..Record::default()
        }
    }

    /// Ends a call in an error that the client is told.
    pub(super) async fn refuse<D: Downstream>(mut self, gateway: &Gateway, error: &Error, down: &mut D) {
        let verdict = error.verdict(&self.snapshot.serving.redactor);
        let mut end = End::unused(verdict.status, verdict.class);
        (end.tokens, end.source) = self.used.take().unwrap_or((end.tokens, end.source));
        let unrecorded = self.end(gateway, &end).err();
        let verdict: Verdict = unrecorded.map_or(verdict, |error| error.verdict(&self.snapshot.serving.redactor));
        down.discard_body().await;
        if reply::error(gateway, &self, &verdict, down).await == Err(Gone) {
            down.close_after();
        }
    }

    /// Ends a call whose client left before its answer began.
    pub(super) async fn client_left<D: Downstream>(
        &mut self,
        gateway: &Gateway,
        admitted: &Admitted,
        down: &mut D,
    ) -> Result<(), Box<Error>> {
        down.close_after();
        let received = settle::Received::nothing();
        settle::interrupted(gateway, self, admitted, received, CLIENT_GONE).await;
        Ok(())
    }
}

/// The class of a call whose client left.
pub(super) const CLIENT_GONE: &str = "client_gone";

pub(super) fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::Embeddings => "embeddings",
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
