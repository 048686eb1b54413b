//! What a call is decided by: providers, models, templates and prices, assembled from what the operator meant.
//!
//! A snapshot is immutable and replaced whole. It reads no clock, no file and no socket.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    config::{self, Config, Http2, ProviderKeys, Role},
    metrics::{self, Metrics},
    plugin::{Adapter, Registry, Renderer},
    route,
    secret::{Redactor, Secret},
    upstream::{self, Backoff, Base, Clocks, Provider, Retries, Rule, Version},
    usage::{MediaBounds, Price},
};

/// Everything that a call is decided by, principals apart. Never changed, only replaced.
pub struct Snapshot {
    /// When this process began: what model lists call `created`. Unix seconds.
    pub created_s: u64,
    pub models: HashMap<String, Arc<Model>>,
    pub templates: HashMap<String, Template>,
    /// Takes the providers' keys out of texts that clients and operators see.
    pub redactor: Redactor,
    /// Counts what was refused before it had a model.
    pub unknown_target: Arc<metrics::TargetMetrics>,
}

/// A model with everything that serves it.
pub struct Model {
    pub route: route::Model,
    /// The model whose tokenizer counts for this one, where its own name says nothing.
    pub count_as: Option<String>,
    /// What media count at most, whichever target serves.
    pub media: MediaBounds,
    /// One for each target of `route`, in its order.
    pub targets: Vec<ModelTarget>,
}

/// One target, resolved.
pub struct ModelTarget {
    pub provider: Arc<Provider>,
    pub adapter: Adapter,
    pub upstream_model: String,
    /// None: the call is reported as unpriced.
    pub price: Option<Price>,
    /// The operator's settings for the adapter, a JSON object.
    pub config: Arc<str>,
    pub metrics: Arc<metrics::TargetMetrics>,
}

/// A prompt template with what renders it.
pub struct Template {
    pub renderer: Renderer,
    pub renderer_name: String,
    pub source: String,
    /// The role of the message that it becomes.
    pub role: &'static str,
}

impl Model {
    /// The names that its tokens may be counted by: one for each target, unless the operator named one.
    pub fn counted_as(&self) -> impl Iterator<Item = &str> {
        let of_targets = self.targets.iter().map(|target| target.upstream_model.as_str());
        self.count_as.as_deref().into_iter().chain(of_targets.filter(|_| self.count_as.is_none()))
    }

    /// What model lists call `owned_by`.
    pub fn owner(&self) -> &str {
        self.targets.first().map_or("tollgate", |target| &target.provider.name)
    }
}

/// Something in the configuration that only shows when it is put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct AssembleError {
    pub path: String,
    pub what: String,
}

/// Faults as lines of a message.
pub fn listed(faults: &[AssembleError]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

/// Resolves every reference of a configuration. `created_s` is in Unix seconds.
///
/// # Errors
/// All faults at once.
pub fn assemble(
    config: &Config,
    registry: &Registry,
    metrics: &Metrics,
    created_s: u64,
) -> Result<Snapshot, Vec<AssembleError>> {
    let mut faults = Vec::new();
    let providers: HashMap<&str, Arc<Provider>> = config
        .providers
        .iter()
        .map(|(name, provider)| (name.as_str(), Arc::new(Provider::new(name, upstream_settings(provider)))))
        .collect();
    let mut models = HashMap::new();
    for (name, model) in &config.models {
        let resolved = model_targets(name, model, config, &providers, registry, metrics, &mut faults);
        // Without weights every target weighs the same, which means the operator's order.
        let weights = model.targets.iter().map(|target| target.weight.unwrap_or(1)).collect();
        let route = route::Model { name: name.clone(), weights, output_tokens_max: model.output_tokens_max };
        let count_as = model.count_as.clone();
        models.insert(name.clone(), Arc::new(Model { route, count_as, media: model.media, targets: resolved }));
    }
    let templates = config.templates.iter().filter_map(|(name, template)| {
        let made = make_template(name, template, registry).map_err(|fault| faults.push(fault)).ok()?;
        Some((name.clone(), made))
    });
    let templates = templates.collect();
    let secrets = config.providers.values().flat_map(|provider| provider_keys(provider).to_vec());
    let redactor = Redactor::new(secrets);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Snapshot { created_s, models, templates, redactor, unknown_target: metrics.unknown_target() })
}

