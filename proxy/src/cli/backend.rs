//! Whom an administrator's command is put to: the running gateway, or else the store itself.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};
use tollgate::{config::Config, secret::read_kept, store};

use super::{
    administrator::{Keys, Plugins},
    context::Context,
    offline::Offline,
    remote::{Remote, RemoteError},
    sandbox::Sandbox,
    serve,
};

/// How long a store may be in use by somebody who is about to leave it, or to answer at the admin listener.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two attempts; opening the store waits as well.
const PAUSE: Duration = Duration::from_millis(20);

/// The keys of the store, or those of the gateway that has it. Waits a moment where another command has the store, or a
/// gateway is just starting.
pub(super) fn keys(config: &Config, context: &Context) -> anyhow::Result<Box<dyn Keys>> {
    let began = Instant::now();
    loop {
        let reason = match remote(config)? {
            Ok(remote) => return Ok(Box::new(remote)),
            Err(reason) => reason,
        };
        ensure_no_gateway_without_store(config)?;
        match Offline::open(config, context.master_key()) {
            Ok(offline) => return Ok(Box::new(offline)),
            Err(error) if !is_locked(&error) => return Err(error),
            Err(error) if began.elapsed() > PATIENCE => return Err(explained(error, config, &reason)),
            Err(_) => thread::park_timeout(PAUSE),
        }
    }
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(store::Error::Locked { .. }))
}

/// Refuses to make a new store where something answers at the admin listener: it may be a gateway whose data
/// directory was removed, which would never know of what is written to another one.
pub(super) fn ensure_no_gateway_without_store(config: &Config) -> anyhow::Result<()> {
    let (server, Some(address)) = (&config.server, config.server.admin_listen) else { return Ok(()) };
    let answers = || TcpStream::connect_timeout(&serve::reachable(address), CONNECT_TIMEOUT).is_ok();
    ensure!(
        server.store_dir().exists() || !answers(),
        "`{}` holds no store, and something answers at the admin listener {address}: if it is a gateway whose data \
         was removed, stop it first; if it is another, give this configuration a `server.admin_listen` of its own",
        server.data_dir.display()
    );
    Ok(())
}

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// The plugins of the running gateway, or those that it would load.
pub(super) fn plugins(config: &Config) -> anyhow::Result<Box<dyn Plugins + '_>> {
    match remote(config)? {
        Ok(remote) => Ok(Box::new(remote)),
        Err(_) => Ok(Box::new(Sandbox::open(config)?)),
    }
}

/// The gateway that has the store. While nobody has it, whoever listens at the address is none of ours, and is not shown
/// the admin token.
fn remote(config: &Config) -> anyhow::Result<Result<Remote, RemoteError>> {
    if !store::is_in_use(&config.server.store_dir()) {
        return Ok(Err(RemoteError::NotRunning));
    }
    let Some(address) = config.server.admin_listen else { return Ok(Err(RemoteError::Off)) };
    let Some(token) = read_kept(&config.server.admin_token_file())? else { return Ok(Err(RemoteError::NoToken)) };
    Ok(Remote::connect(serve::reachable(address), token))
}

/// A store in use by somebody who cannot be spoken to is the one case where both ways are shut.
fn explained(error: anyhow::Error, config: &Config, reason: &RemoteError) -> anyhow::Error {
    let dir = config.server.data_dir.display();
    let address = config.server.admin_listen.map_or("off".to_owned(), |address| address.to_string());
    let context = match reason {
        RemoteError::Off => format!(
            "another process uses `{dir}`: if it is a gateway, its admin listener is off: set `server.admin_listen` \
             or stop it"
        ),
        RemoteError::NotRunning => format!("other processes use `{dir}` one after the other: try again"),
        RemoteError::NoToken => format!("another process uses `{dir}`, and it has left no admin token there"),
        RemoteError::Unreachable(_) => format!(
            "another process uses `{dir}`: if it is a gateway, its admin listener at {address} cannot be reached"
        ),
        RemoteError::WrongToken => {
            format!(
                "another process uses `{dir}`, but at {address} another gateway answers: is this its configuration?"
            )
        }
    };
    match reason {
        RemoteError::Unreachable(reason) => anyhow!("{reason}").context(context),
        _ => error.context(context),
    }
}
