//! Why a gateway did not start, or did not end well.

use std::{io, net::SocketAddr, path::PathBuf};

use super::files::FILES_MIN;
use crate::{admin, journal, plugin, secret, snapshot, store};

/// Why a gateway did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Kept(#[from] secret::SecretFileError),
    #[error(transparent)]
    MasterKey(#[from] secret::MasterKeyError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Keys(#[from] journal::KeyError),
    #[error("the sandbox cannot start: {0}")]
    Sandbox(plugin::LoadError),
    #[error("plugins cannot be loaded:{}", listed(.0))]
    Plugins(Vec<plugin::NotLoadedError>),
    #[error(transparent)]
    PluginFiles(#[from] admin::AdminError),
    #[error("the configuration cannot be put together:{}", snapshot::listed(faults))]
    Config { faults: Vec<snapshot::AssembleError> },
    #[error("cannot listen on {}", named(addresses))]
    Listen { addresses: Vec<SocketAddr>, source: io::Error },
    #[error("the data directory cannot be watched")]
    Folders(#[source] io::Error),
    #[error("`{}` holds no admin token: it must have at least {least} characters; remove it to have one made", path.display())]
    AdminToken { path: PathBuf, least: usize },
    #[error("this process may open {files} files, which is too few: it needs at least {FILES_MIN} (`ulimit -n`)")]
    Files { files: usize },
    #[error("the certificate or key of the TLS listener cannot be used: {0}")]
    Tls(String),
    #[error("a fake provider cannot start: {0}")]
    Fake(io::Error),
    #[error("provider `{provider}` has no key, and {cause}: set {variables}")]
    Keyless { provider: String, cause: &'static str, variables: String },
    #[error("the signals that end the process cannot be watched")]
    Signals(#[source] io::Error),
    #[error("the proxy ended by itself")]
    Ended,
}

fn listed(faults: &[plugin::NotLoadedError]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

fn named(addresses: &[SocketAddr]) -> String {
    let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    names.join(", ")
}
