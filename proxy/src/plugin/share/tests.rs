use super::*;

const MS: u64 = 1_000_000;

fn admit(share: &CpuShare, now_ms: u64, wanted: bool) -> Option<u64> {
    share.admit(Kind::Decode, now_ms * MS, wanted, false).map(|admitted| admitted.wait.as_nanos() as u64 / MS)
}

fn charge(share: &CpuShare, now_ms: u64, cost_ms: u64) {
    share.charge(Kind::Decode, now_ms * MS, Duration::from_millis(cost_ms));
}

#[test]
fn a_plugin_works_at_once_until_its_burst_is_used() {
    let share = CpuShare::new(50);
    assert_eq!(admit(&share, 0, true), Some(0));
    charge(&share, 0, 50);
    assert_eq!(admit(&share, 0, true), Some(0));
}

#[test]
fn over_a_long_time_a_plugin_gets_its_share() {
    let share = CpuShare::new(50);
    let (mut now_ms, mut used_ms) = (0, 0);
    while now_ms < 10_000 {
        let admitted = share.admit(Kind::Decode, now_ms * MS, true, false).unwrap();
        now_ms += admitted.wait.as_nanos() as u64 / MS + 10;
        share.charge(Kind::Decode, now_ms * MS, Duration::from_millis(10));
        share.give_back(admitted.advance_ns);
        used_ms += 10;
    }
    assert!((4_900..=5_200).contains(&used_ms), "{used_ms} ms of processor time in 10 s");
}

#[test]
fn waiting_works_are_let_in_one_after_the_other() {
    let share = CpuShare::new(50);
    charge(&share, 0, 50);
    let waits: Vec<_> = (0..4).map(|_| admit(&share, 0, true).unwrap()).collect();
    assert_eq!(waits, [0, 100, 200, 300]);
}

#[test]
fn a_turn_that_is_too_far_is_refused() {
    let share = CpuShare::new(50);
    charge(&share, 0, 50);
    let let_in = (0..1000).take_while(|_| admit(&share, 0, true).is_some()).count();
    assert_eq!(let_in, 51);
    assert_eq!(admit(&share, 1000, false), Some(0));
}

#[test]
fn work_in_the_middle_of_a_call_waits_so_long_at_most_and_is_never_refused() {
    let share = CpuShare::new(50);
    charge(&share, 0, 50);
    for _ in 0..1000 {
        let admitted = share.admit(Kind::Decode, 0, true, true).unwrap();
        assert!(admitted.wait <= WAIT_MAX, "{:?}", admitted.wait);
    }
    assert_eq!(share.admit(Kind::Decode, 0, true, true).unwrap().wait, WAIT_MAX);
    assert_eq!(admit(&share, 0, true), None);
}

#[test]
fn a_plugin_that_nobody_competes_with_never_waits_and_owes_nothing_later() {
    let share = CpuShare::new(50);
    for now_ms in (0..10_000).step_by(10) {
        assert_eq!(admit(&share, now_ms, false), Some(0));
        charge(&share, now_ms, 20);
    }
    assert!(admit(&share, 10_000, true).unwrap() <= 160);
}

#[test]
fn work_that_is_usually_short_never_waits() {
    let share = CpuShare::new(50);
    share.charge(Kind::Stream, 0, Duration::from_micros(20));
    for _ in 0..100 {
        charge(&share, 0, 50);
    }
    assert_eq!(share.admit(Kind::Stream, 0, true, false).unwrap().wait, Duration::ZERO);
    assert_eq!(admit(&share, 0, true), None);
}

#[test]
fn an_advance_is_given_back() {
    let share = CpuShare::new(50);
    charge(&share, 0, 50);
    let admitted = share.admit(Kind::Decode, 0, true, false).unwrap();
    share.give_back(admitted.advance_ns);
    assert_eq!(admit(&share, 0, true), Some(0));
}

#[test]
fn each_kind_of_work_has_its_own_average() {
    let share = CpuShare::new(50);
    assert_eq!(share.average(Kind::Encode), None);
    charge(&share, 0, 8);
    assert_eq!(share.average(Kind::Decode), Some(Duration::from_millis(8)));
    charge(&share, 0, 0);
    assert_eq!(share.average(Kind::Decode), Some(Duration::from_millis(7)));
    assert_eq!(share.average(Kind::Encode), None);
}

#[test]
fn only_another_plugin_that_asked_lately_competes() {
    let demand = Demand::default();
    assert!(!demand.note(1, 0));
    assert!(!demand.note(1, 50));
    assert!(demand.note(2, 60));
    assert!(demand.note(2, 61));
    assert!(demand.note(1, 62));
    assert!(demand.note(1, 100));
    assert!(!demand.note(1, 170));
    assert!(!demand.note(1, 171));
    assert!(demand.note(2, 200));
    assert!(!demand.note(2, 400));
}
