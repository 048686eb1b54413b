//! Every account, found by its id.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use super::{Account, Past, Spent, Time};

/// Every account's windows and holds.
///
/// An account is made when its key is, or at the start for each key that there is, and lives as long as the limiter: a
/// key goes only while no gateway runs. So the table is as large as that of the keys.
#[derive(Debug, Default)]
pub struct Limiter {
    pub(super) accounts: RwLock<HashMap<Arc<str>, Arc<Account>>>,
}

impl Limiter {
    pub fn new() -> Limiter {
        Limiter::default()
    }

    /// The account of this id. Whoever keeps it saves the look-up per call.
    pub fn account(&self, id: &str) -> Arc<Account> {
        if let Some(account) = self.accounts.read().get(id) {
            return account.clone();
        }
        let mut accounts = self.accounts.write();
        if let Some(account) = accounts.get(id) {
            return account.clone();
        }
        let id: Arc<str> = id.into();
        let account = Arc::new(Account::new(id.clone()));
        accounts.insert(id, account.clone());
        account
    }

    /// Takes over what an account had used before a restart. Calls in flight keep their holds.
    pub fn restore(&self, account: &str, past: &Past, time: Time) {
        self.account(account).restore(past, time);
    }

    /// What an account has used; nothing for one that was never seen.
    pub fn spent(&self, account: &str, time: Time) -> Spent {
        let account = self.accounts.read().get(account).cloned();
        account.map(|account| account.spent(time)).unwrap_or_default()
    }
}
