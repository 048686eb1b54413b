use pingora::protocols::Stream;

use super::{connections::Connection, *};
use crate::upstream::Connector;

/// What a call's future may have.
const CALL_BYTES_MAX: usize = 5 << 10;
/// What its connection's future may have beside it.
const CONNECTION_BYTES_MAX: usize = 2 << 10;

/// The size of the future that `begin` returns.
fn future_bytes<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
    size_of::<F>()
}

/// A call's future lives as long as its stream does: what it holds is held by each of them.
#[test]
fn a_calls_future_is_small() {
    let call = future_bytes(
        |gateway: &'static Gateway, providers: &'static Connector, client: &'static mut Client<'static>| {
            engine::serve(gateway, providers, DIALECT, crate::call::Operation::Chat, client)
        },
    );
    let connection = future_bytes(|edge: &'static Edge, connection: &'static Connection, stream: Stream| {
        let shutdown = Box::leak(Box::new(watch::channel(false).1));
        http1::serve(edge, connection, stream, shutdown)
    });
    assert!(call <= CALL_BYTES_MAX, "a call's future has {call} bytes");
    assert!(connection <= CALL_BYTES_MAX + CONNECTION_BYTES_MAX, "a connection's future has {connection} bytes");
}
