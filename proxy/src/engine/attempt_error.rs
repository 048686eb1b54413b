//! Why an attempt did not end in an answer, or an answer not in its end.

use std::time::Duration;

use super::client::{ClientGoneError, Interruption};
use crate::{
    call::{Blame, Failure, FailureKind},
    error::{Error, RequestError},
    plugin::PluginError,
    snapshot::ModelTarget,
    upstream::{Class, UpstreamError},
};

/// Why an attempt, or any part of it, ended early.
#[derive(Debug)]
pub(super) enum AttemptError {
    ClientGone,
    /// The gateway stops, and the call has had its time.
    Stopping,
    Upstream(UpstreamError),
    Plugin(PluginError),
    /// The provider's verdict, as the adapter or its dialect tells it.
    Provider(Failure),
    /// A success that cannot be read. It brings no verdict: the provider has worked, whatever it says.
    Unreadable(Failure),
    /// All whole answers together leave no room for this one.
    NoRoom,
    /// Another attempt would fail alike.
    Final(Box<Error>),
}

impl AttemptError {
    /// A failure of the provider's that another attempt there would meet again.
    pub(super) fn of_provider(kind: FailureKind, message: impl Into<String>) -> AttemptError {
        AttemptError::Provider(Failure::of_provider(kind, message))
    }

    /// Whether no other attempt may follow.
    pub(super) fn is_final(&self) -> bool {
        match self {
            AttemptError::ClientGone | AttemptError::Stopping | AttemptError::NoRoom | AttemptError::Final(_) => true,
            AttemptError::Provider(failure) => failure.blame == Blame::Request,
            AttemptError::Upstream(_) | AttemptError::Plugin(_) | AttemptError::Unreadable(_) => false,
        }
    }

    /// What kind of retry may help; none where only another target may.
    pub(super) fn class(&self) -> Option<Class> {
        match self {
            AttemptError::Upstream(trouble) => trouble.class(),
            AttemptError::Provider(failure) | AttemptError::Unreadable(failure) => match failure.kind {
                FailureKind::Authentication | FailureKind::Permission | FailureKind::Quota => Some(Class::Credential),
                FailureKind::RateLimited => Some(Class::RateLimit),
                _ if failure.retryable => Some(Class::Server),
                _ => None,
            },
            AttemptError::ClientGone
            | AttemptError::Stopping
            | AttemptError::Plugin(_)
            | AttemptError::NoRoom
            | AttemptError::Final(_) => None,
        }
    }

    /// How long the provider asked to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            AttemptError::Provider(failure) => failure.retry_after_ms.map(Duration::from_millis),
            _ => None,
        }
    }

    /// The error that the client is told. What a plugin did is logged: the client learns no more than that it failed, and
    /// whoever runs it needs to know how.
    pub(super) fn into_error(self, target: &ModelTarget) -> Box<Error> {
        let provider = target.provider.name.to_string();
        Box::new(match self {
            AttemptError::ClientGone => Error::Request(RequestError::ClientGone),
            AttemptError::Stopping => Error::Request(RequestError::Draining),
            AttemptError::NoRoom => Error::Request(RequestError::NoRoomForAnswer),
            AttemptError::Upstream(trouble) => Error::Upstream { provider, trouble },
            AttemptError::Plugin(fault) => {
                let (kind, detail) = (fault.kind(), fault.detail().unwrap_or_default());
                tracing::warn!(provider, kind, detail, "a plugin failed: {fault}");
                Error::Plugin { provider, fault }
            }
            AttemptError::Provider(failure) | AttemptError::Unreadable(failure) => {
                Error::Provider { provider, failure }
            }
            AttemptError::Final(error) => return error,
        })
    }
}

impl From<ClientGoneError> for AttemptError {
    fn from(_: ClientGoneError) -> Self {
        AttemptError::ClientGone
    }
}

impl From<Interruption> for AttemptError {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::ClientGone => AttemptError::ClientGone,
            Interruption::Stopping => AttemptError::Stopping,
        }
    }
}

impl From<UpstreamError> for AttemptError {
    fn from(trouble: UpstreamError) -> Self {
        AttemptError::Upstream(trouble)
    }
}

impl From<PluginError> for AttemptError {
    fn from(fault: PluginError) -> Self {
        AttemptError::Plugin(fault)
    }
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        AttemptError::Provider(failure)
    }
}
