//! What one call gathers on its way, and the one row it ends in.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{attempts::Attempts, received::Received};
use crate::{
    call::{Operation, Tokens},
    dialect::{AnswerName, Dialect},
    error::Error,
    gateway::{Gateway, InFlight},
    journal::Opened,
    ledger::CallTicket,
    limit::{Amount, Hold, Place},
    principal::Key,
    snapshot::Snapshot,
    store::Record,
    usage::Source,
};

/// One call under way.
pub(super) struct CallState {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) identity: Identity,
    pub(super) timing: Timing,
    pub(super) attempts: Attempts,
    /// What has been received of the attempt under way.
    pub(super) received: Received,
    pub(super) reservation: Reservation,
    /// Counted as in flight until it ends or is dropped.
    in_flight: InFlight,
    /// It has its row.
    is_ended: bool,
}

/// What the call is called, and who makes it.
pub(super) struct Identity {
    pub(super) request_id: Arc<str>,
    pub(super) dialect: Dialect,
    /// None of a request that is no call.
    operation: Option<Operation>,
    pub(super) key: Option<Arc<Key>>,
    /// The model as the client named it.
    pub(super) model: String,
    pub(super) streamed: bool,
}

/// When things happened.
pub(super) struct Timing {
    started: Instant,
    pub(super) started_ms: u64,
    first_byte: Option<Duration>,
    /// Time spent waiting for providers.
    waited: Duration,
}

/// What is set aside for the call, and what tells of it after a crash.
#[derive(Default)]
pub(super) struct Reservation {
    pub(super) hold: Option<Hold>,
    /// Among its key's calls in flight, from its settling until its answer is out.
    place: Option<Place>,
    /// What is held for one attempt: what it is taken to use where nobody can say.
    held_per_attempt: Tokens,
    /// What is held, in tokens, for attempts that have ended.
    pub(super) held_for_ended: u64,
    /// Present once the call is admitted.
    ticket: Option<CallTicket>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) status: u16,
    /// The stable name of what went wrong; empty if nothing did.
    pub(super) class: &'static str,
    pub(super) client_gone: bool,
}

impl Ending {
    pub(super) const GOOD: Ending = Ending { status: 200, class: "", client_gone: false };

    pub(super) fn failed(status: u16, class: &'static str) -> Ending {
        Ending { status, class, client_gone: false }
    }

    /// The client left: before its answer began, or in the middle of it.
    pub(super) const CLIENT_GONE: Ending = Ending { status: 499, class: "client_gone", client_gone: true };
}

impl CallState {
    /// A request begins: a call, if it has an operation.
    pub(super) fn start(gateway: &Gateway, dialect: Dialect, operation: Option<Operation>) -> CallState {
        let started_ms = gateway.now_ms();
        CallState {
            snapshot: gateway.snapshot(),
            identity: Identity {
                request_id: gateway.request_id(started_ms).into(),
                dialect,
                operation,
                key: None,
                model: String::new(),
                streamed: false,
            },
            timing: Timing { started: Instant::now(), started_ms, first_byte: None, waited: Duration::ZERO },
            attempts: Attempts::default(),
            received: Received::default(),
            reservation: Reservation::default(),
            in_flight: gateway.begin(),
            is_ended: false,
        }
    }

    /// The call is admitted: from here on a crash leaves a row. Once something has gone to a provider, that row says that
    /// the call used all that is `held` for it, besides what its earlier attempts used.
    ///
    /// # Errors
    /// [`Error::Unrecorded`] where there is no room for its row.
    pub(super) fn open(&mut self, gateway: &Gateway, held: Tokens) -> Result<(), Box<Error>> {
        let Record { request_id, started_ms, key_id, key_name, user, model, dialect, operation, streamed, .. } =
            self.record(&Ending::GOOD);
        let ticket = gateway.ledger.open_call(Opened {
            request_id,
            started_ms,
            key_id,
            key_name,
            user,
            model,
            dialect,
            operation,
            streamed,
            tokens_held: held.total(),
            ..Opened::default()
        });
        self.reservation.held_per_attempt = held;
        self.reservation.ticket = Some(ticket.map_err(|_| Box::new(Error::Unrecorded))?);
        Ok(())
    }

    /// Something goes to a provider: from here on the call costs, whatever becomes of it.
    pub(super) fn sent(&mut self) {
        self.attempts.sent();
        if let Some(hold) = &mut self.reservation.hold {
            hold.sent();
        }
        if let Some(ticket) = &mut self.reservation.ticket {
            ticket.sent(self.attempts.under_way(&self.reservation.held_per_attempt));
        }
    }

    /// Nothing is at a provider any more, and what was there is among what the attempts used: that is what the call costs
    /// if it is cut from here on.
    pub(super) fn came_back(&mut self) {
        let spent = Amount::tokens(self.attempts.spent().tokens.total());
        if let Some(hold) = &mut self.reservation.hold {
            hold.came_back(|_| spent);
        }
        if let Some(ticket) = &mut self.reservation.ticket {
            ticket.sent(self.attempts.so_far());
        }
    }

