//! What a call is served between: the client, the providers and the gateway.

use std::future::Future;

use tokio::time::{Instant, sleep_until};

use super::{attempt_error::AttemptError, client::Downstream};
use crate::{
    gateway::Gateway,
    plugin::{PluginError, Turn},
    upstream::UpstreamError,
};

/// Both sides of one call, and the gateway between them.
pub(super) struct CallIo<'a, D, P> {
    pub(super) gateway: &'a Gateway,
    pub(super) providers: &'a P,
    pub(super) client: &'a mut D,
}

/// Waits for a plugin's `turn`, unless the client leaves first, or the attempt's time is over.
///
/// # Errors
/// [`AttemptError`], where there is no turn.
pub(super) async fn turn_before<'a, D: Downstream>(
    total_by: Option<Instant>,
    client: &mut D,
    turn: impl Future<Output = Result<Turn<'a>, PluginError>>,
) -> Result<Turn<'a>, AttemptError> {
    let over = async {
        match total_by {
            Some(total_by) => sleep_until(total_by).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        turn = turn => Ok(turn?),
        why = client.interrupted() => Err(why.into()),
        () = over => Err(UpstreamError::TotalTimeout.into()),
    }
}
