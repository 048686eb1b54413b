//! Fakes in the place of providers whose keys are not there, so that the first call works without any.

use super::Error;
use crate::{
    config::{Config, ProviderKeys},
    demo::{Dialect, Fake},
    secret::Secret,
};

/// The fakes of one process. They answer until dropped.
pub(super) struct Fakes {
    _running: Vec<Fake>,
    /// The providers that they stand in for, with the variables that would make them real.
    pub(super) named: Vec<(String, Vec<String>)>,
}

/// Points every provider without a key at a fake that speaks its dialect.
pub(super) fn stand_in(config: &mut Config, allowed: bool) -> Result<Fakes, Error> {
    let mut fakes = Fakes { _running: Vec::new(), named: Vec::new() };
    for (name, provider) in &mut config.providers {
        let ProviderKeys::Unset(variables) = &provider.keys else { continue };
        let variables = variables.clone();
        let dialect = match provider.adapter.as_str() {
            "openai" => Dialect::OpenAi,
            "anthropic" => Dialect::Anthropic,
            _ => return Err(Error::Keyless(name.clone(), variables.join(" or "))),
        };
        if !allowed {
            return Err(Error::Keyless(name.clone(), variables.join(" or ")));
        }
        let fake = Fake::start(dialect, "127.0.0.1:0").map_err(Error::Fake)?;
        provider.base_url = fake.base_url(dialect).parse().expect("a fake's URL is plain http on loopback");
        provider.keys = ProviderKeys::Given(vec![Secret::new("fake")]);
        fakes.named.push((name.clone(), variables));
        fakes._running.push(fake);
    }
    Ok(fakes)
}
