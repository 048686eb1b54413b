//! Caps, windows and holds, case by case; `model` checks them against a naive limiter, `race` against threads.

mod model;
mod race;

use super::*;

/// 2024-02-28 23:59:00 UTC, a minute before a leap day.
const LEAP_EVE_MS: u64 = 1_709_164_740_000;
const MINUTE_MS: u64 = 60_000;
const NOW_MS: u64 = LEAP_EVE_MS;

fn caps(set: impl FnOnce(&mut Caps)) -> Caps {
    let mut caps = Caps::default();
    set(&mut caps);
    caps
}

fn refusal(result: Result<Hold, LimitError>) -> LimitError {
    result.expect_err("the cap must refuse")
}

#[test]
fn days_and_months_follow_the_civil_calendar() {
    let cases = [
        ("1970-01-01 00:00:00.000", 0, 0, 0),
        ("1970-01-31 23:59:59.999", 2_678_399_999, 30, 0),
        ("1970-02-01 00:00:00.000", 2_678_400_000, 31, 1),
        ("2000-02-29 12:00:00.000", 951_825_600_000, 11_016, 361),
        ("2000-03-01 00:00:00.000", 951_868_800_000, 11_017, 362),
        ("2024-02-28 23:59:00.000", LEAP_EVE_MS, 19_781, 649),
        ("2024-12-31 23:59:59.999", 1_735_689_599_999, 20_088, 659),
        ("2100-03-01 00:00:00.000", 4_107_542_400_000, 47_541, 1_562),
    ];
    for (date, now_ms, day, month) in cases {
        assert_eq!((day_of(now_ms), month_of(day_of(now_ms))), (day, month), "{date}");
    }
}

#[test]
fn a_month_ends_where_the_next_one_begins() {
    for day in 0..200_000 {
        let month = month_of(day);
        let end_ms = calendar::month_end_ms(month);
        assert_eq!(month_of(day_of(end_ms - 1)), month, "day {day}");
        assert_eq!(month_of(day_of(end_ms)), month + 1, "day {day}");
    }
}

#[test]
fn each_cap_admits_up_to_its_limit_and_no_further() {
    let cases = [
        (Limit::TokensPerDay, caps(|caps| caps.tokens_per_day = Some(30))),
        (Limit::TokensPerMonth, caps(|caps| caps.tokens_per_month = Some(30))),
        (Limit::TokensTotal, caps(|caps| caps.tokens_total = Some(30))),
        (Limit::RequestsPerMinute, caps(|caps| caps.requests_per_minute = Some(3))),
        (Limit::Concurrent, caps(|caps| caps.concurrent = Some(3))),
    ];
    for (limit, caps) in cases {
        let limiter = Limiter::new();
        let holds: Vec<_> = (0..3).map(|_| limiter.reserve("key", &caps, 10, NOW_MS).expect("fits")).collect();
        let exceeded = refusal(limiter.reserve("key", &caps, 10, NOW_MS));
        assert_eq!((exceeded.limit, exceeded.remaining), (limit, 0));
        limiter.reserve("another key", &caps, 10, NOW_MS).expect("another account has its own caps").settle(0);
        drop(holds);
    }
}

#[test]
fn a_cap_of_zero_refuses_for_good() {
    let cases = [
        caps(|caps| caps.tokens_per_day = Some(0)),
        caps(|caps| caps.tokens_per_month = Some(0)),
        caps(|caps| caps.tokens_total = Some(0)),
        caps(|caps| caps.requests_per_minute = Some(0)),
        caps(|caps| caps.concurrent = Some(0)),
    ];
    for caps in cases {
        assert_eq!(refusal(Limiter::new().reserve("key", &caps, 1, NOW_MS)).retry_after_ms, None, "{caps:?}");
    }
}

#[test]
fn a_refused_call_touches_nothing() {
    let limiter = Limiter::new();
    let caps = Caps {
        tokens_per_day: Some(100),
        tokens_per_month: Some(50),
        tokens_total: Some(100),
        requests_per_minute: Some(5),
        concurrent: Some(5),
    };
    refusal(limiter.reserve("key", &caps, 51, NOW_MS));
    assert_eq!(limiter.spent("key", NOW_MS), Spent::default());
}

#[test]
fn a_hold_ends_as_it_should() {
    type End = fn(Hold);
    let cases: [(&str, u64, End); 6] = [
        ("dropped before anything was sent", 0, |hold| drop(hold)),
        ("dropped after something was sent", 100, |mut hold| hold.sent()),
        ("settled with less", 7, |mut hold| {
            hold.sent();
            hold.settle(7);
        }),
        ("settled without being sent", 7, |hold| hold.settle(7)),
        ("settled with nothing", 0, |mut hold| {
            hold.sent();
            hold.settle(0);
        }),
        ("settled with more", 130, |hold| hold.settle(130)),
    ];
    for (how, charged, end) in cases {
        let limiter = Limiter::new();
        let hold = limiter.reserve("key", &Caps::default(), 100, NOW_MS).expect("no cap");
        assert_eq!(limiter.spent("key", NOW_MS).held, 100);
        end(hold);
        let expected =
            Spent { day: charged, month: charged, total: charged, held: 0, requests_last_minute: 1, concurrent: 0 };
        assert_eq!(limiter.spent("key", NOW_MS), expected, "{how}");
    }
}

