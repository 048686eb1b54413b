//! What templates come out as.

use tollgate_plugin::{RenderError, Renderer};
use tollgate_plugin_braces::Braces;

#[track_caller]
fn renders(source: &str, variables: &str, expected: &str) {
    assert_eq!(Braces::render(source, variables), Ok(expected.to_owned()), "{source}");
}

#[track_caller]
fn uses(source: &str, expected: &[&str]) {
    assert_eq!(Braces::check(source), Ok(expected.iter().map(|name| (*name).to_owned()).collect()), "{source}");
}

#[track_caller]
fn faults(source: &str, line: u32, column: u32) {
    let fault = Braces::check(source).expect_err(source);
    assert_eq!((fault.line, fault.column), (line, column), "{source}: {}", fault.message);
    assert_eq!(Braces::render(source, r#"{"a":"v"}"#), Err(RenderError::Invalid(fault)), "{source}");
}

#[test]
fn a_variable_becomes_its_value() {
    renders("Hello {name}!", r#"{"name":"Ada"}"#, "Hello Ada!");
    renders("{a}{b}{a}", r#"{"a":"1","b":"2"}"#, "121");
    renders(
        "你是客服，客户名叫{customer_name}。回复：{message}",
        r#"{"customer_name":"张三","message":"你好"}"#,
        "你是客服，客户名叫张三。回复：你好",
    );
    renders("{_x1}", r#"{"_x1":"y"}"#, "y");
    renders("", "{}", "");
}

#[test]
fn a_value_is_never_expanded() {
    renders("{a} {b}", r#"{"a":"{b}","b":"{{a}}"}"#, "{b} {{a}}");
    renders("{a}}", r#"{"a":"{"}"#, "{}");
}

#[test]
fn a_value_that_is_no_string_is_json() {
    renders(
        "{n} {f} {l} {o} {z}",
        r#"{"n":1.50,"f":true,"l":[1, "x"],"o":{"k": "v"},"z":null}"#,
        r#"1.50 true [1,"x"] {"k":"v"} null"#,
    );
}

#[test]
fn a_missing_variable_is_named() {
    assert_eq!(Braces::render("{here} {gone}", r#"{"here":"x"}"#), Err(RenderError::Missing("gone".to_owned())));
}

#[test]
fn a_value_that_is_repeated_too_often_is_refused_in_words() {
    let value = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "v".repeat(bytes));
    let refused = Braces::render(&"{a}".repeat(10_000), &value(1_000)).expect_err("ten megabytes");
    assert!(matches!(&refused, RenderError::Invalid(fault) if fault.message.contains("too long")), "{refused:?}");
    assert_eq!(Braces::render(&"{a}".repeat(4_000), &value(1_000)).expect("four megabytes").len(), 4_000_000);
    assert_eq!(Braces::render("{a}{a}", &value(4 << 20)).expect("a long value, twice").len(), 8 << 20);
    assert!(Braces::render("{a}{a}{a}", &value(8 << 20)).is_err());
}

#[test]
fn doubled_braces_are_literal() {
    renders("{{name}}", "{}", "{name}");
    renders("{{{name}}}", r#"{"name":"x"}"#, "{x}");
    renders("a }} b {{ c", "{}", "a } b { c");
    renders(r#"{{"a": {{"b": {value}}}}}"#, r#"{"value":1}"#, r#"{"a": {"b": 1}}"#);
}

#[test]
fn json_and_other_braces_stay_as_they_are() {
    for text in [
        r#"{"a": 1}"#,
        r#"{"a": {"b": {}}}"#,
        r#"[{"x":[{}]},{}]"#,
        "{}",
        "{ name }",
        "{1}",
        r"\frac{1}{2} x^{2n}",
        r"\d{3}",
        "p { color: red }",
        "a { b",
        "a } b",
        "{a-b}",
        "{a b}",
        "{",
        "}",
    ] {
        renders(text, "{}", text);
        uses(text, &[]);
    }
    renders(
        r#"Answer as {"city": "{city}", "n": {"k": 1}}"#,
        r#"{"city":"Oslo"}"#,
        r#"Answer as {"city": "Oslo", "n": {"k": 1}}"#,
    );
}

#[test]
fn check_names_each_variable_once_in_order() {
    uses("{b} {a} {b} {{c}} {\"d\": {d}}", &["b", "a", "d"]);
    uses("no variables", &[]);
}

#[test]
fn what_looks_like_a_mistake_is_a_fault_with_its_place() {
    faults("Hello {name", 1, 7);
    faults("一二\n三{客户}", 2, 2);
    faults("ok {a}\n\n  {naïve}", 3, 3);
}

#[test]
fn variables_that_are_no_object_are_refused() {
    for variables in ["[]", "", "{", "1", "null"] {
        assert!(matches!(Braces::render("{a}", variables), Err(RenderError::Invalid(_))), "{variables}");
    }
}

#[test]
fn the_last_of_two_values_counts() {
    renders("{a}", r#"{"a":1,"a":2}"#, "2");
}

#[test]
fn no_source_makes_it_panic() {
    let alphabet = ["{", "}", "{{", "}}", "a", "é", "\n", " ", "\"", "1"];
    for seed in 0..10_000_usize {
        let mut state = seed;
        let source: String = (0..4)
            .map(|_| {
                let piece = alphabet[state % 10];
                state /= 10;
                piece
            })
            .collect();
        let names = Braces::check(&source);
        let rendered = Braces::render(&source, r#"{"a":"v","aa":"v","a1":"v","a11":"v","aaa":"v","aaaa":"v"}"#);
        assert_eq!(names.is_err(), matches!(rendered, Err(RenderError::Invalid(_))), "{source}");
    }
}
