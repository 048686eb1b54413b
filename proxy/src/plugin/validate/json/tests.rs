use super::*;

#[track_caller]
fn check(text: &str, expected: Result<(), Flaw>) {
    assert_eq!(value(text, 4).map_err(|invalid| invalid.flaw), expected, "{text:?}");
}

#[test]
fn json_is_accepted() {
    for text in [
        "null", "true", "false", "0", "-0", "10", "1.5", "1e9", "1E+9", "-1.25e-3", "\"\"", "\"a\\n\\u00e9\\\"\"",
        "[]", "{}", "[1,2]", " { \"a\" : [ 1 , { } ] } \n", "{\"a\":1,\"b\":1}", "\"é漢\"",
    ] {
        check(text, Ok(()));
    }
}

#[test]
fn what_only_looks_like_json_is_refused() {
    for text in [
        "", " ", "nul", "NaN", "Infinity", "-", "+1", "01", "1.", ".5", "1e", "'a'", "\"a", "\"\\x\"", "\"\\u12g4\"",
        "\"\\u12\"", "\"a\nb\"", "[", "[1", "[1,", "[1,]", "[,1]", "{", "{\"a\"", "{\"a\":", "{\"a\":1,}", "{a:1}",
        "{1:1}", "\u{feff}1", "/**/1", "\0",
    ] {
        check(text, Err(Flaw::Syntax));
    }
    check("1 2", Err(Flaw::Trailing));
    check("{} }", Err(Flaw::Trailing));
}

#[test]
fn depth_is_bounded() {
    check("[[[[1]]]]", Ok(()));
    check("[[[[[1]]]]]", Err(Flaw::Depth));
    check("[[],[[]],{\"a\":[[]]}]", Ok(()));
    let bomb = "[".repeat(1_000_000);
    check(&bomb, Err(Flaw::Depth));
}

#[test]
fn a_field_named_twice_is_refused_at_any_level() {
    check(r#"{"model":"a","model":"b"}"#, Err(Flaw::Twice));
    check(r#"[{"x":{"a":1,"b":2,"a":3}}]"#, Err(Flaw::Twice));
    check(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#, Ok(()));
}

#[test]
fn an_escape_does_not_hide_a_second_field() {
    check(r#"{"model":1,"\u006dodel":2}"#, Err(Flaw::Twice));
    check(r#"{"\u006dodel":2,"model":1}"#, Err(Flaw::Twice));
    check(r#"{"\u006dodel":2,"m\u006fdel":1}"#, Err(Flaw::Twice));
    check(r#"{"a\nb":2,"a\tb":1}"#, Ok(()));
    check(r#"{"\ud800":1}"#, Err(Flaw::Twice));
}

#[test]
fn an_object_with_many_fields_is_checked_too() {
    let fields: Vec<String> = (0..1000).map(|n| format!("\"f{n}\":{n}")).collect();
    check(&format!("{{{}}}", fields.join(",")), Ok(()));
    check(&format!("{{{},\"f7\":0}}", fields.join(",")), Err(Flaw::Twice));
    check(&format!("{{{},\"\\u00667\":0}}", fields.join(",")), Err(Flaw::Twice));
}

#[test]
fn an_object_is_not_any_value() {
    assert_eq!(object(" {}", 4), Ok(()));
    assert_eq!(object("[]", 4).unwrap_err().flaw, Flaw::NotAnObject);
    assert_eq!(object("{", 4).unwrap_err().flaw, Flaw::Syntax);
}

#[test]
fn no_text_makes_the_check_panic_and_it_agrees_with_serde() {
    let alphabet = ["{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "1", "-", "e", "true", " ", "\\", "é", "\""];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(alphabet[(state >> 33) as usize % alphabet.len()]);
        }
        let strict = value(&text, 64);
        let lenient = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        match strict {
            Err(Invalid { flaw: Flaw::Twice, .. }) => assert!(lenient.is_ok(), "{text:?}"),
            strict => assert_eq!(strict.is_ok(), lenient.is_ok(), "{text:?}"),
        }
    }
}
