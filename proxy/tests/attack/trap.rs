//! Guests that fail, and hosts that must not go on with them. Rows 15, 16, 18 and 23.

use tollgate::plugin::PluginError;

use super::{
    evil,
    guest::{Guest, HEAP},
    support::*,
};

#[test]
fn a_trap_ends_one_call() {
    for (how, kind) in [
        ("unreachable", "trap_unreachable"),
        ("load", "trap_memory_access"),
        ("division", "trap_arithmetic"),
        ("null call", "trap_indirect_call"),
        ("bad call", "trap_indirect_call"),
        ("wild call", "trap_indirect_call"),
    ] {
        faults_as(&evil::traps(how), kind);
    }
}

#[test]
fn a_stream_that_trapped_is_never_entered_again() {
    let mut stream = stream(&evil::traps_after(0));
    assert_eq!(stream.push(&[frame("a")]).unwrap_err().kind(), "trap_unreachable");
    assert_eq!(stream.push(&[frame("a")]), Err(PluginError::Ended));
    assert_eq!(stream.finish(), Err(PluginError::Ended));
    still_good(host());
}

#[test]
fn a_stream_that_answered_badly_is_never_entered_again() {
    // The engine itself would let the next call in.
    let Guest { push, .. } = Guest::good();
    let mut stream = stream(&Guest::pushing(format!("(i32.store offset=8 ({push}) (i32.const -1)) {push}")));
    assert_eq!(stream.push(&[frame("a")]).unwrap_err().kind(), "malformed");
    assert_eq!(stream.push(&[frame("a")]), Err(PluginError::Ended));
    still_good(host());
}

#[test]
fn a_faulted_stream_gives_its_sandbox_back() {
    let host = host_with(tollgate::plugin::Settings { calls_max: 1, streams_max: 1, ..settings() });
    let adapter = host.load_adapter("evil", &evil::traps_after(0).component(), ALL).unwrap();
    let mut stream = open(&adapter).unwrap();
    assert_eq!(host.instances(), 1);
    stream.push(&[frame("a")]).unwrap_err();
    assert_eq!(host.instances(), 0);
    still_good(&host);
}

#[test]
fn handles_cannot_be_hoarded() {
    let fault = open(&load(&evil::hoards_handles())).err().unwrap();
    assert_eq!(fault.kind(), "handles", "{fault}: {:?}", fault.detail());
    still_good(host());
}

#[test]
fn what_a_guest_says_of_its_trap_stays_on_one_line() {
    let fault = fault(&evil::body_at(HEAP, u32::MAX));
    let detail = fault.detail().unwrap();
    assert!(detail.len() <= 520 && !detail.contains(char::is_control), "{detail:?}");
}
