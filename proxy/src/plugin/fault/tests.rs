use super::*;

#[test]
fn a_trap_is_told_by_what_it_means() {
    let of = |trap: Trap, starved| PluginError::of(&wasmtime::Error::from(trap), starved);
    assert_eq!(of(Trap::Interrupt, true), PluginError::Deadline);
    assert_eq!(of(Trap::UnreachableCodeReached, true), PluginError::Memory);
    assert_eq!(of(Trap::UnreachableCodeReached, false).kind(), "trap_unreachable");
    assert_eq!(of(Trap::StackOverflow, false).kind(), "trap_stack");
}

#[test]
fn an_unknown_error_is_a_malformed_answer_with_all_its_causes() {
    let error = wasmtime::Error::msg("inner\ncause").context("outer");
    let fault = PluginError::of(&error, false);
    assert_eq!(fault.detail(), Some("outer: inner cause"));
    assert_eq!(fault.kind(), "malformed");
}
