//! Holds over several accounts, and over money.

use super::*;

const EUR: fn() -> Currency = || "EUR".parse().expect("a currency");

fn money(set: impl FnOnce(&mut MoneyCaps)) -> Caps {
    let mut money = MoneyCaps { currency: EUR(), per_day_nanos: None, per_month_nanos: None, total_nanos: None };
    set(&mut money);
    Caps { money: Some(money), ..Caps::default() }
}

fn of(tokens: u64, money_nanos: u64) -> Amount {
    Amount { tokens, money_nanos }
}

#[test]
fn a_refusal_in_one_account_touches_none_and_names_it() {
    let limiter = Limiter::new();
    let [key, user, group] = ["key", "user", "group"].map(|id| limiter.account(id));
    let (free, tight) = (Caps::default(), caps(|caps| caps.tokens_per_day = Some(9)));
    let claim = |account, caps| Claim { account, caps, amount: Amount::tokens(10) };
    for claims in [
        [claim(&key, &free), claim(&user, &tight), claim(&group, &free)],
        [claim(&group, &free), claim(&key, &free), claim(&user, &tight)],
    ] {
        let refused = refusal(hold(&claims, at(NOW_MS)));
        assert_eq!((&*refused.account, refused.limit, refused.wanted), ("user", Limit::TokensPerDay, 10));
        let message = "the limit `tokens_per_day` of `user` is 9: 9 are left, the call needs 10";
        assert_eq!(refused.to_string(), message);
    }
    for id in ["key", "user", "group"] {
        assert_eq!(limiter.spent(id, at(NOW_MS)), Spent::default(), "{id}");
    }
}

#[test]
fn of_several_accounts_in_the_way_the_one_that_is_for_longest_is_named() {
    let limiter = Limiter::new();
    let [one, other] = ["one", "other"].map(|id| limiter.account(id));
    let (day, month) = (caps(|caps| caps.tokens_per_day = Some(10)), caps(|caps| caps.tokens_per_month = Some(10)));
    let claims = [
        Claim { account: &one, caps: &day, amount: Amount::tokens(10) },
        Claim { account: &other, caps: &month, amount: Amount::tokens(10) },
    ];
    settle(hold(&claims, at(NOW_MS)).expect("fits"), 10);
    assert_eq!(&*refusal(hold(&claims, at(NOW_MS))).account, "other");
}

#[test]
fn an_account_named_twice_is_held_once_under_both_caps() {
    let limiter = Limiter::new();
    let key = limiter.account("key");
    let (wide, tight) = (caps(|caps| caps.concurrent = Some(1)), caps(|caps| caps.tokens_total = Some(20)));
    let claims = |first, second| {
        [
            Claim { account: &key, caps: &tight, amount: Amount::tokens(first) },
            Claim { account: &key, caps: &wide, amount: Amount::tokens(second) },
        ]
    };
    assert_eq!(refusal(hold(&claims(5, 21), at(NOW_MS))).limit, Limit::TokensTotal, "the larger amount counts");
    let held = hold(&claims(5, 20), at(NOW_MS)).expect("fits");
    let spent = limiter.spent("key", at(NOW_MS));
    assert_eq!((spent.held.tokens, spent.concurrent, spent.requests_last_minute), (20, 1, 1));
    settle(held, 3);
    assert_eq!(tokens(limiter.spent("key", at(NOW_MS))), [3, 3, 3, 0]);
}

#[test]
fn money_is_capped_by_day_month_and_in_all() {
    let cases = [
        (Limit::MoneyPerDay, money(|money| money.per_day_nanos = Some(30)), Some(MINUTE_MS)),
        (Limit::MoneyPerMonth, money(|money| money.per_month_nanos = Some(30)), Some(MINUTE_MS + DAY_MS)),
        (Limit::MoneyTotal, money(|money| money.total_nanos = Some(30)), None),
    ];
    for (limit, caps, retry_after_ms) in cases {
        let limiter = Limiter::new();
        let account = limiter.account("key");
        let claims = [Claim { account: &account, caps: &caps, amount: of(1_000, 10) }];
        for _ in 0..3 {
            hold(&claims, at(NOW_MS)).expect("fits").settle(|_| of(1_000, 10));
        }
        let refused = refusal(hold(&claims, at(NOW_MS)));
        assert_eq!((refused.limit, refused.remaining, refused.retry_after_ms), (limit, 0, retry_after_ms));
        assert_eq!(refused.currency, Some(EUR()));
        let message = format!(
            "the limit `{limit}` of `key` is 0.00000003 EUR: 0.00 EUR are left, the call may cost 0.00000001 EUR"
        );
        assert_eq!(refused.to_string(), message);
        assert_eq!(limiter.spent("key", at(NOW_MS)).total, of(3_000, 30));
    }
}

