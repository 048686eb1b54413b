//! The running gateway, through its admin listener.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use tollgate::{
    admin::{Created, KeyList, KeyShown, KeyUsage, NewKey, PluginList, PluginShown, Refusal, RevokedShown, UsageList},
    config::format_rfc3339,
    plugin::Capabilities,
    secret::Secret,
};

use super::{
    administrator::{Keys, Plugins},
    http::{self, Request, Response},
};

/// A gateway that took our token.
#[derive(Debug)]
pub(super) struct Remote {
    address: SocketAddr,
    token: Secret,
}

/// Why no gateway could be spoken to.
#[derive(Debug)]
pub(super) enum RemoteError {
    /// Nobody has the store.
    NotRunning,
    /// The configuration turns the admin listener off.
    Off,
    /// There is no token, so no gateway ever ran here.
    NoToken,
    Unreachable(ureq::Error),
    /// Whoever answers does not know our token.
    WrongToken,
}

#[derive(Deserialize)]
struct Refused {
    error: Refusal,
}

#[derive(Deserialize)]
struct OnePlugin {
    plugin: PluginShown,
}

impl Remote {
    /// Finds out whether the gateway at `address` is the one that `token` belongs to.
    pub(super) fn connect(address: SocketAddr, token: Secret) -> Result<Remote, RemoteError> {
        let remote = Remote { address, token };
        let request = remote.request("GET", "/api/admin/health", &[]);
        match http::exchange(address, &request) {
            Ok(Response { status: 200, .. }) => Ok(remote),
            Err(error @ (ureq::Error::Io(_) | ureq::Error::Timeout(_))) => Err(RemoteError::Unreachable(error)),
            _ => Err(RemoteError::WrongToken),
        }
    }

    fn request<'a>(&'a self, method: &'a str, path: &'a str, body: &'a [u8]) -> Request<'a> {
        Request { method, path, token: self.token.expose(), content_type: "application/json", body }
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let response = http::exchange(self.address, &self.request(method, path, body))?;
        if (200..300).contains(&response.status) {
            return Ok(response.body);
        }
        let refused = serde_json::from_slice::<Refused>(&response.body);
        Err(refused.map_or_else(
            |_| anyhow!("the gateway answered with status {}", response.status),
            |refused| anyhow!(refused.error.message),
        ))
    }
}

impl Keys for Remote {
    fn list(&self) -> anyhow::Result<Vec<KeyShown>> {
        Ok(parsed::<KeyList>(&self.ask("GET", "/api/admin/keys", &[])?)?.keys)
    }

    fn create(&self, new: NewKey) -> anyhow::Result<Created> {
        let body = json!({
            "name": new.name,
            "models": new.models,
            "limits": new.limits,
            "expires": new.expires_ms.map(format_rfc3339),
            "user": new.user,
        });
        parsed(&self.ask("POST", "/api/admin/keys", body.to_string().as_bytes())?)
    }

    fn revoke(&self, wanted: &str) -> anyhow::Result<RevokedShown> {
        let path = format!("/api/admin/keys/{}", utf8_percent_encode(wanted, NON_ALPHANUMERIC));
        parsed(&self.ask("DELETE", &path, &[])?)
    }

    fn usage(&self) -> anyhow::Result<Vec<KeyUsage>> {
        Ok(parsed::<UsageList>(&self.ask("GET", "/api/admin/usage", &[])?)?.usage)
    }
}

impl Plugins for Remote {
    fn list(&self) -> anyhow::Result<Vec<PluginShown>> {
        Ok(parsed::<PluginList>(&self.ask("GET", "/api/admin/plugins", &[])?)?.plugins)
    }

    fn check(&self, wasm: &[u8], granted: Capabilities) -> anyhow::Result<PluginShown> {
        let names = [("log", granted.log), ("sign", granted.sign), ("tokenize", granted.tokenize)];
        let names: Vec<&str> = names.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
        let path = format!("/api/admin/plugins/check?capabilities={}", names.join(","));
        Ok(parsed::<OnePlugin>(&self.ask("POST", &path, wasm)?)?.plugin)
    }
}

/// A sentence for an answer that cannot be read.
fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body).context("the gateway's answer cannot be read: is it of another version?")
}
