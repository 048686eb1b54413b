//! Many threads at one account.

use std::sync::Barrier;

use super::*;

const THREADS: usize = 16;
const CALLS: usize = 500;

/// How many of many parallel calls one account admits, when none of them ends before all were tried.
fn admitted(caps: &Caps, tokens: u64) -> usize {
    let limiter = Limiter::new();
    let start = Barrier::new(THREADS);
    let holds: Vec<Hold> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let calls = (0..CALLS).filter_map(|_| reserve(&limiter, "key", caps, tokens, NOW_MS).ok());
                    calls.collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert_eq!(limiter.spent("key", at(NOW_MS)).concurrent as usize, holds.len());
    holds.len()
}

#[test]
fn a_race_against_a_cap_with_room_for_ten_lets_exactly_ten_through() {
    let cases = [
        caps(|caps| caps.tokens_per_day = Some(1_005)),
        caps(|caps| caps.tokens_per_month = Some(1_005)),
        caps(|caps| caps.tokens_total = Some(1_005)),
        caps(|caps| caps.requests_per_minute = Some(10)),
        caps(|caps| caps.concurrent = Some(10)),
    ];
    for caps in cases {
        assert_eq!(admitted(&caps, 100), 10, "{caps:?}");
    }
}

#[test]
fn racing_calls_that_settle_leave_exact_sums() {
    let limiter = Limiter::new();
    let caps = caps(|caps| (caps.tokens_total, caps.concurrent) = (Some(1_000_000), Some(8)));
    let settled: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS as u64)
            .map(|thread| {
                let (limiter, caps) = (&limiter, &caps);
                scope.spawn(move || {
                    let mut settled = 0;
                    for call in 0..CALLS as u64 {
                        let Ok(mut hold) = reserve(limiter, "key", caps, 100, NOW_MS) else { continue };
                        hold.sent();
                        let used = (thread + call) % 101;
                        settle(hold, used);
                        settled += used;
                    }
                    settled
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    });
    let spent = limiter.spent("key", at(NOW_MS));
    assert_eq!((tokens(spent), spent.concurrent), ([settled, settled, settled, 0], 0));
}

#[test]
fn calls_over_shared_accounts_race_without_waiting_for_each_other_and_without_overshoot() {
    let limiter = Limiter::new();
    let group = caps(|caps| caps.tokens_total = Some(1_005));
    let [one, other, shared] = ["one", "other", "group"].map(|id| limiter.account(id));
    let holds: Vec<Hold> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (own, shared, group) = (if thread % 2 == 0 { &one } else { &other }, &shared, &group);
                scope.spawn(move || {
                    let none = Caps::default();
                    let amount = Amount::tokens(100);
                    let mut claims =
                        [Claim { account: own, caps: &none, amount }, Claim { account: shared, caps: group, amount }];
                    // Half of the threads name them the other way round.
                    if thread % 4 < 2 {
                        claims.reverse();
                    }
                    (0..CALLS).filter_map(|_| hold(&claims, at(NOW_MS)).ok()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert_eq!(holds.len(), 10);
    let held = |id: &str| limiter.spent(id, at(NOW_MS)).held.tokens;
    assert_eq!((held("group"), held("one") + held("other")), (1_000, 1_000), "what one refused, no other holds");
    drop(holds);
    assert_eq!((held("group"), held("one") + held("other")), (0, 0));
}
