//! What is remembered of a call: one row, however the call ends.
//!
//! Owns what a row means: when it is written, what it adds up to, and what the limits must know after a restart. The
//! journal keeps it.
//!
//! - Invariant: every admitted call gets exactly one row: recorded, `aborted` when its ticket is dropped, `crashed`
//!   when the process dies before either.
//! - Invariant: a request without a valid key is no call: it is counted, and leaves no row.

mod accounts;
mod fold;
#[cfg(test)]
mod tests;
mod ticket;

pub use fold::UNROUTED;
pub use ticket::{ABORTED, CallTicket};

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use crate::{
    journal::{self, Clock, Error, Journal, Lag, Opened, ReadClock, RowRules, Settings},
    limit::Past,
    store::{Record, Store},
};

/// The class of a row whose call was cut short by the end of the process.
pub const CRASHED: &str = "crashed";

/// What rows mean to the journal.
const RULES: RowRules = RowRules { add_up: fold::add_up, cut_short: |cut| cut.into_record(CRASHED, 0) };

/// What was found on opening.
#[derive(Debug, Default)]
pub struct Recovered {
    /// By key id, what the limiter must know. The requests are those of the last minute.
    pub accounts: HashMap<String, Past>,
    pub journal: journal::Recovered,
}

/// The ledger.
pub struct Ledger {
    journal: Arc<Journal>,
    clock: ReadClock,
}

impl Ledger {
    /// Opens the journal in `dir`, and takes over what a former process left there.
    ///
    /// # Errors
    /// Those of [`Journal::open`].
    pub fn open(
        dir: &Path,
        store: Arc<dyn Store>,
        settings: Settings,
        clock: Clock,
    ) -> Result<(Ledger, Recovered), Error> {
        let now_ms = (clock.wall_ms)();
        let wall_ms = clock.wall_ms.clone();
        let (journal, recovered) = Journal::open(dir, store.clone(), settings, RULES, clock)?;
        let accounts = accounts::past(store.as_ref(), now_ms)?;
        Ok((Ledger { journal: Arc::new(journal), clock: wall_ms }, Recovered { accounts, journal: recovered }))
    }

    /// The journal that the rows go to, and the keys.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Begins a call whose hold was granted. The ticket must come back with the call's row.
    ///
    /// # Errors
    /// [`Error::NoRoom`]: the call must not be served, because its row could not be kept.
    pub fn open_call(&self, mut opened: Opened) -> Result<CallTicket, Error> {
        let call = self.journal.open_call(&mut opened)?;
        Ok(CallTicket::new(self.journal.clone(), self.clock.clone(), call, opened))
    }

    /// Writes the row of a call: with its ticket, or with `None` for a call that was refused before it was opened.
    /// Once it returns, the row outlives the process.
    ///
    /// # Errors
    /// [`Error::NoRoom`], for a call without a ticket alone.
    pub fn record(&self, ticket: impl Into<Option<CallTicket>>, mut record: Record) -> Result<(), Error> {
        match ticket.into().and_then(CallTicket::close) {
            Some(call) => {
                record.admitted = true;
                self.journal.close_call(call, record)
            }
            None => {
                record.admitted = false;
                self.journal.record(record)
            }
        }
    }

    /// Counts a request that is nobody's call, by the code of its refusal. Strangers cannot fill a disk with it.
    pub fn count_refusal(&self, code: &'static str) {
        self.journal.count_refusal(code);
    }

    /// What is on its way into the store.
    pub fn lag(&self) -> Lag {
        self.journal.lag()
    }

    /// As [`Journal::catch_up`].
    pub fn catch_up(&self, timeout: Duration) -> bool {
        self.journal.catch_up(timeout)
    }

    /// As [`Journal::shutdown`].
    ///
    /// # Errors
    /// Those of [`Journal::shutdown`].
    pub fn shutdown(&self) -> Result<(), Error> {
        self.journal.shutdown()
    }
}
