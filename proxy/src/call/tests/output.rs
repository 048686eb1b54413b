//! How long an answer may be.

use super::*;

#[test]
fn one_name_for_the_longest_answer_is_left_and_null_is_none() {
    let cases = [
        // What the client wrote, what is sent without a default, and with one of 100.
        ("", "", r#""max_tokens":100"#),
        (r#""max_tokens":null"#, r#""max_tokens":null"#, r#""max_tokens":100"#),
        (r#""max_completion_tokens":null"#, r#""max_completion_tokens":null"#, r#""max_tokens":100"#),
        (r#""max_tokens":null,"max_completion_tokens":null"#, "=", r#""max_tokens":100"#),
        (r#""max_tokens":7"#, r#""max_tokens":7"#, r#""max_tokens":7"#),
        (r#""max_completion_tokens":7"#, r#""max_completion_tokens":7"#, r#""max_completion_tokens":7"#),
        (r#""max_tokens":7,"max_completion_tokens":null"#, r#""max_tokens":7"#, r#""max_tokens":7"#),
        (
            r#""max_tokens":null,"max_completion_tokens":7"#,
            r#""max_completion_tokens":7"#,
            r#""max_completion_tokens":7"#,
        ),
        (r#""max_tokens":7,"max_completion_tokens":9"#, r#""max_tokens":9"#, r#""max_tokens":9"#),
        (r#""max_\u0074okens":9,"max_completion_tokens":7"#, r#""max_\u0074okens":9"#, r#""max_\u0074okens":9"#),
    ];
    for (given, without, bounded) in cases {
        let body = |fields: &str| match fields {
            "" => format!(r#"{{"model":"m",{MESSAGES}}}"#),
            fields => with(fields),
        };
        for (default, expected) in [(None, if without == "=" { given } else { without }), (Some(100), bounded)] {
            let mut call = chat(&body(given));
            call.bound_output(default).unwrap();
            assert_eq!(std::str::from_utf8(call.body()).unwrap(), body(expected), "{given} {default:?}");
            assert_eq!(call.output_bound().tokens, call.output_tokens_max, "{given} {default:?}");
        }
    }
}

#[test]
fn a_template_stays_with_a_call_that_is_rewritten() {
    let mut call = chat(&with(r#""template":{"name":"t"},"max_tokens":7,"max_completion_tokens":9"#));
    call.bound_output(None).unwrap();
    assert_eq!(call.template.map(|template| template.name).as_deref(), Some("t"));
}

#[test]
fn what_a_request_lets_a_provider_answer_is_read_in_any_dialect() {
    let cases = [
        (r#"{"max_tokens":7}"#, Some(7), 7),
        (r#"{"max_tokens":7,"max_output_tokens":9,"n":3}"#, Some(9), 27),
        (r#"{"generationConfig":{"maxOutputTokens":5,"candidateCount":2}}"#, Some(5), 10),
        (r#"{"inferenceConfig":{"maxTokens":5}}"#, Some(5), 5),
        (r#"{"options":{"num_predict":-1}}"#, Some(u64::MAX), u64::MAX),
        (r#"{"max_tokens":6.5e1}"#, Some(65), 65),
        (r#"{"max_tokens":1e400}"#, Some(u64::MAX), u64::MAX),
        (r#"{"max_tokens":100,"thinking_budget":50,"n":2}"#, Some(100), 300),
        (r#"{"max_tokens":100,"thinking":{"type":"enabled","budget_tokens":50}}"#, Some(100), 100),
        (r#"{"messages":[{"max_tokens":9}],"tools":[{"max_tokens":9}],"max_tokens":null}"#, None, 0),
        (r#"{"metadata":{"max_tokens":"9","n":9,"num_predict":9}}"#, None, 0),
        (r#"{"options":{"num_predict":"10"},"best_of":" 3 "}"#, Some(10), 30),
        (r#"{"options":{"NUM_PREDICT":10}}"#, Some(10), 10),
        ("{}", None, 0),
        ("no JSON", None, 0),
    ];
    for (body, tokens, total) in cases {
        let bound = OutputBound::of(body.as_bytes());
        assert_eq!((bound.tokens, bound.total(bound.tokens.unwrap_or(0))), (tokens, total), "{body}");
    }
    let call = chat(&with(r#""max_\u0074okens":7,"options":{"num_predict":8},"\u006e":2"#));
    assert_eq!((call.output_bound().tokens, call.output_bound().total(8)), (Some(8), 16));
}

#[test]
fn edits_that_may_lift_the_bound_are_known() {
    let edited = |field: &str, value: Option<&str>| {
        Call::output_bound_is_edited(&[edit("model", Some("\"m\"")), edit(field, value)])
    };
    for field in ["max_tokens", "max_completion_tokens", "n", "thinking_budget", "num_predict", "candidateCount"] {
        assert!(edited(field, Some("1")) && edited(field, None), "{field}");
    }
    assert!(edited("generationConfig", Some(r#"{"maxOutputTokens":9}"#)));
    assert!(!edited("temperature", Some("1")) && !edited("stop", None));
}
