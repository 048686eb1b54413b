//! A look at what is there, without waiting for it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// What `future` yields without waiting. It must be safe to drop.
pub(crate) async fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