    /// Settles the hold with what the attempts used, and writes the row. What a client is sent last may go out once this
    /// has returned. Does nothing for a call that has ended.
    ///
    /// # Errors
    /// [`Error::Unrecorded`] where the row could not be kept.
    pub(super) fn end(&mut self, gateway: &Gateway, ending: Ending) -> Result<(), Box<Error>> {
        let ended = self.end_before_answer(gateway, ending);
        self.leave_place();
        ended
    }

    /// The same, but that the call stays among its key's calls in flight until [`CallState::leave_place`]: its answer is
    /// still to go out.
    ///
    /// # Errors
    /// As [`CallState::end`].
    pub(super) fn end_before_answer(&mut self, gateway: &Gateway, ending: Ending) -> Result<(), Box<Error>> {
        if std::mem::replace(&mut self.is_ended, true) {
            return Ok(());
        }
        if let Some(hold) = self.reservation.hold.take() {
            match &self.reservation.ticket {
                Some(_) => {
                    let spent = Amount::tokens(self.attempts.spent().tokens.total());
                    self.reservation.place = Some(hold.settle(|_| spent));
                }
                None => hold.cancel(),
            }
        }
        let record = self.record(&ending);
        self.attempts.metrics(&self.snapshot).count(&record);
        // Strangers are counted, and leave no rows.
        if self.identity.key.is_none() {
            gateway.ledger.count_refusal(ending.class);
            return Ok(());
        }
        let ticket = self.reservation.ticket.take();
        gateway.record(ticket, record).map_err(|_| Box::new(Error::Unrecorded))
    }

    /// The call is in flight no longer for its key.
    pub(super) fn leave_place(&mut self) {
        self.reservation.place = None;
    }

    /// What is left to do is to tell the client: that takes none of the places for calls.
    pub(super) fn leave_flight(&mut self) {
        self.in_flight.end();
    }

    /// What the answer calls itself.
    pub(super) fn name(&self) -> AnswerName<'_> {
        let Identity { request_id, model, .. } = &self.identity;
        AnswerName { request_id, created_s: self.timing.started_ms / 1000, model }
    }

    fn record(&self, ending: &Ending) -> Record {
        let Identity { request_id, dialect, operation, key, model, streamed } = &self.identity;
        let key = key.as_deref();
        let target = self.attempts.target();
        let price = target.and_then(|target| target.price.as_ref());
        let spent = self.attempts.spent();
        let currency = spent.currency.or(price.map(|price| price.currency));
        let total = self.timing.started.elapsed();
        Record {
            request_id: request_id.to_string(),
            started_ms: self.timing.started_ms,
            key_id: key.map_or_else(String::new, |key| key.id.clone()),
            key_name: key.map_or_else(String::new, |key| key.name.clone()),
            user: key.map_or_else(String::new, |key| key.user.clone()),
            model: model.clone(),
            provider: target.map_or_else(String::new, |target| target.provider.name.to_string()),
            upstream_model: target.map_or_else(String::new, |target| target.upstream_model.clone()),
            dialect: if operation.is_some() { dialect.name().to_owned() } else { String::new() },
            operation: operation.map_or("", operation_name).to_owned(),
            status: ending.status,
            error_class: ending.class.to_owned(),
            tokens: spent.tokens,
            usage_source: spent.source.unwrap_or(Source::Counted),
            charge_nanos: spent.charge_nanos,
            currency: currency.map_or_else(String::new, |currency| currency.to_string()),
            priced: price.is_some() && !spent.is_unpriced,
            first_byte_us: self.timing.first_byte.map(micros),
            total_us: micros(total),
            overhead_us: micros(total.saturating_sub(self.timing.waited)),
            attempts: self.attempts.count(),
            streamed: *streamed,
            client_gone: ending.client_gone,
            overrun_tokens: spent.overrun_tokens,
            ..Record::default()
        }
    }
}

impl Identity {
    /// Whose call it is, for plugins' faults: a number that no plugin sees.
    pub(super) fn caller(&self) -> u64 {
        let id = self.key.as_ref().map_or("", |key| key.id.as_str());
        mixed(id)
    }

    /// Randomness of this call's own.
    pub(super) fn seed(&self) -> u64 {
        mixed(&self.request_id)
    }
}

/// A number of which every bit depends on all of `text`.
fn mixed(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

impl Timing {
    /// The answer begins.
    pub(super) fn first_byte(&mut self) {
        self.first_byte = Some(self.started.elapsed());
    }

    /// A wait for a provider has ended.
    pub(super) fn waited(&mut self, wait: Duration) {
        self.waited += wait;
    }
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::Embeddings => "embeddings",
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gateway::Ids, route};

    #[test]
    fn calls_are_shared_out_as_the_weights_say() {
        const CALLS: u64 = 100_000;
        let ids = Ids::new(0x5eed);
        for weights in [[5, 3], [1, 31]] {
            let model = route::Model { name: "m".into(), weights: weights.into(), output_tokens_max: 1 };
            let first = |call| model.plan(mixed(&ids.next(1_790_000_000_000 + call / 10))).targets().next();
            let count = (0..CALLS).filter(|call| first(*call) == Some(0)).count() as u64;
            let due = CALLS * u64::from(weights[0]) / u64::from(weights[0] + weights[1]);
            assert!(count.abs_diff(due) < CALLS / 200, "{count} of {due}, by {weights:?}");
        }
    }
}
