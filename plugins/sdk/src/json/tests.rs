use super::*;

#[track_caller]
fn reads_as(text: &str, expected: &str) {
    assert_eq!(Value::parse(text).map(|value| value.to_json()).as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn is_malformed(text: &str) {
    assert!(Value::parse(text).is_err(), "{text}");
}

#[test]
fn every_kind_of_value_is_read_and_written() {
    reads_as(" null ", "null");
    reads_as("[true,false]", "[true,false]");
    reads_as("{ }", "{}");
    reads_as("[ ]", "[]");
    reads_as("{\"b\" : 1 , \"a\":[ {} , \"x\" ]}", r#"{"b":1,"a":[{},"x"]}"#);
}

#[test]
fn numbers_keep_their_digits() {
    for digits in ["0", "-0", "1.50", "12345678901234567890123", "1e5", "-1.5E-7", "0.1e+2"] {
        reads_as(digits, digits);
    }
}

#[test]
fn numbers_of_other_forms_are_refused() {
    for text in ["01", "1.", ".5", "+1", "-", "1e", "0x1", "NaN", "Infinity", "1 2"] {
        is_malformed(text);
    }
}

#[test]
fn escapes_are_undone_and_made() {
    let value = Value::parse(r#""q\" b\\ s\/ \b\f\n\r\t \u00e9 \u4f60 \ud83d\ude00""#);
    let text = "q\" b\\ s/ \u{8}\u{c}\n\r\t é 你 😀";
    assert_eq!(value, Ok(Value::String(text.into())));
    assert_eq!(quoted("q\"\\\n\u{1}\u{1f}é"), "\"q\\\"\\\\\\n\\u0001\\u001fé\"");
}

/// The texts that the gateway's own reader is tested with as well.
#[test]
fn the_texts_shared_with_the_gateway_are_judged_alike() {
    let corpus = Value::parse(include_str!("../../../fixtures/json/texts.json")).expect("the corpus is JSON");
    let texts = |name: &str| corpus.get(name).and_then(Value::as_array).expect("a list of texts");
    for text in texts("accepted").iter().filter_map(Value::as_str) {
        let value = Value::parse(text).unwrap_or_else(|error| panic!("refused at byte {}: {text}", error.at));
        assert_eq!(Value::parse(&value.to_json()), Ok(value.clone()), "{text}");
    }
    for text in texts("refused").iter().filter_map(Value::as_str) {
        is_malformed(text);
    }
}

#[test]
fn of_a_name_given_twice_the_last_value_stays() {
    reads_as(r#"{"a":1,"b":{"c":1,"c":2},"\u0061":3}"#, r#"{"b":{"c":2},"a":3}"#);
    let many = |value: u32| (0..100).map(|at| format!("\"k{at}\":{value},")).collect::<String>();
    let text = format!("{{{}{}\"k0\":3}}", many(1), many(2));
    let value = Value::parse(&text).expect("it is JSON");
    assert_eq!(value.as_object().map(Object::len), Some(100));
    assert_eq!((value.get("k1").and_then(Value::as_u64), value.get("k0").and_then(Value::as_u64)), (Some(2), Some(3)));
}

#[test]
fn a_string_without_escapes_is_borrowed() {
    assert!(matches!(Value::parse("\"plain 你好\""), Ok(Value::String(Cow::Borrowed(_)))));
}

#[test]
fn broken_documents_are_refused() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "{\"a\"",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "{a:1}",
        "'a'",
        "\"a",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\",
        "tru",
        "nulll",
        "{} {}",
        "]",
    ] {
        is_malformed(text);
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Value::parse(&nested(DEPTH_MAX)).is_ok());
    assert!(Value::parse(&nested(DEPTH_MAX + 1)).is_err());
    assert!(Value::parse(&"[".repeat(1_000_000)).is_err());
    assert!(Value::parse_within(&nested(5), 5).is_ok());
    assert!(Value::parse_within(&nested(6), 5).is_err());
}

#[test]
fn a_writer_knows_how_deep_it_went() {
    let mut writer = Writer::new();
    writer.array(|w| {
        w.value(&Value::parse(r#"[{"a":[[]]},1]"#).expect("it is JSON"));
        w.object(|_| {});
    });
    assert_eq!(writer.depth(), 5);
}

#[test]
fn get_sees_no_null() {
    let text = r#"{"a":2,"n":null}"#;
    let value = Value::parse(text).expect("it is JSON");
    assert_eq!(value.get("a").and_then(Value::as_u64), Some(2));
    assert_eq!(value.get("n"), None);
    assert_eq!(value.get("gone"), None);
    assert_eq!(value.text("a"), None);
}

#[test]
fn a_decimal_is_read_near_enough_to_compare() {
    for (digits, expected) in
        [("0", 0.0), ("1.0", 1.0), ("-0.5", -0.5), ("1e3", 1000.0), ("25e-2", 0.25), ("0.95", 0.95)]
    {
        let number = approximate(digits).expect(digits);
        assert!((number - expected).abs() <= expected.abs() * 1e-15, "{digits}: {number}");
    }
    assert_eq!(approximate("1e999"), Some(f64::INFINITY));
    assert_eq!(approximate("1e-999"), Some(0.0));
    for digits in ["", "-", ".", "x", "1e", "1.2.3"] {
        assert_eq!(approximate(digits), None, "{digits}");
    }
}

#[test]
fn plain_len_finds_the_first_special_byte_wherever_it_is() {
    for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
        for at in 0..40 {
            let mut bytes = vec![b'a'; 40];
            bytes[at] = special;
            assert_eq!(plain_len(&bytes), at, "{special} at {at}");
        }
    }
    for plain in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff] {
        assert_eq!(plain_len(&[plain; 19]), 19, "{plain}");
    }
}

#[test]
fn fields_are_read_without_their_values() {
    let text = r#" { "model" : "a,b}" , "n":1,"o": {"x":[1,{"y":"]"}]} ,"s":"\"q\\","e":[],"t":true }"#;
    let read: Vec<_> = fields(text).map(|field| (field.name, field.value)).collect();
    let expected = [
        ("model", r#""a,b}""#),
        ("n", "1"),
        ("o", r#"{"x":[1,{"y":"]"}]}"#),
        ("s", r#""\"q\\""#),
        ("e", "[]"),
        ("t", "true"),
    ];
    assert_eq!(read, expected);
}

#[test]
fn fields_of_anything_end() {
    for text in [
        "",
        "{}",
        "[1]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":}",
        "{\"a\":[",
        "{\"a\":\"\\",
        "{,,,",
        "{\"a\":1 2 3}",
        "nonsense",
    ] {
        assert!(fields(text).count() <= 3, "{text}");
    }
}

#[test]
fn a_writer_sets_its_own_commas() {
    let mut writer = Writer::new();
    writer.object(|w| {
        w.key("a").array(|w| {
            w.number(0);
            w.number(u64::MAX);
            w.object(|_| {});
        });
        w.key("b\"").bool(true);
        w.key("c").object(|w| w.key("d").null());
        w.key("e").raw("[1]");
    });
    assert_eq!(writer.finish(), r#"{"a":[0,18446744073709551615,{}],"b\"":true,"c":{"d":null},"e":[1]}"#);
}

#[test]
fn what_is_written_reads_the_same_again() {
    let pieces = ["{", "}", "[", "]", ",", ":", "\"a\"", "\"\\n\"", "1", "null", " "];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        if let Ok(value) = Value::parse(&text) {
            assert_eq!(Value::parse(&value.to_json()), Ok(value.clone()), "{text}");
        }
        assert!(fields(&text).count() <= 8, "{text}");
    }
}
