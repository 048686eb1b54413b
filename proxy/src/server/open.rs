//! From a configuration to a gateway: store, ledger, sandbox, plugins, snapshot.

use std::sync::Arc;

use super::{
    bootstrap::{self, ClientKey},
    fault::Error,
    files::Shares,
    options::ServeOptions,
};
use crate::{
    admin,
    config::Config,
    gateway::{self, Bounds, Gateway, GatewayParts, Ids, Tokenizer},
    ledger::{Ledger, Recovered},
    limit::Limiter,
    metrics::{self, Metrics},
    plugin::{Compiler, Host, Registry, usable_memory_bytes},
    secret::{KeyHasher, MasterKey, Secret, fill_from_system, make_private_dir},
    snapshot,
    store::{KeyEntry, SledStore, Store},
    upstream::Connector,
    usage::Counter,
};

/// A gateway whose listeners are not open yet.
pub(super) struct Opened {
    pub(super) gateway: Gateway,
    pub(super) host: Arc<Host>,
    pub(super) admin_token: Secret,
    pub(super) client_key: Option<ClientKey>,
}

pub(super) fn open(
    config: &Config,
    options: &ServeOptions,
    counter: &Arc<Counter>,
    shares: Shares,
) -> Result<Opened, Error> {
    let dir = config.server.data_dir.as_path();
    make_private_dir(dir)?;
    let given_key = options.master_key.as_deref().map(MasterKey::parse).transpose()?;
    let admin_token = bootstrap::kept_admin_token(config.server.admin_token_file())?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), metrics::Bounds::default()));

    let store: Arc<dyn Store> = Arc::new(SledStore::open(&config.server.store_dir(), &config.store)?);
    let master = bootstrap::master_key(store.as_ref(), given_key, dir)?;
    let hasher = KeyHasher::new(&master);
    let clock = gateway::clock();
    let (ledger, recovered) =
        Ledger::open(&config.server.journal_dir(), store.clone(), config.ledger.clone(), clock.clone())?;
    let limiter = Arc::new(Limiter::new());
    let client_key = bootstrap::config_keys(config, dir, ledger.journal(), &hasher, gateway::now_ms())?;
    let keys = ledger.journal().keys();
    restore(&limiter, &recovered, &keys);

    let host = host(config, options, counter, &metrics)?;
    let registry = plugins(config, &host)?;
    let created_s = gateway::now_ms() / 1000;
    let snapshot =
        snapshot::assemble(config, &registry, &metrics, created_s).map_err(|faults| Error::Config { faults })?;
    let mut random = [0; 8];
    fill_from_system(&mut random);
    let gateway = Gateway::new(GatewayParts {
        snapshot,
        directory: gateway::directory(&keys, &limiter),
        limiter,
        ledger,
        store,
        metrics,
        connector: Connector::new(shares.idle),
        counter: counter.clone(),
        registry: Arc::new(registry),
        hasher,
        bounds: bounds(config, shares),
        ids: Ids::new(u64::from_le_bytes(random)),
        clock: clock.wall_ms,
    });
    Ok(Opened { gateway, host: Arc::new(host), admin_token, client_key })
}

fn bounds(config: &Config, shares: Shares) -> Bounds {
    Bounds {
        call: config.limits.call.clone(),
        answer_bytes_max: config.limits.answer_bytes_max,
        // Room for the largest one at least, or it could never be served.
        answers_bytes_max: config
            .limits
            .answers_bytes_max
            .unwrap_or_else(|| usable_memory_bytes() / 8)
            .max(config.limits.answer_bytes_max),
        frame_bytes_max: config.limits.frame_bytes_max,
        calls_max: shares.calls as u64,
        counting_max: config.limits.counting_max,
        large_scans_max: config.limits.large_scans_max,
        usage_slack: config.limits.usage_slack,
    }
}

/// Tells the limiter what the keys had used; those that are gone have no account.
fn restore(limiter: &Limiter, recovered: &Recovered, keys: &[Arc<KeyEntry>]) {
    let time = gateway::time();
    for key in keys {
        if let Some(past) = recovered.accounts.get(&key.id) {
            limiter.restore(&key.id, past, time);
        }
    }
    let left = &recovered.journal;
    if !left.is_nothing() {
        tracing::info!(
            rows = left.rows_replayed,
            calls_crashed = left.calls_crashed,
            bytes_damaged = left.bytes_damaged,
            "took over what the last process left"
        );
    }
}

/// The sandbox, with compiled code kept in the data directory.
pub(crate) fn host(
    config: &Config,
    options: &ServeOptions,
    counter: &Arc<Counter>,
    metrics: &Arc<Metrics>,
) -> Result<Host, Error> {
    let compiler = Compiler::Process { program: options.program.clone(), args: vec!["compile-plugin".to_owned()] };
    let tokenizer = Arc::new(Tokenizer(counter.clone()));
    let cache = config.server.plugin_cache_dir();
    Host::new(config.plugins.sandbox.clone(), &cache, compiler, tokenizer, metrics.clone()).map_err(Error::Sandbox)
}

/// Loads the built-in plugins and the operator's.
fn plugins(config: &Config, host: &Host) -> Result<Registry, Error> {
    Registry::empty().next(host, admin::sources(config)?).map_err(Error::Plugins)
}
