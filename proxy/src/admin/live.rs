//! A running gateway, as an administrator sees it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{AdminError, Control, Health, KeyUsage, NewKey, PluginShown, check, new_key, shown, usage_of};
use crate::{
    gateway::Gateway,
    journal::Revoked,
    plugin::{Capabilities, Host},
    secret::{Secret, fill_from_system},
    store::KeyEntry,
};

/// How long usage waits for rows on their way into the store.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The gateway of this process, and the sandbox that its plugins run in.
pub struct LiveControl {
    pub gateway: Arc<Gateway>,
    pub host: Arc<Host>,
}

impl Control for LiveControl {
    fn list_keys(&self) -> Vec<Arc<KeyEntry>> {
        self.gateway.ledger.journal().keys()
    }

    fn create_key(&self, new: NewKey) -> Result<(KeyEntry, Secret), AdminError> {
        let hash = |key: &[u8]| self.gateway.hash_key(key);
        let (entry, secret) = new_key(new, self.now_ms(), &mut fill_from_system, hash)?;
        self.gateway.create_key(entry.clone())?;
        Ok((entry, secret))
    }

    fn revoke_keys(&self, wanted: &str) -> Result<Revoked, AdminError> {
        Ok(self.gateway.revoke_keys(wanted)?)
    }

    fn usage(&self) -> Result<Vec<KeyUsage>, AdminError> {
        let time = self.gateway.time();
        if !self.gateway.ledger.catch_up(CATCH_UP) {
            tracing::warn!("usage is told without the latest rows: the ledger lags");
        }
        let spent = |key: &KeyEntry| self.gateway.limiter.spent(&key.id, time);
        usage_of(self.gateway.store.as_ref(), &self.list_keys(), time.unix_ms, spent)
    }

    fn plugins(&self) -> Result<Vec<PluginShown>, AdminError> {
        Ok(shown(&self.gateway.registry))
    }

    fn check_plugin(&self, wasm: Bytes, granted: Capabilities) -> Result<PluginShown, AdminError> {
        check(&self.host, &wasm, granted)
    }

    fn health(&self) -> Health {
        let lag = self.gateway.ledger.lag();
        let unready = self.gateway.readiness().err().map(|why| why.to_string());
        Health {
            status: unready.or_else(|| self.gateway.warning()).unwrap_or_else(|| "ok".to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            calls_in_flight: self.gateway.in_flight(),
            ledger_lag_rows: lag.rows,
            ledger_lost_rows: lag.rows_lost,
        }
    }

    fn now_ms(&self) -> u64 {
        self.gateway.now_ms()
    }
}
