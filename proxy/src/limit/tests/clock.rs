//! A wall clock that steps, beside one that does not.

use super::*;

const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The wall clock reads `unix_ms` after `passed_ms` in fact.
fn reads(unix_ms: u64, passed_ms: u64) -> Time {
    Time { unix_ms, monotonic_ms: passed_ms }
}

fn reserve_at(limiter: &Limiter, caps: &Caps, tokens: u64, time: Time) -> Result<Hold, LimitError> {
    let account = limiter.account("key");
    hold(&[Claim { account: &account, caps, amount: Amount::tokens(tokens) }], time)
}

#[test]
fn a_step_of_two_hours_and_back_keeps_no_key_out_beyond_its_minute() {
    let caps = caps(|caps| caps.requests_per_minute = Some(1));
    let limiter = Limiter::new();
    settle(reserve_at(&limiter, &caps, 0, reads(NOW_MS, 0)).expect("the first"), 0);
    // Forward: the minute has not passed.
    refusal(reserve_at(&limiter, &caps, 0, reads(NOW_MS + 2 * HOUR_MS, 1_000)));
    settle(reserve_at(&limiter, &caps, 0, reads(NOW_MS + 2 * HOUR_MS, 61_000)).expect("a minute later"), 0);
    // Back: it is over when it is over.
    refusal(reserve_at(&limiter, &caps, 0, reads(NOW_MS, 62_000)));
    let _ = reserve_at(&limiter, &caps, 0, reads(NOW_MS, 122_000)).expect("a minute later");
}

#[test]
fn a_day_that_the_clock_comes_back_to_has_the_sums_that_it_had() {
    let caps = caps(|caps| (caps.tokens_per_day, caps.tokens_per_month) = (Some(10), Some(15)));
    // Over the end of the day, of the month, and to the other end of time.
    for step_ms in [2 * HOUR_MS, 2 * DAY_MS, 50 * 365 * DAY_MS] {
        let limiter = Limiter::new();
        settle(reserve_at(&limiter, &caps, 10, reads(NOW_MS, 0)).expect("fits"), 10);
        let _ = reserve_at(&limiter, &caps, 1, reads(NOW_MS + step_ms, 1_000));
        assert_eq!(refusal(reserve_at(&limiter, &caps, 1, reads(NOW_MS, 2_000))).limit, Limit::TokensPerDay);
        let midnight = reads(NOW_MS + MINUTE_MS, MINUTE_MS);
        settle(reserve_at(&limiter, &caps, 5, midnight).expect("no day lasts longer than to its midnight"), 5);
        assert_eq!(refusal(reserve_at(&limiter, &caps, 1, midnight)).limit, Limit::TokensPerMonth);
    }
}

#[test]
fn a_clock_that_jumps_to_and_fro_over_a_week_opens_no_day_again() {
    let caps = caps(|caps| caps.tokens_per_day = Some(10));
    // Days, and months.
    for step_ms in [DAY_MS, 40 * DAY_MS] {
        let limiter = Limiter::new();
        for round in 0..3 {
            for day in [0, 3, 1, 6, 2, 5, 4, 7] {
                let time = reads(NOW_MS + day * step_ms, (round * 7 + day) * MINUTE_MS);
                match reserve_at(&limiter, &caps, 10, time) {
                    Ok(hold) if round == 0 => settle(hold, 10),
                    Ok(_) => panic!("day {day} opened again in round {round}"),
                    Err(refused) => assert_eq!((round > 0, refused.limit), (true, Limit::TokensPerDay)),
                }
            }
        }
    }
}

#[test]
fn a_month_that_the_clock_comes_back_to_after_several_has_the_sums_that_it_had() {
    let caps = caps(|caps| caps.tokens_per_month = Some(10));
    let limiter = Limiter::new();
    settle(reserve_at(&limiter, &caps, 10, reads(NOW_MS, 0)).expect("fits"), 10);
    for month in 1..8 {
        settle(reserve_at(&limiter, &caps, 1, reads(NOW_MS + month * 31 * DAY_MS, month)).expect("fits"), 1);
    }
    assert_eq!(refusal(reserve_at(&limiter, &caps, 1, reads(NOW_MS, 8))).limit, Limit::TokensPerMonth);
}

