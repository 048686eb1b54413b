//! Names that some providers read as another.

use super::{
    super::name::{CHOICES_NAMES, MIXED_NAMES, TOKENS_NAMES},
    *,
};

#[test]
fn a_name_in_another_case_is_refused() {
    for (name, value) in [
        ("MODEL", r#""expensive""#),
        ("Model", r#""expensive""#),
        ("Messages", "[]"),
        ("MAX_TOKENS", "1000000"),
        ("max_to\u{212a}ens", "1000000"),
        ("max_token\u{17f}", "1000000"),
        ("Max_Completion_Tokens", "1000000"),
        ("maxoutputtokens", "1000000"),
        ("MaxTokens", "1000000"),
        ("N", "100"),
        ("Best_Of", "100"),
        ("STREAM", "true"),
        ("Tools", "[]"),
        ("Service_Tier", r#""priority""#),
        (r"\u004dODEL", r#""expensive""#),
    ] {
        let body = with(&format!(r#""{name}":{value}"#));
        let (code, param) = refusal(Operation::Chat, &body);
        assert_eq!((code, param), ("unsupported_parameter", Some(name.replace(r"\u004d", "M"))), "{body}");
    }
    let body = r#"{"model":"m","input":"x","INPUT":"y"}"#;
    assert_eq!(refusal(Operation::Embeddings, body).0, "unsupported_parameter");
    for name in ["maxTokens", "candidateCount", "extra_Body", "modelName", "élan", "n_probs", "top_K"] {
        chat(&with(&format!(r#""{name}":1"#)));
    }
}

#[test]
fn the_names_with_capital_letters_are_known_to_be() {
    let all = TOKENS_NAMES.into_iter().chain(CHOICES_NAMES);
    let mixed: Vec<_> = all.filter(|name| name.bytes().any(|byte| byte.is_ascii_uppercase())).collect();
    assert_eq!(mixed, MIXED_NAMES);
}

#[test]
fn a_bound_in_quotes_is_refused() {
    for name in ["best_of", "num_generations", "max_output_tokens", "thinking_budget", "candidateCount"] {
        for value in [r#""10""#, "[10]", r#"{"x":1}"#, "true"] {
            let body = with(&format!(r#""{name}":{value}"#));
            assert_eq!(refusal(Operation::Chat, &body), ("invalid_type", Some(name.to_owned())), "{body}");
        }
        chat(&with(&format!(r#""{name}":null"#)));
        chat(&with(&format!(r#""{name}":10"#)));
    }
}

#[test]
fn a_head_has_its_names_without_escapes() {
    let call = chat(&with(r#""servic\u0065_tier":"prior\u0069ty","a\"\u000ab":1"#));
    assert_eq!(call.head(), r#"{"model":"m","service_tier":"prior\u0069ty","a\"\nb":1}"#);
    let dropped = call.edited(&[Edit { field: "service_tier".to_owned(), value: None }]);
    assert!(!String::from_utf8_lossy(&dropped).contains("priority"));
}