fn provider_keys(provider: &config::Provider) -> &[Secret] {
    match &provider.keys {
        ProviderKeys::Given(keys) => keys,
        ProviderKeys::Unneeded | ProviderKeys::Unset(_) => &[],
    }
}

fn upstream_settings(provider: &config::Provider) -> upstream::Settings {
    let millis = Duration::from_millis;
    let backoff = |backoff| match backoff {
        config::Backoff::Fixed => Backoff::Fixed,
        config::Backoff::Linear => Backoff::Linear,
        config::Backoff::Exponential => Backoff::Exponential,
    };
    let rule = |retries: config::Retries| Rule {
        retries_max: retries.retries,
        backoff: backoff(retries.backoff),
        wait: millis(retries.wait_ms),
    };
    let url = &provider.base_url;
    upstream::Settings {
        base: Base {
            tls: url.tls,
            host: url.host.clone(),
            port: url.port,
            prefix: url.path.clone(),
            authority: url.authority(),
        },
        keys: provider_keys(provider).to_vec(),
        clocks: Clocks {
            connect: millis(provider.connect_timeout_ms),
            first_byte: millis(provider.first_byte_timeout_ms),
            idle: millis(provider.idle_timeout_ms),
            total: millis(provider.total_timeout_ms),
            write: millis(provider.idle_timeout_ms),
        },
        version: match provider.http2 {
            Http2::Auto => Version::Auto,
            Http2::On => Version::Http2,
            Http2::Off => Version::Http1,
        },
        retries: Retries {
            network: rule(provider.retry.network),
            rate_limit: rule(provider.retry.rate_limit),
            server: rule(provider.retry.server),
            attempts_max: provider.retry.attempts_max,
            wait_max: millis(provider.retry.wait_max_ms),
        },
        key_rest: millis(provider.key_cooldown_ms),
        keep_idle: KEEP_IDLE,
    }
}

/// How long an unused connection to a provider is kept: less than the minute after which many close it.
const KEEP_IDLE: Duration = Duration::from_secs(55);

fn model_targets(
    name: &str,
    model: &config::Model,
    config: &Config,
    providers: &HashMap<&str, Arc<Provider>>,
    registry: &Registry,
    metrics: &Metrics,
    faults: &mut Vec<AssembleError>,
) -> Vec<ModelTarget> {
    let mut resolved = Vec::with_capacity(model.targets.len());
    for (index, target) in model.targets.iter().enumerate() {
        let mut fault =
            |what: String| faults.push(AssembleError { path: format!("models.{name:?}.targets[{index}]"), what });
        let (Some(provider), Some(meant)) =
            (providers.get(target.provider.as_str()), config.providers.get(&target.provider))
        else {
            fault(format!("unknown provider `{}`", target.provider));
            continue;
        };
        let Some(adapter) = registry.adapter(&meant.adapter) else {
            fault(format!("the adapter `{}` of provider `{}` is not loaded", meant.adapter, target.provider));
            continue;
        };
        resolved.push(ModelTarget {
            provider: provider.clone(),
            adapter: adapter.clone(),
            upstream_model: target.model.clone(),
            price: target.price.clone(),
            config: meant.config_json.as_str().into(),
            metrics: metrics.target(name, &target.provider),
        });
    }
    resolved
}

fn make_template(name: &str, template: &config::Template, registry: &Registry) -> Result<Template, AssembleError> {
    let fault = |what: String| AssembleError { path: format!("templates.{name:?}"), what };
    let renderer = registry
        .renderer(&template.renderer)
        .ok_or_else(|| fault(format!("the renderer `{}` is not loaded", template.renderer)))?;
    match renderer.check(&template.source) {
        Ok(Ok(_)) => {}
        Ok(Err(at)) => return Err(fault(format!("line {}, column {}: {}", at.line, at.column, at.message))),
        Err(broken) => return Err(fault(format!("the renderer `{}` {broken}", template.renderer))),
    }
    Ok(Template {
        renderer: renderer.clone(),
        renderer_name: template.renderer.clone(),
        source: template.source.clone(),
        role: match template.role {
            Role::System => "system",
            Role::User => "user",
        },
    })
}
