//! The JSON scanner beside serde_json and beside the plugin kit: all accept the same texts and read the same strings.

use serde_json::Value;
use tollgate::call::json::{self, JsonError, Scanner, TextSize, check, push_quoted};
use tollgate_plugin::json as kit;

use super::outcome;

/// The most that serde_json follows.
const DEPTH_MAX: usize = 127;

pub fn run(data: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let ours = check(text, DEPTH_MAX);
    let theirs = serde_json::from_str::<Value>(text);
    match (&ours, &theirs) {
        (Ok(_), Ok(_)) => read(text),
        // A number is a text to the scanner, and a double to serde_json.
        (Ok(_), Err(fault)) => assert!(fault.to_string().contains("number out of range"), "only serde_json: {fault}"),
        (Err(fault), Ok(_)) => panic!("only the scanner: {fault}"),
        (Err(_), Err(_)) => {}
    }
    let known = kit::Value::parse(text).is_ok();
    assert_eq!(check(text, json::DEPTH_MAX).is_ok(), known, "the plugin kit is as strict as the gateway");
    let last = text.trim_end().as_bytes().last().copied();
    match ours {
        Ok(kind) => outcome(&(kind, last, text.len().ilog2())),
        Err(JsonError::Syntax { at, expected }) => {
            let before = text.as_bytes()[..at as usize].trim_ascii_end().last();
            outcome(&(expected, before, text.as_bytes().get(at as usize)))
        }
        Err(fault) => outcome(&fault),
    }
}

/// Every string with a name before it, as both read it.
fn read(text: &str) {
    let mut scanner = Scanner::new(text, DEPTH_MAX);
    let mut strings = Vec::new();
    scanner.value_noting(|_, token| strings.push(token)).expect("the text was checked");
    for token in strings {
        let quoted = format!("\"{}\"", token.raw);
        let meant: String = serde_json::from_str(&quoted).expect("a string in JSON is JSON");
        assert_eq!(token.decode(), meant);
        assert!(token.is(&meant));
        assert_eq!(format!("{:?}", token.size()), format!("{:?}", TextSize::of(&meant)), "{quoted}");
        let mut again = Vec::new();
        push_quoted(&meant, &mut again);
        assert_eq!(serde_json::from_slice::<String>(&again).ok().as_ref(), Some(&meant));
    }
}