#[test]
fn a_clock_that_reads_ever_new_days_makes_no_account_grow() {
    let caps = caps(|caps| caps.tokens_per_day = Some(10));
    let limiter = Limiter::new();
    for day in 0..1_000 {
        settle(reserve_at(&limiter, &caps, 10, reads(NOW_MS + day * DAY_MS, day)).expect("a new day"), 10);
    }
    let remembered = (0..1_000).filter(|day| {
        let spent = limiter.spent("key", reads(NOW_MS + (999 - day) * DAY_MS, 1_000));
        spent.day.tokens > 0
    });
    assert_eq!(remembered.count(), window::PERIODS_MAX);
}

#[test]
fn a_clock_that_steps_back_a_day_opens_no_day_again_and_locks_none() {
    let caps = caps(|caps| caps.tokens_per_day = Some(10));
    let limiter = Limiter::new();
    settle(reserve_at(&limiter, &caps, 4, reads(NOW_MS - DAY_MS, 0)).expect("yesterday"), 4);
    settle(reserve_at(&limiter, &caps, 10, reads(NOW_MS, DAY_MS)).expect("today"), 10);
    assert_eq!(refusal(reserve_at(&limiter, &caps, 7, reads(NOW_MS - DAY_MS, DAY_MS + 1))).remaining, 6);
    settle(reserve_at(&limiter, &caps, 6, reads(NOW_MS - DAY_MS, DAY_MS + 2)).expect("yesterday had 6 left"), 6);
    refusal(reserve_at(&limiter, &caps, 1, reads(NOW_MS, DAY_MS + 3)));
}

#[test]
fn a_clock_at_1970_at_boot_locks_no_key_and_forgets_no_day() {
    let caps = caps(|caps| (caps.tokens_per_day, caps.requests_per_minute) = (Some(10), Some(3)));
    let day = day_of(NOW_MS);
    let past = Past {
        days: vec![period(day, 10)],
        months: vec![period(month_of(day), 10)],
        total: Amount::tokens(10),
        requests_ms: vec![NOW_MS - 30_000, NOW_MS - 1_000, NOW_MS],
    };
    let limiter = Limiter::new();
    limiter.restore("key", &past, reads(5_000, 0));
    assert_eq!(refusal(reserve_at(&limiter, &caps, 1, reads(5_000, 0))).limit, Limit::RequestsPerMinute);
    settle(reserve_at(&limiter, &caps, 1, reads(36_000, 31_000)).expect("of 1970 nothing is spent"), 1);
    // The clock is set.
    assert_eq!(refusal(reserve_at(&limiter, &caps, 1, reads(NOW_MS, 100_000))).limit, Limit::TokensPerDay);
    let _ = reserve_at(&limiter, &caps, 1, reads(NOW_MS + MINUTE_MS, 160_000)).expect("a new day");
}

#[test]
fn rows_of_a_future_that_was_none_keep_a_key_out_for_a_minute_at_most() {
    let caps = caps(|caps| caps.requests_per_minute = Some(2));
    // The clock was two hours ahead while it called every second, and was set right while the process was down.
    let requests_ms: Vec<u64> = (0..7_200).map(|second| NOW_MS + second * 1_000).collect();
    let limiter = Limiter::new();
    limiter.restore("key", &Past { requests_ms, ..Past::default() }, reads(NOW_MS, 7_200_000));
    let refused = refusal(reserve_at(&limiter, &caps, 0, reads(NOW_MS, 7_200_000)));
    assert!(refused.retry_after_ms.is_some_and(|wait_ms| wait_ms <= 61_000), "{refused:?}");
    let _ = reserve_at(&limiter, &caps, 0, reads(NOW_MS + 61_000, 7_261_000)).expect("a minute later");
}

#[test]
fn a_hold_of_a_month_that_the_clock_left_backwards_says_to_send_the_call_again() {
    let caps = caps(|caps| caps.tokens_per_month = Some(27));
    let limiter = Limiter::new();
    let key = limiter.account("key");
    let claim = |tokens| [Claim { account: &key, caps: &caps, amount: Amount::tokens(tokens) }];
    settle(hold(&claim(13), reads(NOW_MS, 0)).expect("fits"), 1);
    let mut held = hold(&claim(0), reads(NOW_MS, 0)).expect("fits");
    let forty_days_before = reads(NOW_MS - 40 * DAY_MS, 1);
    let refused = held.extend(&claim(27), forty_days_before).expect_err("its month has 26 left");
    assert_eq!((refused.remaining, refused.retry_after_ms), (26, Some(1_000)));
    let _ = hold(&claim(27), forty_days_before).expect("a new call is held on the month that the clock reads");
}
