mod goaway;

use std::time::Duration;

use tokio::time::Instant;

use super::*;

fn rules() -> Retries {
    let rule = |retries_max, backoff, wait_ms| Rule { retries_max, backoff, wait: Duration::from_millis(wait_ms) };
    Retries {
        network: rule(3, Backoff::Exponential, 100),
        rate_limit: rule(5, Backoff::Linear, 1000),
        server: rule(2, Backoff::Fixed, 500),
        attempts_max: 20,
        wait_max: Duration::from_secs(10),
    }
}

fn waits(class: Class, retry_after: Option<u64>) -> Vec<u64> {
    let mut budget = Budget::default();
    let mut waits = Vec::new();
    while let Decision::Again(wait) = budget.decide(&rules(), class, retry_after.map(Duration::from_millis), false, 1) {
        waits.push(wait.as_millis() as u64);
    }
    waits
}

#[test]
fn each_class_is_retried_as_often_and_as_fast_as_its_rule_says() {
    assert_eq!(waits(Class::Network, None), [100, 200, 400]);
    assert_eq!(waits(Class::RateLimit, None), [1000, 2000, 3000, 4000, 5000]);
    assert_eq!(waits(Class::Server, None), [500, 500]);
    assert_eq!(waits(Class::Credential, None), [0; 0]);
}

#[test]
fn the_longer_of_what_the_provider_and_the_operator_ask_is_waited_unless_it_is_too_long() {
    assert_eq!(waits(Class::RateLimit, Some(3500)), [3500, 3500, 3500, 4000, 5000]);
    assert_eq!(waits(Class::RateLimit, Some(0)), waits(Class::RateLimit, None));
    assert_eq!(waits(Class::RateLimit, Some(60_000)), [0; 0]);
}

#[test]
fn a_refused_key_gives_way_to_each_other_key_once() {
    let mut budget = Budget::default();
    let again = Decision::Again(Duration::ZERO);
    assert_eq!(budget.decide(&rules(), Class::Credential, None, true, 3), again);
    assert_eq!(budget.decide(&rules(), Class::Credential, None, true, 3), again);
    assert_eq!(budget.decide(&rules(), Class::Credential, None, true, 3), Decision::Next);
}

#[test]
fn a_rate_limited_key_gives_way_to_the_others_without_a_wait() {
    let mut budget = Budget::default();
    let wait = Some(Duration::from_secs(7));
    assert_eq!(budget.decide(&rules(), Class::RateLimit, wait, true, 2), Decision::Again(Duration::ZERO));
    assert_eq!(budget.decide(&rules(), Class::RateLimit, wait, false, 2), Decision::Again(Duration::from_secs(7)));
}

#[test]
fn no_retries_means_none() {
    let none = Rule { retries_max: 0, backoff: Backoff::Fixed, wait: Duration::ZERO };
    let rules = Retries { network: none, rate_limit: none, server: none, attempts_max: 20, wait_max: Duration::MAX };
    assert_eq!(Budget::default().decide(&rules, Class::Network, None, false, 1), Decision::Next);
}

#[test]
fn attempts_at_one_target_are_bounded_over_all_classes() {
    let rules = Retries { attempts_max: 3, ..rules() };
    let mut budget = Budget::default();
    let decide = |class, budget: &mut Budget| budget.decide(&rules, class, None, false, 1);
    assert_ne!(decide(Class::Network, &mut budget), Decision::Next);
    assert_ne!(decide(Class::Server, &mut budget), Decision::Next);
    assert_eq!(decide(Class::RateLimit, &mut budget), Decision::Next);
}

#[test]
fn keys_take_turns_and_a_resting_one_is_passed_over() {
    let pool = KeyPool::new(["a", "b", "c"].map(|key| Secret::new(key.to_owned())).into());
    let (began, ms) = (Instant::now(), Duration::from_millis);
    let turn = |now_ms| pool.pick(began + ms(now_ms)).map(|picked| picked.index);
    assert_eq!([turn(0), turn(0), turn(0), turn(0)], [Some(0), Some(1), Some(2), Some(0)]);
    pool.rest(1, began, ms(1000));
    assert!((0..6).all(|_| turn(500) != Some(1)));
    assert!((0..6).any(|_| turn(1000) == Some(1)));
    (0..3).for_each(|index| pool.rest(index, began, ms(5000 + index as u64)));
    assert!(!pool.has_rested(began + ms(4000)));
    assert_eq!(turn(4000), Some(0), "the one that is back soonest");
}
