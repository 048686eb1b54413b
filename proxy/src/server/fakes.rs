//! Fakes in the place of providers whose keys are not there, so that the first call works without any.

#[cfg(feature = "fakes")]
use tollgate_fakes::{Dialect, Fake};

use super::fault::Error;
use crate::{
    config::{Config, ProviderKeys},
    secret::Secret,
};

/// What a build without the feature `fakes` has in their place: nothing.
#[cfg(not(feature = "fakes"))]
enum Fake {}

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
        let keyless = |cause| Error::Keyless { provider: name.clone(), cause, variables: variables.join(" or ") };
        if !allowed {
            return Err(keyless("fake providers are switched off"));
        }
        let (fake, base_url) = start(&provider.adapter)?.map_err(keyless)?;
        provider.base_url = base_url.parse().expect("a fake's URL is plain http on loopback");
        provider.keys = ProviderKeys::Given(vec![Secret::new("fake")]);
        fakes.named.push((name.clone(), variables));
        fakes._running.push(fake);
    }
    Ok(fakes)
}

/// A fake that speaks the dialect of `adapter`, and its base URL; or why there is none.
#[cfg(feature = "fakes")]
fn start(adapter: &str) -> Result<Result<(Fake, String), &'static str>, Error> {
    let dialect = match adapter {
        "openai" => Dialect::OpenAi,
        "anthropic" => Dialect::Anthropic,
        _ => return Ok(Err("no fake provider speaks its adapter's dialect")),
    };
    let fake = Fake::start(dialect, "127.0.0.1:0").map_err(Error::Fake)?;
    let base_url = fake.base_url(dialect);
    Ok(Ok((fake, base_url)))
}

#[cfg(not(feature = "fakes"))]
fn start(_: &str) -> Result<Result<(Fake, String), &'static str>, Error> {
    Ok(Err("this build has no fake providers (it lacks the cargo feature `fakes`)"))
}
