use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn accepts(text: &str) -> bool {
    check(text, DEPTH_MAX).is_ok()
}

#[test]
fn json_is_accepted_as_the_rfc_has_it() {
    for text in [
        "{}",
        "[]",
        " \t\r\n[ ] \n",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "10.25",
        "1e9",
        "1E+9",
        "-1.5e-07",
        "1e999",
        "\"\"",
        r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#,
        "\"\u{7f}é中😀\u{2028}\"",
        r#"{"a":[1,{"b":[]},"c"],"d":{"e":null}}"#,
        r#"{"a":1,"a":2}"#,
    ] {
        assert!(accepts(text), "{text}");
    }
}

#[test]
fn what_is_nearly_json_is_refused() {
    for text in [
        "",
        " ",
        "\u{feff}{}",
        "{",
        "}",
        "[",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1]",
        "[1}",
        "01",
        "+1",
        "-",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "Infinity",
        "nul",
        "nulll",
        "True",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"\n\"",
        "\"\u{0}\"",
        "\"\u{1f}\"",
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\u0041""#,
        "{} {}",
        "1 // one",
    ] {
        assert!(!accepts(text), "{text}");
    }
}

#[test]
fn a_fault_says_what_was_expected_and_where() {
    let fault = check(r#"{"a":1 "b":2}"#, DEPTH_MAX).unwrap_err();
    assert_eq!(fault.to_string(), "expected `,` or `}` at byte 7");
    let fault = check("[1,", DEPTH_MAX).unwrap_err();
    assert_eq!(fault.to_string(), "expected a value at byte 3");
}

#[test]
fn a_step_that_can_fail_costs_no_more_than_one_that_cannot() {
    assert!(size_of::<Result<bool, JsonError>>() <= size_of::<u64>());
}

#[test]
fn depth_is_bounded_exactly() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}0{}", open.repeat(depth), close.repeat(depth));
        assert!(check(&nested(5), 5).is_ok());
        assert_eq!(check(&nested(6), 5), Err(JsonError::Deep { depth_max: 5 }));
        assert!(check(&nested(DEPTH_MAX), usize::MAX).is_ok());
        assert_eq!(check(&nested(DEPTH_MAX + 1), usize::MAX), Err(JsonError::Deep { depth_max: DEPTH_MAX as u32 }));
        assert!(check(&open.repeat(1_000_000), 127).is_err());
    }
}

#[test]
fn the_default_depth_is_what_serde_json_reads() {
    let depth = crate::call::Bounds::default().depth_max;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(serde_json::from_str::<Value>(&nested(depth)).is_ok());
    assert!(serde_json::from_str::<Value>(&nested(depth + 1)).is_err());
}

#[test]
fn strings_are_shown_with_the_name_before_them() {
    let mut seen = Vec::new();
    let text = r#"{"a":"1","b":{"c":["2","3"]},"\u0064":"4"}"#;
    Scanner::new(text, 9).value_noting(|name, value| seen.push((name.raw, value.raw))).unwrap();
    assert_eq!(seen, [("a", "1"), ("c", "2"), ("c", "3"), (r"\u0064", "4")]);
}

