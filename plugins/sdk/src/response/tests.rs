use super::*;

const NOW_MS: u64 = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT

#[track_caller]
fn waits(headers: &[(&str, &str)], expected: Option<u64>) {
    let headers: Vec<Header> =
        headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect();
    let response = Response { status: 429, headers: &headers, body: "" };
    assert_eq!(response.retry_after_ms(NOW_MS), expected, "{headers:?}");
}

#[test]
fn retry_after_is_read_in_its_three_forms() {
    waits(&[("Retry-After", "2")], Some(2000));
    waits(&[("retry-after", " 0.25 ")], Some(250));
    waits(&[("retry-after", "9"), ("RETRY-AFTER-MS", "120")], Some(120));
    waits(&[("retry-after-ms", "0.2")], Some(1));
    waits(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], Some(10_000));
    waits(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(0));
}

#[test]
fn retry_after_of_another_form_says_nothing() {
    for text in [
        "",
        "soon",
        "-1",
        "1e30",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94",
    ] {
        waits(&[("retry-after", text)], None);
    }
    waits(&[("retry-after-ms", "soon"), ("retry-after", "1")], Some(1000));
    waits(&[], None);
}

#[test]
fn dates_are_read_across_leap_years() {
    for (text, seconds) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
        ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
        ("Fri, 20 Nov 2026 12:00:00 GMT", 1_795_176_000),
    ] {
        assert_eq!(date::unix_seconds(text), Some(seconds), "{text}");
    }
}

#[test]
fn should_retry_is_read_if_it_is_said() {
    let said = |value: &str| {
        let headers = [Header { name: "X-Should-Retry".into(), value: value.into() }];
        Response { status: 500, headers: &headers, body: "" }.should_retry()
    };
    assert_eq!((said("true"), said("false"), said("maybe")), (Some(true), Some(false), None));
}

#[track_caller]
fn says(body: &str, message: Option<&str>) {
    assert_eq!(error::parse(body).message.as_deref(), message, "{body}");
}

#[test]
fn a_message_is_found_in_every_shape() {
    says(r#"{"error":{"message":"a"}}"#, Some("a"));
    says(r#"{"error":"a"}"#, Some("a"));
    says(r#"{"message":"a"}"#, Some("a"));
    says(r#"{"message":{"detail":"a"}}"#, Some("a"));
    says(r#"{"detail":"a"}"#, Some("a"));
    says(r#"{"detail":[{"loc":["x"],"msg":"a"}]}"#, Some("a"));
    says(r#"{"msg":"a"}"#, Some("a"));
    says(r#"{"error_code":1,"error_msg":"a"}"#, Some("a"));
    says(r#"{"errors":[{"message":"a"}]}"#, Some("a"));
    says(r#"[{"error":{"message":"a"}}]"#, Some("a"));
    says(r#""a""#, Some("a"));
    says(" a \n", Some("a"));
}

#[test]
fn what_is_no_sentence_says_nothing() {
    for body in ["", "<html>a</html>", "{\"broken", "{}", "[]", "1", "null", r#"{"error":{}}"#] {
        says(body, None);
    }
    says(&"a".repeat(501), None);
}

#[test]
fn the_other_fields_are_read_too() {
    let error = error::parse(r#"{"error":{"message":"m","type":"t","code":17,"param":"p"}}"#);
    assert_eq!(
        error,
        ErrorBody {
            message: Some("m".into()),
            kind: Some("t".into()),
            code: Some("17".into()),
            param: Some("p".into())
        }
    );
}
