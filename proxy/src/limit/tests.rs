//! Caps, windows and holds, case by case; `set` holds several accounts, `clock` steps clocks, `model` checks them against a naive limiter, `race` against threads.

mod clock;
mod model;
mod race;
mod set;

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

/// Both clocks alike, as they run where nobody sets them.
fn at(now_ms: u64) -> Time {
    Time { unix_ms: now_ms, monotonic_ms: now_ms }
}

/// A hold of tokens on one account.
fn reserve(limiter: &Limiter, account: &str, caps: &Caps, tokens: u64, now_ms: u64) -> Result<Hold, LimitError> {
    let account = limiter.account(account);
    hold(&[Claim { account: &account, caps, amount: Amount::tokens(tokens) }], at(now_ms))
}

/// Ends a hold with the same tokens in every account.
fn settle(hold: Hold, tokens: u64) {
    hold.settle(|_| Amount::tokens(tokens));
}

/// Tokens settled in the day, in the month and ever, and tokens held.
fn tokens(spent: Spent) -> [u64; 4] {
    [spent.day, spent.month, spent.total, spent.held].map(|amount| amount.tokens)
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
        let holds: Vec<_> = (0..3).map(|_| reserve(&limiter, "key", &caps, 10, NOW_MS).expect("fits")).collect();
        let exceeded = refusal(reserve(&limiter, "key", &caps, 10, NOW_MS));
        assert_eq!((exceeded.limit, exceeded.remaining), (limit, 0));
        settle(reserve(&limiter, "another key", &caps, 10, NOW_MS).expect("another account has its own caps"), 0);
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
        assert_eq!(refusal(reserve(&Limiter::new(), "key", &caps, 1, NOW_MS)).retry_after_ms, None, "{caps:?}");
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
        money: None,
    };
    refusal(reserve(&limiter, "key", &caps, 51, NOW_MS));
    assert_eq!(limiter.spent("key", at(NOW_MS)), Spent::default());
}

#[test]
fn a_hold_ends_as_it_should() {
    type End = fn(Hold);
    let cases: [(&str, u64, End); 8] = [
        ("dropped before anything was sent", 0, |hold| drop(hold)),
        ("dropped after something was sent", 100, |mut hold| hold.sent()),
        ("dropped after what was sent came back", 30, |mut hold| {
            hold.sent();
            hold.came_back(|_| Amount::tokens(30));
        }),
        ("dropped after more was sent", 100, |mut hold| {
            hold.sent();
            hold.came_back(|_| Amount::tokens(30));
            hold.sent();
        }),
        ("settled with less", 7, |mut hold| {
            hold.sent();
            settle(hold, 7);
        }),
        ("settled without being sent", 7, |hold| settle(hold, 7)),
        ("settled with nothing", 0, |mut hold| {
            hold.sent();
            settle(hold, 0);
        }),
        ("settled with more", 130, |hold| settle(hold, 130)),
    ];
    for (how, charged, end) in cases {
        let limiter = Limiter::new();
        let hold = reserve(&limiter, "key", &Caps::default(), 100, NOW_MS).expect("no cap");
        assert_eq!(limiter.spent("key", at(NOW_MS)).held.tokens, 100);
        end(hold);
        let spent = limiter.spent("key", at(NOW_MS));
        assert_eq!(tokens(spent), [charged, charged, charged, 0], "{how}");
        assert_eq!((spent.requests_last_minute, spent.concurrent), (1, 0), "{how}");
    }
}

#[test]
fn a_settled_call_is_in_flight_until_its_place_is_given_back() {
    let limiter = Limiter::new();
    let caps = caps(|caps| caps.concurrent = Some(1));
    let place = reserve(&limiter, "key", &caps, 10, NOW_MS).expect("fits").settle(|_| Amount::tokens(4));
    let spent = limiter.spent("key", at(NOW_MS));
    assert_eq!((tokens(spent), spent.concurrent), ([4, 4, 4, 0], 1));
    assert_eq!(refusal(reserve(&limiter, "key", &caps, 1, NOW_MS)).limit, Limit::Concurrent);
    drop(place);
    settle(reserve(&limiter, "key", &caps, 1, NOW_MS).expect("the place is free"), 0);
}

#[test]
fn the_difference_is_free_at_once() {
    let limiter = Limiter::new();
    let caps = caps(|caps| caps.tokens_per_day = Some(100));
    let hold = reserve(&limiter, "key", &caps, 100, NOW_MS).expect("fits");
    refusal(reserve(&limiter, "key", &caps, 1, NOW_MS));
    settle(hold, 40);
    settle(reserve(&limiter, "key", &caps, 60, NOW_MS).expect("60 are free again"), 60);
    assert_eq!(refusal(reserve(&limiter, "key", &caps, 1, NOW_MS)).remaining, 0);
}

#[test]
fn a_call_over_midnight_is_charged_to_the_day_it_began_in() {
    let limiter = Limiter::new();
    let hold = reserve(&limiter, "key", &Caps::default(), 100, NOW_MS).expect("no cap");
    let tomorrow_ms = NOW_MS + MINUTE_MS;
    assert_eq!(limiter.spent("key", at(tomorrow_ms)).day.tokens, 0);
    settle(hold, 30);
    let spent = limiter.spent("key", at(tomorrow_ms));
    assert_eq!(tokens(spent), [0, 30, 30, 0]);
}

