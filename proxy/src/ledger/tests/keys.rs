//! Changes of keys, on disks that take them and on disks that do not.

use super::*;
use crate::{
    journal::KeyError,
    limit::Caps,
    store::{KeyChange, KeyEntry, Origin},
};

#[test]
fn a_key_is_revoked_at_once_on_a_full_disk_and_written_when_there_is_room() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    let journal = ledger.journal().clone();
    for name in ["app", "other"] {
        journal.create_key(key(name), |_| {}).unwrap();
    }
    house.disk.fill(true);
    // As much as the journal takes, and more: keys with many models fill what rows may not.
    let large = |number: usize| KeyEntry { models: vec!["m".repeat(200); 200], ..key(&format!("large_{number}")) };
    let mut made = 0;
    let refused = loop {
        match journal.create_key(large(made), |_| {}) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, KeyError::Unwritten(_)), "{refused}");
    assert!(journal.keys().iter().all(|key| key.name != format!("large_{made}")), "and is not there by half");
    let mut durable = Vec::new();
    for name in ["app", "other", "large_0"] {
        let revoked = journal.revoke_keys(name, NOW_MS, |_| {}).unwrap();
        durable.push(revoked.is_durable);
        assert!(journal.keys().iter().all(|key| key.name != name || key.revoked_ms.is_some()), "{name}");
    }
    assert_eq!(durable.last(), Some(&false), "40 KB find no room");
    house.disk.fill(false);
    hand.round().unwrap();
    hand.round().unwrap();
    let stored = store.keys().unwrap();
    assert_eq!(stored.len(), made + 2);
    let revoked = stored.iter().filter(|key| key.revoked_ms == Some(NOW_MS)).count();
    assert_eq!(revoked, 3);
}

#[test]
fn racing_creations_of_one_name_make_one_key_and_a_name_revokes_all_of_it() {
    let house = House::new();
    let store = house.store();
    let (ledger, _) = open(&house, store.clone());
    let journal = ledger.journal();
    let twice = |id: &str| KeyEntry { id: id.to_owned(), ..key("app") };
    let made: usize = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..40)
            .map(|racer| {
                let entry = twice(&format!("key_{racer}"));
                scope.spawn(move || usize::from(journal.create_key(entry, |_| {}).is_ok()))
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!((made, journal.keys().len()), (1, 1));
    // Two of one name can come from a store of an earlier build.
    journal.change_keys(&[KeyChange::Put(twice("key_x")), KeyChange::Put(twice("key_y"))]).unwrap();
    assert_eq!(journal.revoke_keys("key_x", NOW_MS, |_| {}).unwrap().keys.len(), 1);
    assert_eq!(journal.revoke_keys("app", NOW_MS + 1, |_| {}).unwrap().keys.len(), 2);
    assert_eq!(journal.revoke_keys("app", NOW_MS + 2, |_| {}).unwrap().keys.len(), 3, "all were revoked before");
    assert!(matches!(journal.revoke_keys("nobody", NOW_MS, |_| {}), Err(KeyError::NotFound(_))));
    assert!(ledger.catch_up(PATIENCE));
    let revoked_ms: Vec<_> = store.keys().unwrap().iter().filter_map(|key| key.revoked_ms).collect();
    assert_eq!(revoked_ms.len(), 3);
    assert!(revoked_ms.iter().all(|&ms| ms < NOW_MS + 2), "{revoked_ms:?}");
}

#[test]
fn as_many_changes_as_there_may_be_keys_are_written_in_portions() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), Settings { keys_max: 6_001, ..small() });
    let journal = ledger.journal().clone();
    let puts: Vec<_> = (0..6_000).map(|number| KeyChange::Put(key(&format!("app_{number}")))).collect();
    journal.change_keys(&puts).unwrap();
    hand.round().unwrap();
    house.disk.fill(true);
    let revoked = (0..6_000).filter(|number| {
        let revoked = journal.revoke_keys(&format!("app_{number}"), NOW_MS, |_| {}).unwrap();
        !revoked.is_durable
    });
    assert!(revoked.count() > 1_000, "most of them wait for the disk");
    house.disk.fill(false);
    hand.round().unwrap();
    hand.round().unwrap();
    assert!(store.keys().unwrap().iter().all(|key| key.revoked_ms == Some(NOW_MS)));

    journal.create_key(key("last"), |_| {}).unwrap();
    assert!(matches!(journal.create_key(key("more"), |_| {}), Err(KeyError::Full(6_001))));
    assert!(matches!(journal.change_keys(&[KeyChange::Put(key("more"))]), Err(KeyError::Full(6_001))));
    journal.change_keys(&[KeyChange::Put(key("last"))]).unwrap();
    hand.round().unwrap();
    assert_eq!(store.keys().unwrap().len(), 6_001);
}

pub(super) fn key(name: &str) -> KeyEntry {
    KeyEntry {
        id: format!("key_{name}"),
        name: name.to_owned(),
        hash: [7; 32],
        prefix: "sk-tg-ab12".to_owned(),
        models: vec!["*".to_owned()],
        caps: Caps::default(),
        created_ms: NOW_MS,
        expires_ms: None,
        revoked_ms: None,
        user: String::new(),
        origin: Origin::Admin,
    }
}
