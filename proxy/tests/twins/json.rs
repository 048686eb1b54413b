//! The host and the plugin kit read JSON alike: what one takes the other takes, and both read the same text in it.

use proptest::prelude::*;
use tollgate::call::json::{self, DEPTH_MAX};
use tollgate_plugin::json::Value;

#[test]
fn the_host_judges_the_shared_texts_as_the_kit_does() {
    let corpus = include_str!("../../../plugins/fixtures/json/texts.json");
    let corpus: serde_json::Value = serde_json::from_str(corpus).unwrap();
    let texts = |name: &str| -> Vec<String> { serde_json::from_value(corpus[name].clone()).unwrap() };
    assert_eq!(DEPTH_MAX, tollgate_plugin::json::DEPTH_MAX);
    for text in texts("accepted") {
        assert!(json::check(&text, DEPTH_MAX).is_ok(), "{text}");
    }
    for text in texts("refused") {
        assert!(json::check(&text, DEPTH_MAX).is_err(), "{text}");
    }
}

/// Pieces that JSON is made of, and pieces that break it.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "1", "-", "0", ".5", "e3", "true", "null", " ", "\n",
            "\\u00e9", "\\ud83d", "\\ude00", "\\u12", "\\n", "\\", "é", "😀", "\t", "{\"a\":1}", "[[", "]]",
        ])
        .prop_map(String::from),
        1 => any::<char>().prop_map(String::from),
    ]
}

/// A document that is JSON, escaped and spaced in every way.
fn document() -> impl Strategy<Value = String> {
    let string = prop::collection::vec(
        prop_oneof![
            any::<char>().prop_map(|character| serde_json::to_string(&character).unwrap().trim_matches('"').to_owned()),
            any::<u16>().prop_map(|unit| format!("\\u{unit:04x}")),
            Just("\\ud83d\\uDE00".to_owned()),
        ],
        0..6,
    )
    .prop_map(|characters| format!("\"{}\"", characters.concat()));
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        string.clone(),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let member = (string.clone(), inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_taken_by_both_or_by_neither(pieces in prop::collection::vec(piece(), 0..20)) {
        judged_alike(&pieces.concat())?;
    }

    #[test]
    fn any_document_is_taken_by_both_or_by_neither(text in document()) {
        judged_alike(&text)?;
    }
}

fn judged_alike(text: &str) -> Result<(), TestCaseError> {
    let host = json::check(text, DEPTH_MAX);
    let kit = Value::parse(text);
    prop_assert_eq!(host.is_ok(), kit.is_ok(), "{:?}: {:?} and {:?}", text, host, kit.as_ref().err());
    if let Ok(value) = kit {
        // What the kit writes, the host takes; and both have read the same.
        let written = value.to_json();
        prop_assert!(json::check(&written, DEPTH_MAX).is_ok(), "{:?} from {:?}", written, text);
        let meant: serde_json::Value = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(text).ok(), Some(meant), "{:?}", text);
    }
    Ok(())
}