#[test]
fn a_call_over_the_end_of_a_month_counts_in_the_total_alone() {
    let limiter = Limiter::new();
    let last_ms = NOW_MS + DAY_MS;
    let hold = reserve(&limiter, "key", &Caps::default(), 100, last_ms).expect("no cap");
    let march_ms = last_ms + MINUTE_MS;
    let _other = reserve(&limiter, "key", &Caps::default(), 5, march_ms).expect("no cap");
    settle(hold, 30);
    let spent = limiter.spent("key", at(march_ms));
    assert_eq!(tokens(spent), [0, 0, 30, 5]);
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
        settle(reserve(&limiter, "key", &caps, settled, NOW_MS).expect("fits"), settled);
        let exceeded = refusal(reserve(&limiter, "key", &caps, wanted, NOW_MS));
        assert_eq!(exceeded.retry_after_ms, retry_after_ms, "{name}");
        if let Some(wait_ms) = retry_after_ms {
            refusal(reserve(&limiter, "key", &caps, wanted, NOW_MS + wait_ms - 1));
            settle(reserve(&limiter, "key", &caps, wanted, NOW_MS + wait_ms).expect("there is room now"), 0);
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
        let _hold = reserve(&limiter, "key", &caps, 100, NOW_MS).expect("fits");
        assert_eq!(refusal(reserve(&limiter, "key", &caps, 100, NOW_MS)).retry_after_ms, Some(1_000), "{caps:?}");
    }
}

#[test]
fn no_sixty_seconds_hold_more_requests_than_the_cap() {
    let caps = caps(|caps| caps.requests_per_minute = Some(7));
    let limiter = Limiter::new();
    let admitted: Vec<u64> = (0..400_000)
        .step_by(137)
        .filter(|at| reserve(&limiter, "key", &caps, 0, NOW_MS + at).map(|hold| settle(hold, 0)).is_ok())
        .collect();
    assert!(admitted.len() > 40, "{} in 400 seconds", admitted.len());
    for window in admitted.windows(8) {
        assert!(window[7] - window[0] >= MINUTE_MS, "{window:?}");
    }
}

pub(super) fn period(number: u32, tokens: u64) -> PastPeriod {
    PastPeriod { number, used: Amount::tokens(tokens) }
}

#[test]
fn what_was_used_before_a_restart_counts() {
    let day = day_of(NOW_MS);
    let past = Past {
        days: vec![period(day, 10)],
        months: vec![period(month_of(day), 20)],
        total: Amount::tokens(30),
        requests_ms: vec![NOW_MS - 3_000, NOW_MS - 70_000, NOW_MS - 59_000],
    };
    let limiter = Limiter::new();
    limiter.restore("key", &past, at(NOW_MS));
    let spent = limiter.spent("key", at(NOW_MS));
    assert_eq!((tokens(spent), spent.requests_last_minute), ([10, 20, 30, 0], 2));
    let tomorrow = limiter.spent("key", at(NOW_MS + MINUTE_MS + 2_000));
    assert_eq!((tokens(tomorrow), tomorrow.requests_last_minute), ([0, 20, 30, 0], 0));
}

#[test]
fn a_past_of_other_days_and_months_leaves_only_the_total() {
    let day = day_of(NOW_MS);
    let past = Past {
        days: vec![period(day - 40, 1)],
        months: vec![period(month_of(day) - 1, 2)],
        total: Amount::tokens(3),
        ..Past::default()
    };
    let limiter = Limiter::new();
    limiter.restore("key", &past, at(NOW_MS));
    let spent = limiter.spent("key", at(NOW_MS));
    assert_eq!(tokens(spent), [0, 0, 3, 0]);
}

#[test]
fn an_account_nobody_used_is_not_made_by_looking() {
    let limiter = Limiter::new();
    assert_eq!(limiter.spent("key", at(NOW_MS)), Spent::default());
    assert!(limiter.accounts.read().is_empty());
}

#[test]
fn what_is_left_is_that_of_the_tightest_cap() {
    let caps = Caps {
        tokens_per_day: Some(100),
        tokens_per_month: Some(150),
        requests_per_minute: Some(5),
        ..Caps::default()
    };
    let limiter = Limiter::new();
    let past = Past { months: vec![period(month_of(day_of(NOW_MS)), 120)], ..Past::default() };
    limiter.restore("key", &past, at(NOW_MS));
    let _hold = reserve(&limiter, "key", &caps, 10, NOW_MS).expect("fits");
    let account = limiter.account("key");
    let left = account.rate_limits(&caps, at(NOW_MS + 500));
    let tokens = Headroom { limit: 150, remaining: 20, reset_ms: Some(MINUTE_MS + DAY_MS - 500) };
    assert_eq!(left.tokens, Some(tokens));
    assert_eq!(left.requests, Some(Headroom { limit: 5, remaining: 4, reset_ms: Some(60_500) }));
    assert_eq!(account.rate_limits(&Caps::default(), at(NOW_MS)), RateLimits::default());
}

#[test]
fn counts_at_the_end_of_their_range_neither_wrap_nor_panic() {
    let limiter = Limiter::new();
    let holds: Vec<_> =
        (0..3).map(|_| reserve(&limiter, "key", &Caps::default(), u64::MAX, NOW_MS).expect("no cap")).collect();
    assert_eq!(limiter.spent("key", at(NOW_MS)).held.tokens, u64::MAX);
    let caps = caps(|caps| caps.tokens_total = Some(u64::MAX));
    assert_eq!(refusal(reserve(&limiter, "key", &caps, 1, NOW_MS)).remaining, 0);
    holds.into_iter().for_each(|hold| settle(hold, u64::MAX));
    assert_eq!(limiter.spent("key", at(u64::MAX)).total.tokens, u64::MAX);
    refusal(reserve(&limiter, "key", &caps, u64::MAX, u64::MAX));
}
