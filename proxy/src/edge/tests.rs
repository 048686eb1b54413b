use super::*;
use crate::upstream::Connector;

/// What a future of a call may have.
const CALL_BYTES_MAX: usize = 12 << 10;

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
    let request =
        future_bytes(|edge: &'static Edge, session: &'static mut ServerSession, shutdown: &'static ShutdownWatch| {
            edge.answer(session, ReadHead::Good, shutdown)
        });
    assert!(call <= CALL_BYTES_MAX, "a call's future has {call} bytes");
    assert!(request <= CALL_BYTES_MAX + 2048, "a request's future has {request} bytes");
}
