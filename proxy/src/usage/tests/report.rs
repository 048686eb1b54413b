//! Reports that nobody believes.

use super::*;

const SLACK: Slack = Slack { input_tokens: 1_000, output_tokens: 100 };

fn believed(reported: Tokens, output_tokens_max: u64) -> bool {
    let explained = ReportBounds { input_tokens_max: 50, answer_bytes: 40, output_tokens_max };
    is_believable(&reported, &explained, SLACK)
}

#[test]
fn what_the_call_explains_is_believed() {
    assert!(believed(tokens(50, 10, 0, 0, 0), 0));
    assert!(believed(tokens(1_050, 140, 1_050, 0, 0), 0), "up to the slack");
    assert!(believed(tokens(50, 4_000, 0, 0, 3_990), 4_000), "thoughts that nobody saw, within what was told");
    assert!(believed(tokens(50, 4_100, 0, 0, 0), 4_000));
    // Parts that some count beside their whole.
    assert!(believed(tokens(10, 5, 1_000, 30, 7), 0));
}

#[test]
fn what_nothing_explains_is_not_believed() {
    for reported in [
        tokens(1_051, 0, 0, 0, 0),
        tokens(0, 141, 0, 0, 0),
        tokens(10, 1 << 40, 0, 0, 0),
        tokens(u64::MAX, 1, 0, 0, 0),
        tokens(1, u64::MAX, 0, 0, 0),
        tokens(1, 1, u64::MAX, 0, 0),
        tokens(1, 1, 0, 1 << 40, 0),
        tokens(1, 1, 0, 0, u64::MAX),
    ] {
        assert!(!believed(reported, 0), "{reported:?}");
    }
    assert!(!believed(tokens(50, 4_101, 0, 0, 0), 4_000));
}

#[test]
fn the_default_slack_takes_the_longest_thoughts_and_no_powers_of_two() {
    let explained = ReportBounds { input_tokens_max: 50, answer_bytes: 40, output_tokens_max: 0 };
    assert!(is_believable(&tokens(200_000, 100_000, 0, 0, 99_990), &explained, Slack::default()));
    assert!(!is_believable(&tokens(50, 1 << 20, 0, 0, 0), &explained, Slack::default()));
}
