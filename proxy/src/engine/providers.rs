//! The providers' side of a call, as the engine sees it: what `upstream` does, and what a test's double does instead.

use std::future::Future;

use bytes::Bytes;

use crate::upstream::{self, Answer, Connector, Outgoing, Provider, UpstreamError};

/// How providers are reached.
pub trait Providers: Sync {
    type Exchange: Exchange;

    /// A connection to `provider`. Not to be dropped half-way.
    fn open(&self, provider: &Provider) -> impl Future<Output = Result<Self::Exchange, UpstreamError>> + Send;

    /// Ends an exchange whose answer was read whole, and keeps its connection.
    fn release(&self, exchange: Self::Exchange) -> impl Future<Output = ()> + Send;

    /// Ends an exchange whose answer is complete although its body may not be. What follows is not waited for.
    fn drain_aside(&self, exchange: Self::Exchange) -> impl Future<Output = ()> + Send;
}

/// One request to a provider and its answer. Dropping it stops the provider.
pub trait Exchange: Send {
    /// Sends the request, within the write clock. Dropped half-way, the exchange is only good for dropping too.
    fn send(
        &mut self,
        provider: &Provider,
        outgoing: Outgoing<'_>,
    ) -> impl Future<Output = Result<(), UpstreamError>> + Send;

    /// The answer's head. May be dropped half-way; the caller brings the clock.
    fn head(&mut self) -> impl Future<Output = Result<Answer, UpstreamError>> + Send;

    /// The answer's next piece; none at its end. May be dropped half-way; the caller brings the clock.
    fn piece(&mut self) -> impl Future<Output = Result<Option<Bytes>, UpstreamError>> + Send;

    /// Keeps the connection from further calls: it has let this one wait for too long.
    fn distrust(&mut self);
}

impl Providers for Connector {
    type Exchange = upstream::Exchange;

    async fn open(&self, provider: &Provider) -> Result<upstream::Exchange, UpstreamError> {
        Connector::open(self, provider).await
    }

    async fn release(&self, exchange: upstream::Exchange) {
        Connector::release(self, exchange);
    }

    async fn drain_aside(&self, exchange: upstream::Exchange) {
        Connector::drain_aside(self, exchange).await;
    }
}

impl Exchange for upstream::Exchange {
    async fn send(&mut self, provider: &Provider, outgoing: Outgoing<'_>) -> Result<(), UpstreamError> {
        upstream::Exchange::send(self, provider, outgoing).await
    }

    async fn head(&mut self) -> Result<Answer, UpstreamError> {
        upstream::Exchange::head(self).await
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        upstream::Exchange::piece(self).await
    }

    fn distrust(&mut self) {
        upstream::Exchange::distrust(self);
    }
}
