use alloc::string::String;

use super::*;

fn read(fields: &[(&str, &str, &str)]) -> Option<Usage> {
    let mut reader = UsageReader::default();
    fields.iter().for_each(|(outer, name, json)| reader.field(outer, name, json));
    reader.finish()
}

#[test]
fn counts_are_read_under_all_their_names() {
    let usage = read(&[
        ("", "prompt_tokens", "120"),
        ("", "completion_tokens", "30"),
        ("", "total_tokens", "150"),
        ("prompt_tokens_details", "cached_tokens", "100"),
        ("prompt_tokens_details", "cache_write_tokens", "5"),
        ("completion_tokens_details", "reasoning_tokens", "20"),
    ]);
    assert_eq!(usage, Some(Usage { input: 120, output: 30, cached: 100, cache_write: 5, reasoning: 20 }));
    for name in ["prompt_cache_hit_tokens", "cached_tokens"] {
        let usage = read(&[("", "prompt_tokens", "9"), ("", name, "4")]);
        assert_eq!(usage, Some(Usage { input: 9, cached: 4, ..Usage::default() }));
    }
}

#[test]
fn a_count_is_a_whole_number_however_it_is_written() {
    for (json, expected) in [
        ("7", 7),
        ("7.0", 7),
        ("7.9", 7),
        ("1.25e2", 125),
        ("1E+3", 1000),
        ("125e-2", 1),
        ("0.5", 0),
        ("99999999999999999999", u64::MAX),
        ("1e400", u64::MAX),
        ("0e400", 0),
        ("null", 0),
        ("\"7\"", 0),
        ("[7]", 0),
        ("-0", 0),
    ] {
        let usage = read(&[("", "prompt_tokens", "1"), ("", "completion_tokens", json)]);
        assert_eq!(usage.map(|usage| usage.output), Some(expected), "{json}");
    }
}

#[test]
fn a_report_that_counts_nothing_is_none() {
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[("", "prompt_tokens", "0"), ("", "completion_tokens", "null")]), None);
    assert_eq!(
        read(&[("", "prompt_tokens", "12"), ("", "completion_tokens", "-0.0")]),
        Some(Usage { input: 12, ..Usage::default() })
    );
}

#[test]
fn a_count_below_zero_is_beyond_reason() {
    for (outer, name) in [
        ("", "prompt_tokens"),
        ("", "cached_tokens"),
        ("prompt_tokens_details", "cached_tokens"),
        ("prompt_tokens_details", "cache_write_tokens"),
    ] {
        assert_eq!(read(&[(outer, name, "-3")]).map(|usage| usage.input), Some(u64::MAX), "{name}");
    }
    for (outer, name) in [("", "completion_tokens"), ("completion_tokens_details", "reasoning_tokens")] {
        assert_eq!(read(&[(outer, name, "-1.5")]).map(|usage| usage.output), Some(u64::MAX), "{name}");
    }
}

#[test]
fn a_part_is_never_more_than_its_whole() {
    let usage = read(&[
        ("", "prompt_tokens", "1"),
        ("", "completion_tokens", "1"),
        ("prompt_tokens_details", "cached_tokens", "7"),
        ("completion_tokens_details", "reasoning_tokens", "9"),
    ]);
    assert_eq!(usage.map(|usage| (usage.input, usage.output)), Some((7, 9)));
}

#[track_caller]
fn means(status: u16, code: &str, kind: &str, message: &str, expected: FailureKind) {
    let some = |text: &str| (!text.is_empty()).then(|| String::from(text));
    let error = ErrorBody { code: some(code), kind: some(kind), message: some(message), param: None };
    assert_eq!(Meaning::of_openai(status, &error).kind, expected, "{status} {error:?}");
}

#[test]
fn an_errors_own_words_go_before_its_status() {
    means(400, "insufficient_quota", "invalid_request_error", "", FailureKind::Quota);
    means(500, "", "rate_limit_error", "", FailureKind::RateLimited);
    means(400, "", "", "This model's maximum context length is 5 tokens", FailureKind::ContextLength);
    means(404, "", "invalid_request_error", "", FailureKind::NotFound);
    means(429, "something new", "something new", "", FailureKind::RateLimited);
}

#[test]
fn a_status_of_the_way_to_the_provider_is_not_the_clients_fault() {
    for status in [405, 407, 409, 421, 424, 425, 426, 499] {
        let meaning = Meaning::of_openai(status, &ErrorBody::default());
        assert_eq!((meaning.kind, meaning.blame), (FailureKind::Upstream, Blame::Provider), "{status}");
    }
    means(405, "context_length_exceeded", "", "", FailureKind::ContextLength);
}

#[test]
fn inside_a_success_the_code_stands_for_the_status() {
    means(200, "429", "", "", FailureKind::RateLimited);
    means(200, "503", "invalid_request_error", "", FailureKind::Overloaded);
    means(200, "", "invalid_request_error", "", FailureKind::InvalidRequest);
    means(200, "1234", "", "", FailureKind::Upstream);
    means(200, "", "", "", FailureKind::Upstream);
}
