use super::*;

const RULE: RestRule = RestRule { faults_max: 3, callers_min: 3, rest_ms: 1000, rest_ms_max: 5000 };
const CALLER: u64 = 7;

fn health() -> Health {
    Health::new(RULE)
}

fn admit(health: &Health, now_ms: u64) -> Result<(), u64> {
    health.admit(&[Kind::Encode, Kind::Decode], CALLER, now_ms)
}

fn faults(health: &Health, faults: u32, now_ms: u64) {
    for _ in 0..faults {
        health.ended(Kind::Decode, CALLER, now_ms, true);
    }
}

#[test]
fn a_plugin_that_keeps_failing_rests() {
    let health = health();
    faults(&health, 2, 0);
    assert_eq!(admit(&health, 0), Ok(()));
    faults(&health, 1, 0);
    assert_eq!(admit(&health, 400), Err(600));
}

#[test]
fn a_success_of_the_same_kind_between_faults_forgives_them() {
    let health = health();
    for _ in 0..10 {
        faults(&health, 2, 0);
        health.ended(Kind::Decode, CALLER, 0, false);
    }
    assert_eq!(admit(&health, 0), Ok(()));
    for _ in 0..3 {
        health.ended(Kind::Encode, CALLER, 0, false);
        faults(&health, 1, 0);
    }
    assert!(admit(&health, 0).is_err());
}

#[test]
fn calls_that_need_other_work_are_let_in() {
    let health = health();
    faults(&health, 3, 0);
    assert_eq!(health.admit(&[Kind::Encode, Kind::Stream], CALLER, 0), Ok(()));
}

#[test]
fn each_rest_is_twice_as_long_up_to_a_bound() {
    let health = health();
    let mut now_ms = 0;
    let mut rests = Vec::new();
    faults(&health, 3, now_ms);
    for _ in 0..5 {
        let rest = admit(&health, now_ms).unwrap_err();
        rests.push(rest);
        now_ms += rest;
        assert_eq!(admit(&health, now_ms), Ok(()));
        faults(&health, 1, now_ms);
    }
    assert_eq!(rests, [1000, 2000, 4000, 5000, 5000]);
}

#[test]
fn one_call_at_a_time_tries_a_rested_plugin() {
    let health = health();
    faults(&health, 3, 0);
    assert_eq!(admit(&health, 1000), Ok(()));
    assert_eq!(admit(&health, 1001), Err(999));
    // The one that tried never came back.
    assert_eq!(admit(&health, 2000), Ok(()));
    health.ended(Kind::Decode, CALLER, 2010, false);
    assert_eq!(admit(&health, 2011), Ok(()));
}

#[test]
fn calls_that_end_in_a_rest_do_not_lengthen_it() {
    let health = health();
    faults(&health, 16, 0);
    assert_eq!(admit(&health, 0), Err(1000));
    assert_eq!(admit(&health, 1000), Ok(()));
}

#[test]
fn a_plugin_that_fails_one_caller_rests_for_that_caller_alone() {
    let health = health();
    faults(&health, 1000, 0);
    assert_eq!(admit(&health, 0), Err(1000));
    assert_eq!(health.admit(&[Kind::Encode, Kind::Decode], 8, 0), Ok(()));
    // A second caller proves no more than that there are two.
    for _ in 0..1000 {
        health.ended(Kind::Decode, 8, 0, true);
    }
    assert!(health.admit(&[Kind::Decode], 8, 0).is_err());
    assert_eq!(health.admit(&[Kind::Decode], 9, 0), Ok(()));
}

#[test]
fn a_plugin_that_fails_several_callers_rests_for_all() {
    let health = health();
    let rests = [1, 2, 3].map(|caller| health.ended(Kind::Decode, caller, 0, true));
    assert_eq!(rests, [None, None, Some(Rest::OfAll(1000))]);
    assert_eq!(health.admit(&[Kind::Decode], 4, 0), Err(1000));
    health.ended(Kind::Decode, 1, 10, false);
    assert_eq!(health.admit(&[Kind::Decode], 4, 10), Ok(()));
}

#[test]
fn a_callers_faults_are_forgiven_by_its_own_success_alone() {
    let health = health();
    for _ in 0..3 {
        health.ended(Kind::Decode, 1, 0, true);
        // Others are served all the while.
        health.ended(Kind::Decode, 2, 0, false);
    }
    assert_eq!(health.admit(&[Kind::Decode], 1, 0), Err(1000));
    assert_eq!(health.admit(&[Kind::Decode], 2, 0), Ok(()));
    assert_eq!(health.admit(&[Kind::Decode], 1, 1000), Ok(()));
    health.ended(Kind::Decode, 1, 1000, false);
    health.ended(Kind::Decode, 1, 1000, true);
    assert_eq!(health.admit(&[Kind::Decode], 1, 1000), Ok(()));
}

#[test]
fn callers_that_failed_before_the_last_success_do_not_make_the_plugin_rest_for_all() {
    let health = health();
    for caller in [1, 2, 3] {
        health.ended(Kind::Decode, caller, 0, true);
    }
    health.ended(Kind::Decode, 4, 0, false);
    let rests = [(); 3].map(|()| health.ended(Kind::Decode, 1, 10_000, true));
    assert_eq!(rests, [None, Some(Rest::OfCaller(1000)), None]);
    assert_eq!(health.admit(&[Kind::Decode], 4, 10_000), Ok(()));
}

#[test]
fn the_callers_that_are_told_apart_are_bounded() {
    let health = health();
    for caller in 0..10_000 {
        health.ended(Kind::Decode, caller, 0, true);
    }
    assert_eq!(health.records[Kind::Decode as usize].trouble.lock().callers.len(), CALLERS_MAX);
}
