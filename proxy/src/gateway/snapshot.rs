//! From what the operator meant to what calls are decided by.

use std::{collections::HashMap, sync::Arc};

use super::{Account, Key, Lane, Model, Template};
use crate::{
    auth::{Keys, Pattern},
    config::{self, Config, Role},
    limit::Limiter,
    metrics::Metrics,
    plugin::Registry,
    route,
    secret::Redactor,
    store::KeyEntry,
    upstream::Provider,
};

/// What a configuration comes to, keys apart.
pub struct Serving {
    pub models: HashMap<String, Arc<Model>>,
    pub templates: HashMap<String, Template>,
    pub redactor: Redactor,
}

/// Something in the configuration that only shows when it is put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct Fault {
    pub path: String,
    pub what: String,
}

/// Resolves every reference of a configuration.
///
/// # Errors
/// All faults at once.
pub fn assemble(config: &Config, registry: &Registry, metrics: &Metrics) -> Result<Serving, Vec<Fault>> {
    let mut faults = Vec::new();
    let providers: HashMap<&str, Arc<Provider>> = config
        .providers
        .iter()
        .map(|(name, provider)| (name.as_str(), Arc::new(Provider::new(name, provider.upstream.clone()))))
        .collect();
    let mut models = HashMap::new();
    for (name, model) in &config.models {
        let lanes = lanes(name, model, config, &providers, registry, metrics, &mut faults);
        let targets = model.targets.iter().map(route_target).collect();
        let route = route::Model { name: name.clone(), targets, output_tokens_max: model.output_tokens_max };
        let count_as = model.count_as.clone();
        models.insert(name.clone(), Arc::new(Model { route, count_as, lanes }));
    }
    let templates = config.templates.iter().filter_map(|(name, template)| {
        let made = make_template(name, template, registry).map_err(|fault| faults.push(fault)).ok()?;
        Some((name.clone(), made))
    });
    let templates = templates.collect();
    let secrets = config.providers.values().flat_map(|provider| provider.upstream.keys.iter().cloned());
    let redactor = Redactor::new(secrets);
    if faults.is_empty() { Ok(Serving { models, templates, redactor }) } else { Err(faults) }
}

fn lanes(
    name: &str,
    model: &config::Model,
    config: &Config,
    providers: &HashMap<&str, Arc<Provider>>,
    registry: &Registry,
    metrics: &Metrics,
    faults: &mut Vec<Fault>,
) -> Vec<Lane> {
    let mut lanes = Vec::with_capacity(model.targets.len());
    for (index, target) in model.targets.iter().enumerate() {
        let mut fault = |what: String| faults.push(Fault { path: format!("models.{name:?}.targets[{index}]"), what });
        let (Some(provider), Some(meant)) = (providers.get(target.provider.as_str()), config.providers.get(&target.provider))
        else {
            fault(format!("unknown provider `{}`", target.provider));
            continue;
        };
        let Some(adapter) = registry.adapter(&meant.adapter) else {
            fault(format!("the adapter `{}` of provider `{}` is not loaded", meant.adapter, target.provider));
            continue;
        };
        lanes.push(Lane {
            provider: provider.clone(),
            adapter: adapter.clone(),
            upstream_model: target.model.clone(),
            price: target.price.clone(),
            config: meant.config_json.as_str().into(),
            metrics: metrics.lane(name, &target.provider),
        });
    }
    lanes
}

fn route_target(target: &config::Target) -> route::Target {
    // Without weights every target weighs the same, which means the operator's order.
    let weight = target.weight.unwrap_or(1);
    route::Target { provider: target.provider.clone(), model: target.model.clone(), weight }
}

fn make_template(name: &str, template: &config::Template, registry: &Registry) -> Result<Template, Fault> {
    let fault = |what: String| Fault { path: format!("templates.{name:?}"), what };
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

/// The table of keys that calls are authenticated against. A pattern that does not parse matches nothing.
pub fn keys(entries: &[KeyEntry], limiter: &Limiter) -> Keys<Account> {
    entries
        .iter()
        .map(|entry| {
            let key = Key {
                id: entry.id.clone(),
                name: entry.name.clone(),
                user: entry.user.clone(),
                models: entry.models.iter().filter_map(|text| text.parse::<Pattern>().ok()).collect(),
                expires_ms: entry.expires_ms,
                revoked: entry.revoked_ms.is_some(),
                account: Account { caps: entry.caps.clone(), spending: limiter.account(&entry.id) },
            };
            (entry.hash, key)
        })
        .collect()
}
