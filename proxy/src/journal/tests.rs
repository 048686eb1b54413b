//! The parts of the journal. What they do together is tested where rows have a meaning: in the ledger.

mod torn;

use super::{
    frame::Refusals,
    horizon::Horizon,
    slots::{self, Slots},
    *,
};
use crate::{
    call::Tokens,
    limit::HOUR_MS,
    store::{KeyChange, KeyEntry, Store},
};

/// Rules for rows that nobody adds up.
const RULES: RowRules = RowRules { add_up: |_| {}, cut_short: |cut| cut.into_record("cut", 0) };

fn row(id: &str, tokens: u64) -> Record {
    Record {
        request_id: id.to_owned(),
        started_ms: testing::NOW_MS,
        key_id: "key_a".to_owned(),
        model: "gpt-4o".to_owned(),
        status: 200,
        tokens: Tokens { input: tokens, ..Tokens::default() },
        ..Record::default()
    }
}

fn opened(id: &str) -> Opened {
    Opened { request_id: id.to_owned(), key_id: "key_a".to_owned(), ..Opened::default() }
}

#[test]
fn a_table_of_open_calls_tells_each_call_by_its_last_whole_part() {
    let dir = tempfile::tempdir().unwrap();
    let create: segments::Create = Arc::new(mapped::create);
    let mut slots = Slots::begin(dir.path(), 1, &create, 200).unwrap();
    let attempt = |provider: &str| Attempt { provider: provider.to_owned(), attempts: 1, ..Attempt::default() };
    let mut taken = Vec::new();
    for number in 0..200 {
        taken.push(slots.open(&slots::encode_call(&opened(&format!("req_{number}"))).unwrap()).unwrap());
    }
    assert!(slots.open(&slots::encode_call(&opened("req_more")).unwrap()).is_err());
    for provider in ["one", "two", "three"] {
        slots.sent(taken[1], &slots::encode_attempt(&attempt(provider)).unwrap());
    }
    taken[3..].iter().for_each(|&slot| slots.empty(slot));
    drop(slots);

    let left = slots::left(dir.path()).unwrap().remove(&1).unwrap();
    let told: Vec<_> = left
        .calls
        .iter()
        .map(|call| {
            let provider = call.attempt.as_ref().map(|attempt| attempt.provider.as_str());
            (call.opened.request_id.as_str(), provider)
        })
        .collect();
    assert_eq!(told, [("req_0", None), ("req_1", Some("three")), ("req_2", None)]);
    assert_eq!(left.damaged, 0);

    // Any byte of the first slot may be damaged: it is noticed, and costs no other call.
    let path = slots::path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    for at in (0..16).chain(24..30) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&path, bytes).unwrap();
        let left = slots::left(dir.path()).unwrap().remove(&1).unwrap();
        assert!(left.calls.len() + left.damaged as usize >= 3 || (4..8).contains(&at), "byte {at}");
        assert!(left.calls.len() >= 2, "byte {at}");
    }
}

#[test]
fn a_key_is_revoked_before_the_disk_answers_and_other_keys_as_well() {
    let house = testing::House::new();
    let (journal, mut hand, _) = house.by_hand(house.store(), Settings::default(), RULES).unwrap();
    let key = |name: &str| KeyEntry {
        id: format!("key_{name}"),
        name: name.to_owned(),
        hash: [7; 32],
        prefix: String::new(),
        models: Vec::new(),
        caps: Default::default(),
        created_ms: 0,
        expires_ms: None,
        revoked_ms: None,
        user: String::new(),
        origin: crate::store::Origin::Admin,
    };
    for name in ["one", "other"] {
        journal.create_key(key(name), |_| {}).unwrap();
    }
    let (told, hears) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        // A disk that does not answer keeps whoever writes a change waiting.
        let hung = journal.shared.changing.lock();
        let (journal, told) = (&journal, &told);
        scope.spawn(|| journal.create_key(key("new"), |_| {}).unwrap());
        for name in ["one", "other"] {
            scope.spawn(move || journal.revoke_keys(name, 7, |key| told.send(key.name.clone()).unwrap()).unwrap());
        }
        let mut revoked = [(); 2].map(|()| hears.recv().unwrap());
        revoked.sort();
        assert_eq!(revoked, ["one", "other"]);
        hand.round().unwrap();
        assert_eq!(journal.keys().len(), 2, "a key is made when it is on the disk");
        drop(hung);
    });
    assert_eq!(journal.keys().len(), 3);
}

#[test]
fn a_clock_is_trusted_once_it_has_gone_evenly_for_an_hour() {
    let mut horizon = Horizon::default();
    let now_ms = testing::NOW_MS;
    assert_eq!(horizon.trusted(now_ms, 0), None);
    assert_eq!(horizon.trusted(now_ms + HOUR_MS - 1, HOUR_MS - 1), None);
    assert_eq!(
        horizon.trusted(now_ms + HOUR_MS + 500, HOUR_MS),
        Some(now_ms + HOUR_MS + 500),
        "half a second is no step"
    );
    assert_eq!(horizon.trusted(now_ms + 9 * HOUR_MS, HOUR_MS + 1), None, "a step is");
    assert_eq!(horizon.trusted(now_ms + 10 * HOUR_MS, 2 * HOUR_MS), None, "nor an hour less a millisecond");
    assert_eq!(horizon.trusted(now_ms + 10 * HOUR_MS + 1, 2 * HOUR_MS + 1), Some(now_ms + 10 * HOUR_MS + 1));
}

#[test]
fn a_disk_that_took_no_segment_is_asked_again_by_the_threads_time_and_not_at_each_row() {
    let house = testing::House::new();
    let settings = Settings { segment_bytes: 64 << 10, calls_max: 1, ..Settings::default() };
    let (journal, mut hand, _) = house.by_hand(house.store(), settings, RULES).unwrap();
    let tail = || journal.shared.tail.lock();
    house.disk.fill(true);
    while !tail().segments.is_short() {
        journal.record(row("req_1", 1)).unwrap();
    }
    assert!(tail().segments.wants_one_now());
    hand.round().unwrap_err();
    journal.record(row("req_2", 1)).unwrap();
    assert!(tail().segments.is_short() && tail().segments.refuses().is_none(), "rows still fit");
    assert!(!tail().segments.wants_one_now());
    house.disk.fill(false);
    hand.round().unwrap();
    assert!(!tail().segments.is_short());
}
