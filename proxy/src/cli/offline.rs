//! No gateway runs: its store is opened here, as it would open it.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Arc,
};

use tollgate::{
    admin::{self, Created, KeyShown, KeyUsage, NewKey, RevokedShown},
    config::Config,
    gateway::{self, clock},
    journal,
    ledger::Ledger,
    limit::{Limiter, Spent},
    secret::{KeyHasher, MasterKey, fill_from_system, make_private_dir},
    server::master_key,
    store::{KeyEntry, SledStore},
};

use super::administrator::Keys;

/// The data of a gateway that does not run: its store, with what a crash may have left in the journal taken over.
pub(super) struct Offline {
    hasher: KeyHasher,
    ledger: Ledger,
    spent: HashMap<String, Spent>,
    /// Dropped last: whoever waits for its lock must find the journal at rest.
    store: Arc<SledStore>,
}

impl Offline {
    /// Opens the data of `config`, and makes what a first start would make.
    pub(super) fn open(config: &Config, given: Option<String>) -> anyhow::Result<Offline> {
        let dir = &config.server.data_dir;
        make_private_dir(dir)?;
        let given = given.as_deref().map(MasterKey::parse).transpose()?;
        // Before anything is made: whoever holds the store holds all of it.
        let store = Arc::new(SledStore::open(&config.server.store_dir(), &config.store)?);
        let hasher = KeyHasher::new(&master_key(store.as_ref(), given, dir)?);
        let (ledger, recovered) =
            Ledger::open(&config.server.journal_dir(), store.clone(), without_calls(&config.ledger), clock())?;
        if let Some(note) = recovered_note(&recovered.journal) {
            // What was taken over is in the store, whether or not anybody reads this.
            let _ = writeln!(io::stderr(), "{note}");
        }
        let (limiter, time) = (Limiter::new(), gateway::time());
        for (key, past) in &recovered.accounts {
            limiter.restore(key, past, time);
        }
        let spent = recovered.accounts.keys().map(|key| (key.clone(), limiter.spent(key, time))).collect();
        Ok(Offline { hasher, ledger, spent, store })
    }

    /// The store alone, with all of the journal in it.
    pub(super) fn into_store(self) -> anyhow::Result<Arc<SledStore>> {
        self.ledger.shutdown()?;
        Ok(self.store)
    }
}

impl Keys for Offline {
    fn list(&self) -> anyhow::Result<Vec<KeyShown>> {
        Ok(self.ledger.journal().keys().iter().map(|key| KeyShown::new(key, now_ms())).collect())
    }

    fn create(&self, new: NewKey) -> anyhow::Result<Created> {
        let hash = |key: &[u8]| self.hasher.hash(key).0;
        let (entry, secret) = admin::new_key(new, now_ms(), &mut fill_from_system, hash)?;
        let entry = self.ledger.journal().create_key(entry, |_| {})?;
        Ok(Created { key: KeyShown::new(&entry, now_ms()), secret: secret.expose().to_owned() })
    }

    fn revoke(&self, wanted: &str) -> anyhow::Result<RevokedShown> {
        let revoked = self.ledger.journal().revoke_keys(wanted, now_ms(), |_| {})?;
        Ok(RevokedShown::new(&revoked, now_ms()))
    }

    fn usage(&self) -> anyhow::Result<Vec<KeyUsage>> {
        let of_key = |key: &KeyEntry| self.spent.get(&key.id).copied().unwrap_or_default();
        Ok(admin::usage_of(self.store.as_ref(), &self.ledger.journal().keys(), now_ms(), of_key)?)
    }
}

/// No call is opened here: the least that a journal takes, however large the gateway's is.
fn without_calls(settings: &journal::Settings) -> journal::Settings {
    let least = journal::Settings::default().segment_bytes;
    journal::Settings { calls_max: 1, segment_bytes: settings.segment_bytes.min(least), ..settings.clone() }
}

/// What there is to say of what a killed gateway left; nothing of one that ended well.
pub(super) fn recovered_note(left: &journal::Recovered) -> Option<String> {
    let journal::Recovered { rows_replayed, calls_crashed, bytes_damaged } = left;
    (!left.is_nothing()).then(|| {
        format!(
            "note: took over what the last process left: {rows_replayed} rows of the journal, {calls_crashed} calls \
             that its end cut short, {bytes_damaged} damaged bytes"
        )
    })
}

/// Unix milliseconds.
pub(super) fn now_ms() -> u64 {
    gateway::now_ms()
}
