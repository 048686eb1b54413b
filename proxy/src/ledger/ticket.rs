//! The ticket that each admitted call holds.

use std::sync::Arc;

use crate::journal::{Attempt, CutCall, Journal, OpenCall, Opened, ReadClock};

/// The class of a row whose call ended without saying how.
pub const ABORTED: &str = "aborted";

/// An admitted call. Hand it back with the row; dropped, it writes a row of its own.
#[must_use = "a ticket that is dropped at once writes an aborted row"]
pub struct CallTicket {
    journal: Arc<Journal>,
    clock: ReadClock,
    /// None once the ticket has come back.
    call: Option<(OpenCall, Opened)>,
    attempt: Option<Attempt>,
}

impl CallTicket {
    pub(super) fn new(journal: Arc<Journal>, clock: ReadClock, call: OpenCall, opened: Opened) -> CallTicket {
        CallTicket { journal, clock, call: Some((call, opened)), attempt: None }
    }

    /// The call is on its way to a provider: from here on a call that is cut counts its hold, at this target's price. Or
    /// the attempt is over, and it counts what was used.
    pub fn sent(&mut self, attempt: Attempt) {
        if let Some((call, _)) = &self.call {
            self.journal.sent(call, &attempt);
        }
        self.attempt = Some(attempt);
    }

    /// Ends the ticket without a row: its row is about to be written.
    pub(super) fn close(mut self) -> Option<OpenCall> {
        self.call.take().map(|(call, _)| call)
    }
}

impl Drop for CallTicket {
    fn drop(&mut self) {
        let Some((call, opened)) = self.call.take() else { return };
        let total_us = (self.clock)().saturating_sub(opened.started_ms).saturating_mul(1000);
        let cut = CutCall { opened, attempt: self.attempt.take() };
        if let Err(error) = self.journal.close_call(call, cut.into_record(ABORTED, total_us)) {
            tracing::error!(%error, "an aborted call could not be recorded");
        }
    }
}