#[test]
fn the_difference_is_free_at_once() {
    let limiter = Limiter::new();
    let caps = caps(|caps| caps.tokens_per_day = Some(100));
    let hold = limiter.reserve("key", &caps, 100, NOW_MS).expect("fits");
    refusal(limiter.reserve("key", &caps, 1, NOW_MS));
    hold.settle(40);
    limiter.reserve("key", &caps, 60, NOW_MS).expect("60 are free again").settle(60);
    assert_eq!(refusal(limiter.reserve("key", &caps, 1, NOW_MS)).remaining, 0);
}

#[test]
fn a_call_over_midnight_is_charged_to_the_day_it_began_in() {
    let limiter = Limiter::new();
    let hold = limiter.reserve("key", &Caps::default(), 100, NOW_MS).expect("no cap");
    let tomorrow_ms = NOW_MS + MINUTE_MS;
    assert_eq!(limiter.spent("key", tomorrow_ms).day, 0);
    hold.settle(30);
    let spent = limiter.spent("key", tomorrow_ms);
    assert_eq!((spent.day, spent.month, spent.total, spent.held), (0, 30, 30, 0));
}

#[test]
fn a_call_over_the_end_of_a_month_counts_in_the_total_alone() {
    let limiter = Limiter::new();
    let last_ms = NOW_MS + DAY_MS;
    let hold = limiter.reserve("key", &Caps::default(), 100, last_ms).expect("no cap");
    let march_ms = last_ms + MINUTE_MS;
    let _other = limiter.reserve("key", &Caps::default(), 5, march_ms).expect("no cap");
    hold.settle(30);
    let spent = limiter.spent("key", march_ms);
    assert_eq!((spent.day, spent.month, spent.total, spent.held), (0, 0, 30, 5));
}

#[test]
fn the_time_to_retry_is_the_time_until_there_is_room() {
    let to_midnight = Some(MINUTE_MS);
    let to_march = Some(MINUTE_MS + DAY_MS);
    let cases = [
        ("day", caps(|caps| caps.tokens_per_day = Some(100)), 100, 1, to_midnight),
        ("month", caps(|caps| caps.tokens_per_month = Some(100)), 100, 1, to_march),
        ("total", caps(|caps| caps.tokens_total = Some(100)), 100, 1, None),
        ("more than a day's cap", caps(|caps| caps.tokens_per_day = Some(100)), 0, 101, None),
        ("minute", caps(|caps| caps.requests_per_minute = Some(1)), 0, 0, Some(61_000)),
        (
            "the longest of several",
            caps(|caps| (caps.tokens_per_day, caps.tokens_per_month) = (Some(100), Some(100))),
            100,
            1,
            to_march,
        ),
    ];
    for (name, caps, settled, wanted, retry_after_ms) in cases {
        let limiter = Limiter::new();
        limiter.reserve("key", &caps, settled, NOW_MS).expect("fits").settle(settled);
        let exceeded = refusal(limiter.reserve("key", &caps, wanted, NOW_MS));
        assert_eq!(exceeded.retry_after_ms, retry_after_ms, "{name}");
        if let Some(wait_ms) = retry_after_ms {
            refusal(limiter.reserve("key", &caps, wanted, NOW_MS + wait_ms - 1));
            limiter.reserve("key", &caps, wanted, NOW_MS + wait_ms).expect("there is room now").settle(0);
        }
    }
}

#[test]
fn a_call_kept_out_by_calls_in_flight_is_told_to_come_back_soon() {
    let cases = [
        caps(|caps| caps.tokens_per_day = Some(100)),
        caps(|caps| caps.tokens_total = Some(100)),
        caps(|caps| caps.concurrent = Some(1)),
    ];
    for caps in cases {
        let limiter = Limiter::new();
        let _hold = limiter.reserve("key", &caps, 100, NOW_MS).expect("fits");
        assert_eq!(refusal(limiter.reserve("key", &caps, 100, NOW_MS)).retry_after_ms, Some(1_000), "{caps:?}");
    }
}

