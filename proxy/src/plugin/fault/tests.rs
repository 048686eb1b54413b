use super::*;

#[track_caller]
fn check(text: &str, bytes_max: usize, expected: &str) {
    assert_eq!(printable(text, bytes_max), expected);
}

#[test]
fn a_guests_words_stay_on_one_line() {
    check("one\ntwo\tthree", 100, "one two three");
    check("a\r\u{1b}[2J\u{7f}\u{9b}\0", 100, "a\\u{d}\\u{1b}[2J\\u{7f}\\u{9b}\\u{0}");
    check("admin\u{202e}gnp", 100, "admin\\u{202e}gnp");
    check("é漢🙂", 100, "é漢🙂");
}

#[test]
fn a_guests_words_are_cut_between_characters() {
    check("abcdef", 6, "abcdef");
    check("abcdefg", 6, "abcdef…");
    check("abcdé", 5, "abcd…");
    assert!(printable(&"\u{1b}".repeat(1000), 100).len() < 120);
}

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