#[test]
fn each_account_is_settled_in_its_own_currency() {
    let limiter = Limiter::new();
    let [one, other] = ["one", "other"].map(|id| limiter.account(id));
    let none = Caps::default();
    let claims = [
        Claim { account: &one, caps: &none, amount: of(100, 50) },
        Claim { account: &other, caps: &none, amount: of(100, 400) },
    ];
    let held = hold(&claims, at(NOW_MS)).expect("no cap");
    held.settle(|account| of(40, if &**account.id() == "one" { 20 } else { 160 }));
    let total = |id: &str| limiter.spent(id, at(NOW_MS)).total;
    assert_eq!((total("one"), total("other")), (of(40, 20), of(40, 160)));
}

#[test]
fn a_hold_grows_by_all_it_is_asked_for_or_by_nothing() {
    let limiter = Limiter::new();
    let [key, model] = ["key", "model"].map(|id| limiter.account(id));
    let caps =
        caps(|caps| (caps.tokens_per_day, caps.requests_per_minute, caps.concurrent) = (Some(100), Some(1), Some(1)));
    let claim = |account, tokens| Claim { account, caps: &caps, amount: Amount::tokens(tokens) };
    let mut held = hold(&[claim(&key, 0)], at(NOW_MS)).expect("one request fits");
    refusal(hold(&[claim(&key, 0)], at(NOW_MS)));

    let refused = held.extend(&[claim(&key, 101), claim(&model, 10)], at(NOW_MS)).expect_err("101 of 100");
    assert_eq!((refused.limit, &*refused.account), (Limit::TokensPerDay, "key"));
    assert_eq!(limiter.spent("model", at(NOW_MS)), Spent::default());

    held.extend(&[claim(&key, 60), claim(&model, 10)], at(NOW_MS)).expect("its own request is not counted again");
    held.extend(&[claim(&key, 40)], at(NOW_MS)).expect("60 and 40 are 100");
    held.extend(&[claim(&key, 1)], at(NOW_MS)).expect_err("100 of 100 are held");
    let spent = |id: &str| limiter.spent(id, at(NOW_MS));
    assert_eq!((spent("key").held.tokens, spent("key").concurrent, spent("key").requests_last_minute), (100, 1, 1));
    assert_eq!((spent("model").held.tokens, spent("model").concurrent), (10, 1));
    held.sent();
    drop(held);
    assert_eq!(tokens(spent("key")), [100, 100, 100, 0]);
    assert_eq!((tokens(spent("model")), spent("model").concurrent), ([10, 10, 10, 0], 0));
}

#[test]
fn a_hold_that_grows_after_midnight_stays_with_the_day_it_began_in() {
    let limiter = Limiter::new();
    let key = limiter.account("key");
    let caps = caps(|caps| caps.tokens_per_day = Some(100));
    let claim = |tokens| [Claim { account: &key, caps: &caps, amount: Amount::tokens(tokens) }];
    settle(hold(&claim(50), at(NOW_MS)).expect("fits"), 50);
    let mut held = hold(&claim(0), at(NOW_MS)).expect("fits");
    held.extend(&claim(51), at(NOW_MS + MINUTE_MS)).expect_err("yesterday has 50 left");
    held.extend(&claim(50), at(NOW_MS + MINUTE_MS)).expect("yesterday has 50 left");
    settle(held, 50);
    assert_eq!(tokens(limiter.spent("key", at(NOW_MS + MINUTE_MS))), [0, 100, 100, 0]);
    assert_eq!(tokens(limiter.spent("key", at(NOW_MS))), [100, 100, 100, 0]);
}
