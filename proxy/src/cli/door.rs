//! Whom an administrator's command is put to: the running gateway, or else the store itself.

use anyhow::anyhow;
use tollgate::{config::Config, secret::read_kept, store};

use super::{
    administrator::{Keys, Plugins},
    context::Context,
    offline::Offline,
    remote::{Remote, Unheard},
    sandbox::Sandbox,
    serve,
};

/// The keys of the running gateway, or those of its store.
pub(super) fn keys(config: &Config, context: &Context) -> anyhow::Result<Box<dyn Keys>> {
    match remote(config)? {
        Ok(remote) => Ok(Box::new(remote)),
        Err(unheard) => {
            let offline = Offline::open(config, (context.env)(serve::MASTER_KEY));
            Ok(Box::new(offline.map_err(|error| explained(error, config, &unheard))?))
        }
    }
}

/// The plugins of the running gateway, or those that it would load.
pub(super) fn plugins(config: &Config) -> anyhow::Result<Box<dyn Plugins + '_>> {
    match remote(config)? {
        Ok(remote) => Ok(Box::new(remote)),
        Err(_) => Ok(Box::new(Sandbox::open(config)?)),
    }
}

fn remote(config: &Config) -> anyhow::Result<Result<Remote, Unheard>> {
    let Some(address) = config.server.admin_listen else { return Ok(Err(Unheard::Off)) };
    let Some(token) = read_kept(&config.server.admin_token_file())? else { return Ok(Err(Unheard::NoToken)) };
    Ok(Remote::greet(serve::reachable(address), token))
}

/// A store in use by a gateway that does not answer is the one case where both ways are shut.
fn explained(error: anyhow::Error, config: &Config, unheard: &Unheard) -> anyhow::Error {
    if !matches!(error.downcast_ref(), Some(store::Error::Locked { .. })) {
        return error;
    }
    let dir = config.server.data_dir.display();
    let address = config.server.admin_listen.map_or("off".to_owned(), |address| address.to_string());
    let context = match unheard {
        Unheard::Off => {
            format!("a gateway runs on `{dir}`, but its admin listener is off: set `server.admin_listen` or stop it")
        }
        Unheard::NoToken => format!("another process uses `{dir}`, and it has left no admin token there"),
        Unheard::Silent(_) => {
            format!("a gateway runs on `{dir}`, but its admin listener at {address} cannot be reached")
        }
        Unheard::Stranger => {
            format!("a gateway runs on `{dir}`, but at {address} another one answers: is this its configuration?")
        }
    };
    match unheard {
        Unheard::Silent(reason) => anyhow!("{reason}").context(context),
        _ => error.context(context),
    }
}