#[test]
fn no_sixty_seconds_hold_more_requests_than_the_cap() {
    let caps = caps(|caps| caps.requests_per_minute = Some(7));
    let limiter = Limiter::new();
    let admitted: Vec<u64> = (0..400_000)
        .step_by(137)
        .filter(|at| limiter.reserve("key", &caps, 0, NOW_MS + at).map(|hold| hold.settle(0)).is_ok())
        .collect();
    assert!(admitted.len() > 40, "{} in 400 seconds", admitted.len());
    for window in admitted.windows(8) {
        assert!(window[7] - window[0] >= MINUTE_MS, "{window:?}");
    }
}

#[test]
fn an_earlier_time_counts_as_the_latest_one() {
    let caps = caps(|caps| (caps.tokens_per_day, caps.requests_per_minute) = (Some(10), Some(2)));
    let limiter = Limiter::new();
    limiter.reserve("key", &caps, 10, NOW_MS).expect("fits").settle(10);
    for back_ms in [1, MINUTE_MS, DAY_MS, 40 * DAY_MS] {
        assert_eq!(refusal(limiter.reserve("key", &caps, 1, NOW_MS - back_ms)).limit, Limit::TokensPerDay);
    }
}

#[test]
fn what_was_used_before_a_restart_counts() {
    let day = day_of(NOW_MS);
    let past = Past {
        day,
        day_tokens: 10,
        month: month_of(day),
        month_tokens: 20,
        total_tokens: 30,
        requests_ms: vec![NOW_MS - 3_000, NOW_MS - 70_000, NOW_MS - 59_000],
    };
    let limiter = Limiter::new();
    limiter.restore("key", &past);
    let expected = Spent { day: 10, month: 20, total: 30, held: 0, requests_last_minute: 2, concurrent: 0 };
    assert_eq!(limiter.spent("key", NOW_MS), expected);
    let tomorrow = limiter.spent("key", NOW_MS + MINUTE_MS);
    assert_eq!((tomorrow.day, tomorrow.month, tomorrow.total, tomorrow.requests_last_minute), (0, 20, 30, 0));
}

#[test]
fn a_past_of_other_days_and_months_leaves_only_the_total() {
    let day = day_of(NOW_MS);
    let past = Past {
        day: day - 40,
        day_tokens: 1,
        month: month_of(day) - 1,
        month_tokens: 2,
        total_tokens: 3,
        ..Past::default()
    };
    let limiter = Limiter::new();
    limiter.restore("key", &past);
    let spent = limiter.spent("key", NOW_MS);
    assert_eq!((spent.day, spent.month, spent.total), (0, 0, 3));
}

#[test]
fn a_forgotten_account_starts_anew_and_its_calls_settle_into_nothing() {
    let limiter = Limiter::new();
    let hold = limiter.reserve("key", &Caps::default(), 10, NOW_MS).expect("no cap");
    limiter.forget("key");
    hold.settle(10);
    assert_eq!(limiter.spent("key", NOW_MS), Spent::default());
}

#[test]
fn an_account_nobody_used_is_not_made_by_looking() {
    let limiter = Limiter::new();
    assert_eq!(limiter.spent("key", NOW_MS), Spent::default());
    assert!(limiter.accounts.read().is_empty());
}

#[test]
fn the_room_left_is_that_of_the_tightest_cap() {
    let caps = Caps {
        tokens_per_day: Some(100),
        tokens_per_month: Some(150),
        requests_per_minute: Some(5),
        ..Caps::default()
    };
    let limiter = Limiter::new();
    limiter.restore(
        "key",
        &Past { month: month_of(day_of(NOW_MS)), day: day_of(NOW_MS), month_tokens: 120, ..Past::default() },
    );
    let hold = limiter.reserve("key", &caps, 10, NOW_MS).expect("fits");
    let room = hold.account().room(&caps, NOW_MS + 500);
    let tokens = Headroom { limit: 150, remaining: 20, reset_ms: Some(MINUTE_MS + DAY_MS - 500) };
    assert_eq!(room.tokens, Some(tokens));
    assert_eq!(room.requests, Some(Headroom { limit: 5, remaining: 4, reset_ms: Some(60_500) }));
    assert_eq!(hold.account().room(&Caps::default(), NOW_MS), Room::default());
}

#[test]
fn counts_at_the_end_of_their_range_neither_wrap_nor_panic() {
    let limiter = Limiter::new();
    let holds: Vec<_> =
        (0..3).map(|_| limiter.reserve("key", &Caps::default(), u64::MAX, NOW_MS).expect("no cap")).collect();
    assert_eq!(limiter.spent("key", NOW_MS).held, u64::MAX);
    let caps = caps(|caps| caps.tokens_total = Some(u64::MAX));
    assert_eq!(refusal(limiter.reserve("key", &caps, 1, NOW_MS)).remaining, 0);
    holds.into_iter().for_each(|hold| hold.settle(u64::MAX));
    assert_eq!(limiter.spent("key", u64::MAX).total, u64::MAX);
    refusal(limiter.reserve("key", &caps, u64::MAX, u64::MAX));
}
