//! What a call is served between: the client, the providers and the gateway.

use crate::gateway::Gateway;

/// Both sides of one call, and the gateway between them.
pub(super) struct CallIo<'a, D, P> {
    pub(super) gateway: &'a Gateway,
    pub(super) providers: &'a P,
    pub(super) client: &'a mut D,
}
