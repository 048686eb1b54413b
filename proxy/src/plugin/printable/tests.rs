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
    check("one\u{2028}two\u{2029}three\u{61c}", 100, "one\\u{2028}two\\u{2029}three\\u{61c}");
    check("é漢🙂", 100, "é漢🙂");
}

#[test]
fn a_guests_words_are_cut_between_characters() {
    check("abcdef", 6, "abcdef");
    check("abcdefg", 6, "abcdef…");
    check("abcdé", 5, "abcd…");
    assert!(printable(&"\u{1b}".repeat(1000), 100).len() < 120);
}