#[test]
fn a_name_is_known_through_its_escapes() {
    let string = |text| Scanner::new(text, 1).string().unwrap();
    assert!(string(r#""model""#).is("model"));
    assert!(string(r#""mod\u0065l""#).is("model"));
    assert!(!string(r#""model2""#).is("model"));
    assert!(!string(r#""mod\u0065l2""#).is("model"));
    assert!(!string(r#""""#).is("model"));
}

#[test]
fn numbers_are_written_in_decimal() {
    for number in [0, 9, 10, 1_763_600_000, u64::MAX] {
        let mut out = Vec::new();
        push_u64(number, &mut out);
        assert_eq!(out, number.to_string().as_bytes());
    }
}

#[test]
fn unquoting_what_was_never_scanned_does_no_harm() {
    for raw in ["\\", "\\u", "\\u12", "\\ud800", "\\ud800\\u12", "\\q", "a\\", "\\u00é9", "\\ud83d\\ud83d"] {
        unquote(raw);
    }
}

/// The size of `text`, character by character.
fn naive_size(text: &str) -> TextSize {
    let mut size = TextSize::default();
    for char in text.chars() {
        match char as u32 {
            ..0x80 => size.ascii += 1,
            code => {
                size.wide += 1;
                size.cjk += u64::from((0x3000..0xe000).contains(&code));
            }
        }
    }
    size
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~é中😀\n\"\\\\]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec(("[a-z\"\\\\é]{0,12}", inner), 0..8)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// `text` with a few of its bytes changed, removed, doubled or swapped for telling ones.
fn mutated(text: &str, mutations: &[(usize, u8, u8)]) -> Vec<u8> {
    const TELLING: &[u8] = b"{}[]:,\"\\u0123456789abdeftn.+-eE \n\x00\x1f\x7f\x80\xff";
    let mut bytes = text.as_bytes().to_vec();
    for &(at, how, what) in mutations {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        let telling = TELLING[usize::from(what) % TELLING.len()];
        match how % 4 {
            0 => bytes[at] = telling,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, telling),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Whether the scanner and serde_json agree on `bytes`.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = std::str::from_utf8(bytes).is_ok_and(accepts);
    match serde_json::from_slice::<Value>(bytes) {
        Ok(_) => prop_assert!(ours),
        // A number beyond f64 is still a number.
        Err(error) if error.to_string().starts_with("number out of range") => {}
        Err(error) => prop_assert!(!ours, "{error}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_scanner_accepts_all_that_serde_json_writes(value in any_json()) {
        agree(value.to_string().as_bytes())?;
        agree(serde_json::to_string_pretty(&value).unwrap().as_bytes())?;
        prop_assert!(accepts(&value.to_string()));
    }

    #[test]
    fn the_scanner_refuses_what_serde_json_refuses(
        value in any_json(),
        mutations in prop::collection::vec(any::<(usize, u8, u8)>(), 1..4),
    ) {
        agree(&mutated(&value.to_string(), &mutations))?;
    }

    #[test]
    fn any_text_is_told_apart_as_serde_json_does(text in "[{}\\[\\]:,\"\\\\u0-9a-f\\-+.eE tn]{0,24}") {
        agree(text.as_bytes())?;
    }

    #[test]
    fn quoting_is_undone_by_serde_json_and_by_unquoting(text in any::<String>()) {
        let mut quoted = Vec::new();
        push_quoted(&text, &mut quoted);
        prop_assert_eq!(&serde_json::from_slice::<String>(&quoted).unwrap(), &text);
        let raw = std::str::from_utf8(&quoted[1..quoted.len() - 1]).unwrap();
        prop_assert_eq!(unquote(raw), text);
    }

    #[test]
    fn escapes_of_any_kind_are_unquoted_as_serde_json_does(units in prop::collection::vec(any::<char>(), 0..20)) {
        let mut escaped = String::from("\"");
        for unit in units.iter().flat_map(|char| char.encode_utf16(&mut [0; 2]).to_vec()) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
        escaped.push('"');
        let token = Scanner::new(&escaped, 1).string().unwrap();
        prop_assert_eq!(token.decode(), serde_json::from_str::<String>(&escaped).unwrap());
        prop_assert_eq!(token.size().ascii + token.size().wide, units.len() as u64);
    }

    #[test]
    fn texts_are_measured_as_their_characters_are(text in any::<String>(), cjk in "[ぁ-ヿ一-龥가-힣a-z]{0,40}") {
        for text in [text, cjk] {
            prop_assert_eq!(TextSize::of(&text), naive_size(&text));
            let mut quoted = Vec::new();
            push_quoted(&text, &mut quoted);
            let quoted = String::from_utf8(quoted).unwrap();
            prop_assert_eq!(Scanner::new(&quoted, 1).string().unwrap().size(), naive_size(&text));
        }
    }
}
