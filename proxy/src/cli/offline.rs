//! No gateway runs: its store is opened here, as it would open it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use tollgate::{
    admin::{self, Created, KeyShown, KeyUsage, NewKey},
    config::Config,
    gateway,
    ledger::{self, Ledger},
    limit::{Limiter, Spent},
    secret::{KeyHasher, MasterKey, fill_from_system, make_private_dir},
    store::{KeyEntry, SledStore, Store},
};

use super::door::Keys;

/// The store of a gateway that does not run.
pub(super) struct Offline {
    store: Arc<SledStore>,
    hasher: KeyHasher,
    spool: PathBuf,
    settings: ledger::Settings,
}

impl Offline {
    /// Opens the store of `config`, and makes what a first start would make.
    pub(super) fn open(config: &Config, master_key: Option<String>) -> anyhow::Result<Offline> {
        make_private_dir(&config.server.data_dir)?;
        // Before anything is made: whoever holds the store holds all of it.
        let store = Arc::new(SledStore::open(&config.server.store_dir(), &config.store)?);
        let (master, _) = MasterKey::open(master_key.as_deref(), &config.server.data_dir, &mut fill_from_system)?;
        Ok(Offline {
            store,
            hasher: KeyHasher::new(&master),
            spool: config.server.spool_dir(),
            settings: config.ledger.clone(),
        })
    }

    fn entries(&self) -> anyhow::Result<Vec<KeyEntry>> {
        Ok(self.store.keys()?)
    }

    /// Brings what a crash may have left in the spool into the store, and says what the limits count.
    fn spent(&self) -> anyhow::Result<HashMap<String, Spent>> {
        let (ledger, recovered) =
            Ledger::open(&self.spool, self.store.clone(), self.settings.clone(), Arc::new(now_ms))?;
        ledger.shutdown()?;
        let (limiter, time) = (Limiter::new(), gateway::time());
        for (key, past) in &recovered.accounts {
            limiter.restore(key, past, time);
        }
        Ok(recovered.accounts.iter().map(|(key, _)| (key.clone(), limiter.spent(key, time))).collect())
    }
}

impl Keys for Offline {
    fn list(&self) -> anyhow::Result<Vec<KeyShown>> {
        Ok(self.entries()?.iter().map(|key| KeyShown::new(key, now_ms())).collect())
    }

    fn create(&self, new: NewKey) -> anyhow::Result<Created> {
        let hash = |key: &[u8]| self.hasher.hash(key).0;
        let (entry, secret) = admin::new_key(&self.entries()?, new, now_ms(), &mut fill_from_system, hash)?;
        self.store.put_key(&entry)?;
        Ok(Created { key: KeyShown::new(&entry, now_ms()), secret: secret.expose().to_owned() })
    }

    fn revoke(&self, wanted: &str) -> anyhow::Result<KeyShown> {
        let entry = admin::revoked_key(&self.entries()?, wanted, now_ms())?;
        self.store.put_key(&entry)?;
        Ok(KeyShown::new(&entry, now_ms()))
    }

    fn usage(&self) -> anyhow::Result<Vec<KeyUsage>> {
        let spent = self.spent().context("the rows that the last gateway left cannot be read")?;
        let of_key = |key: &KeyEntry| spent.get(&key.id).copied().unwrap_or_default();
        Ok(admin::usage_of(self.store.as_ref(), now_ms(), of_key)?)
    }
}

/// Unix milliseconds.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
