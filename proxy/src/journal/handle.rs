//! The journal as other rooms hold it.

use std::{io, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use parking_lot::Mutex;

use super::{
    Attempt, Clock, Error, KeyError, Lag, Opened, Recovered, Revoked, RowRules, Settings, mapped, segments,
    shared::{Place, Shared},
    writer::Writer,
};
use crate::store::{KeyChange, KeyEntry, Record, Store};

/// The journal. Dropping it drains it, as [`Journal::shutdown`] does.
pub struct Journal {
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

/// A call that is open. It must come back with its row, in [`Journal::close_call`].
#[derive(Debug)]
pub struct OpenCall(Place);

impl Journal {
    /// Whether the journal in `dir` has entries: a store that did not write them would delete them unread. One that was
    /// opened and closed has none, and neither has one that is not there.
    ///
    /// # Errors
    /// [`Error::Io`] where that cannot be seen.
    pub fn has_entries(dir: &Path) -> Result<bool, Error> {
        segments::have_entries(dir).map_err(|source| Error::Io { path: dir.to_owned(), source })
    }

    /// Opens the journal in `dir`, takes over what a former process left there, and starts the journal's thread.
    ///
    /// # Errors
    /// What stands in the way. Nothing is lost by it.
    pub fn open(
        dir: &Path,
        store: Arc<dyn Store>,
        settings: Settings,
        rules: RowRules,
        clock: Clock,
    ) -> Result<(Journal, Recovered), Error> {
        let (writer, recovered) = Writer::recover(dir, store, settings, rules, clock, Arc::new(mapped::create))?;
        let shared = writer.shared().clone();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| Error::Io { path: dir.to_owned(), source })?;
        Ok((Journal { shared, thread: Mutex::new(Some(thread)) }, recovered))
    }

    /// Begins a call: it leaves a row from here on, also where the process is killed.
    ///
    /// # Errors
    /// [`Error::NoRoom`]: the call must not be served.
    pub fn open_call(&self, opened: &mut Opened) -> Result<OpenCall, Error> {
        opened.clip(usize::MAX);
        self.shared.open(opened).map(OpenCall)
    }

    /// Notes where an open call is sent. To be called before it is.
    pub fn sent(&self, call: &OpenCall, attempt: &Attempt) {
        self.shared.sent(&call.0, attempt);
    }

    /// Writes the row of a call that was opened. The process may die once this has returned.
    ///
    /// # Errors
    /// None but for a defect: the room was set aside when the call was opened.
    pub fn close_call(&self, call: OpenCall, record: Record) -> Result<(), Error> {
        self.shared.record(Some(call.0), record)
    }

    /// Writes the row of a call that was refused before it was opened.
    ///
    /// # Errors
    /// [`Error::NoRoom`], and then there is no row.
    pub fn record(&self, record: Record) -> Result<(), Error> {
        self.shared.record(None, record)
    }

    /// Counts a request that is nobody's call, by the code of its refusal.
    pub fn count_refusal(&self, code: &'static str) {
        self.shared.count_refusal(code);
    }

    /// Every key, in the order of their ids.
    pub fn keys(&self) -> Vec<Arc<KeyEntry>> {
        self.shared.keys.lock().all()
    }

    /// Adds a key, durably. `on_change` sees it once it is on the disk, before any other change of it is decided.
    ///
    /// # Errors
    /// [`KeyError::Exists`] where an active key has the name; [`KeyError::Full`] where there are as many keys as may
    /// be; [`KeyError::Unwritten`] where the disk does not take it. Nothing has changed then.
    pub fn create_key(
        &self,
        entry: KeyEntry,
        on_change: impl FnOnce(&Arc<KeyEntry>),
    ) -> Result<Arc<KeyEntry>, KeyError> {
        self.shared.create_key(entry, on_change)
    }

    /// Revokes the key of this id, or every active key of this name. A key that was revoked before stays as it is.
    /// `on_change` sees each of them before the disk is waited for.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]. A disk that fails is none: see [`Revoked::is_durable`].
    pub fn revoke_keys(
        &self,
        wanted: &str,
        now_ms: u64,
        on_change: impl FnMut(&Arc<KeyEntry>),
    ) -> Result<Revoked, KeyError> {
        self.shared.revoke_keys(wanted, now_ms, on_change)
    }

    /// Makes changes that an operator's configuration asks for, in portions of which each is made whole or not at
    /// all.
    ///
    /// # Errors
    /// [`KeyError::Unwritten`] and [`KeyError::Full`]: this portion and those after it were not made.
    pub fn change_keys(&self, changes: &[KeyChange]) -> Result<(), KeyError> {
        self.shared.change_keys(changes)
    }

    /// What is on its way into the store.
    pub fn lag(&self) -> Lag {
        self.shared.lag()
    }

    /// Why no further call finds room, if none does.
    pub fn refuses(&self) -> Option<io::ErrorKind> {
        self.shared.refuses()
    }

    /// Why rows wait in the journal, if they do: what failed the journal's thread in its last round.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Waits until everything written so far is in the store. Returns whether that came true within `timeout`.
    pub fn catch_up(&self, timeout: Duration) -> bool {
        self.shared.catch_up(timeout)
    }

    /// Takes everything over, flushes the store and ends the thread. What is written afterwards waits in the journal
    /// for the next start.
    ///
    /// # Errors
    /// What the store said; then the journal is taken over at the next start.
    pub fn shutdown(&self) -> Result<(), Error> {
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        self.shared.stop();
        thread.join().unwrap_or(Err(Error::Ended))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.shutdown() {
            tracing::error!(%error, "the journal was not drained, it is taken over at the next start");
        }
    }
}
