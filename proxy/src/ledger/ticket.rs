//! Calls in open_calls, and the ticket that each of them holds.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use super::{ABORTED, shared::Shared};
use crate::{call::Tokens, store::Opened};

/// How many ended calls an opening call clears away: more than one, so that they do not add up.
const CLEARED_PER_CALL: usize = 2;

/// A call in open_calls. Hand it back with the row; dropped, it writes a row of its own.
#[must_use = "a ticket that is dropped at once writes an aborted row"]
pub struct CallTicket {
    shared: Arc<Shared>,
    call: Arc<Call>,
    sent: bool,
}

/// One call, until its ticket comes back.
pub(super) struct Call {
    started_ms: u64,
    /// `None` once the call has ended. Whoever writes an entry of the call to the spool holds this lock, so that its
    /// mark never follows its row.
    opened: Mutex<Option<Opened>>,
}

/// Calls that are not marked in the spool, oldest first. Ended ones are cleared away in passing.
#[derive(Default)]
pub(super) struct OpenCalls {
    calls: Mutex<VecDeque<Arc<Call>>>,
}

impl CallTicket {
    pub(super) fn open(shared: &Arc<Shared>, mut opened: Opened) -> CallTicket {
        opened.clip();
        let call = Arc::new(Call { started_ms: opened.started_ms, opened: Mutex::new(Some(opened)) });
        shared.open_calls.add(call.clone());
        CallTicket { shared: shared.clone(), call, sent: false }
    }

    /// The call is on its way upstream: from here on, an aborted call counts its hold.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// Ends the call without a row: its row is about to be written.
    pub(super) fn close(self) {
        self.call.opened.lock().take();
    }
}

impl Drop for CallTicket {
    fn drop(&mut self) {
        let Some(opened) = self.call.opened.lock().take() else { return };
        let total_us = (self.shared.clock)().saturating_sub(opened.started_ms).saturating_mul(1000);
        let mut record = opened.into_record(ABORTED, total_us);
        if !self.sent {
            record.tokens = Tokens::default();
        }
        if let Err(error) = self.shared.record(record) {
            tracing::error!(%error, "an aborted call could not be recorded");
        }
    }
}

impl Call {
    /// Gives the call to `write` if it has not ended. Returns what that says; true for an ended call.
    pub(super) fn mark(&self, write: impl FnOnce(&Opened) -> bool) -> bool {
        self.opened.lock().as_ref().is_none_or(write)
    }

    fn has_ended(&self) -> bool {
        self.opened.lock().is_none()
    }
}

impl OpenCalls {
    fn add(&self, call: Arc<Call>) {
        let mut calls = self.calls.lock();
        for _ in 0..CLEARED_PER_CALL {
            if calls.front().is_some_and(|call| call.has_ended()) {
                calls.pop_front();
            }
        }
        calls.push_back(call);
    }

    /// Takes the oldest call out if it began before `before_ms`.
    pub(super) fn take_older(&self, before_ms: u64) -> Option<Arc<Call>> {
        self.calls.lock().pop_front_if(|call| call.started_ms < before_ms || call.has_ended())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.calls.lock().len()
    }

    /// Puts back a call that was taken out.
    pub(super) fn put_back(&self, call: Arc<Call>) {
        self.calls.lock().push_front(call);
    }
}
