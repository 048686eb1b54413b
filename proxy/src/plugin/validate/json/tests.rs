use super::*;

#[track_caller]
fn refuses(text: &str, expected: fn(&GuestJsonError) -> bool) {
    let flaw = value(text, 4).unwrap_err();
    assert!(expected(&flaw), "{text:?}: {flaw}");
}

fn syntax(flaw: &GuestJsonError) -> bool {
    matches!(flaw, GuestJsonError::Json(JsonError::Syntax { .. }))
}

fn deep(flaw: &GuestJsonError) -> bool {
    matches!(flaw, GuestJsonError::Json(JsonError::Deep { .. }))
}

fn twice(flaw: &GuestJsonError) -> bool {
    matches!(flaw, GuestJsonError::Twice { .. })
}

#[test]
fn json_is_accepted() {
    for text in ["null", "-1.25e-3", "\"a\\n\\u00e9\"", "[]", "{}", " { \"a\" : [ 1 , { } ] , \"b\":\"\" } \n"] {
        assert!(value(text, 4).is_ok(), "{text:?}");
    }
}

#[test]
fn what_only_looks_like_json_is_refused() {
    for text in ["", "NaN", "01", "[1,]", "{\"a\":1,}", "{a:1}", "1 2", "{} }", "\"\\ud800\"", "/**/1", "[NaN]"] {
        refuses(text, syntax);
    }
}

#[test]
fn depth_is_bounded() {
    assert!(value("[[[[1]]]]", 4).is_ok());
    refuses("[[[[[1]]]]]", deep);
    refuses(&"[".repeat(1_000_000), deep);
    refuses(&"{\"a\":".repeat(1_000_000), deep);
}

#[test]
fn a_field_named_twice_is_refused_at_any_level() {
    refuses(r#"{"model":"a","model":"b"}"#, twice);
    refuses(r#"[{"x":{"a":1,"b":{"a":1},"a":3}}]"#, twice);
    assert!(value(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#, 4).is_ok());
}

#[test]
fn an_escape_does_not_hide_a_second_field() {
    refuses(r#"{"model":1,"\u006dodel":2}"#, twice);
    refuses(r#"{"\u006dodel":2,"model":1}"#, twice);
    assert!(value(r#"{"a\nb":2,"a\tb":1}"#, 4).is_ok());
}

#[test]
fn an_object_with_many_fields_is_checked_too() {
    let fields: Vec<String> = (0..100_000).map(|n| format!("\"f{n}\":{n}")).collect();
    assert!(value(&format!("[{{{}}},{{}}]", fields.join(",")), 4).is_ok());
    refuses(&format!("{{{},\"f7\":0}}", fields.join(",")), twice);
    refuses(&format!("{{{},\"\\u00667\":0}}", fields.join(",")), twice);
}

#[test]
fn an_object_is_not_any_value() {
    assert_eq!(object(" {}", 4), Ok(()));
    assert_eq!(object("[]", 4), Err(GuestJsonError::NotAnObject));
}
