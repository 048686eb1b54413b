use std::time::{Duration, Instant};

use super::*;
use crate::limit::Limiter;

fn key(number: u32, models: &[&str]) -> Key {
    // As a keyed hash, which is spread evenly.
    let mut hash = [0; 32];
    for (place, chunk) in hash.chunks_exact_mut(8).enumerate() {
        let mixed = (u64::from(number) + 1 + place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
    }
    hash[..4].copy_from_slice(&number.to_le_bytes());
    Key {
        id: format!("key_{number}"),
        hash,
        name: number.to_string(),
        user: String::new(),
        models: models.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
        expires_ms: None,
        revoked: false,
        account: Account { caps: Caps::default(), spending: Limiter::new().account("k") },
    }
}

#[test]
fn a_key_may_use_the_models_it_names() {
    let key = key(0, &["gpt-*", "claude"]);
    for (model, may) in
        [("gpt-4o", true), ("gpt-", true), ("gpt", false), ("claude", true), ("claude-3", false), ("", false)]
    {
        assert_eq!(key.may_use(model), may, "{model}");
    }
}

#[test]
fn a_star_alone_matches_every_model_and_an_empty_list_none() {
    assert!(key(0, &["*"]).may_use("anything/at:all"));
    assert!(!key(0, &[]).may_use("anything/at:all"));
}

#[test]
fn a_pattern_shows_as_it_was_written() {
    for text in ["*", "gpt-*", "gpt-4o"] {
        assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
    for text in ["g*t", "**", "*x"] {
        assert_eq!(Pattern::parse(text), Err(PatternError::InnerStar), "{text}");
    }
}

#[test]
fn many_keys_are_told_apart() {
    let directory: Directory = (0..1000).map(|number| key(number, &[])).collect();
    assert_eq!((directory.len(), directory.is_empty()), (1000, false));
    for number in 0..1000 {
        let found = directory.get(&key(number, &[]).hash).map(|key| key.name.clone());
        assert_eq!(found, Some(number.to_string()));
    }
    assert!(directory.get(&[7; 32]).is_none());
}

#[test]
fn a_changed_key_is_seen_at_once_and_calls_keep_the_one_they_found() {
    let directory: Directory = [key(1, &["*"]), key(2, &["*"])].into_iter().collect();
    let hash = key(1, &[]).hash;
    let found = directory.get(&hash).unwrap();
    directory.put(Key { revoked: true, ..key(1, &["*"]) });
    assert!(directory.get(&hash).unwrap().revoked && !found.revoked);
    assert!(!directory.get(&key(2, &[]).hash).unwrap().revoked);
    assert_eq!(directory.len(), 2);
}

#[test]
fn of_two_keys_with_one_text_a_revoked_one_counts_whichever_comes_first() {
    let revoked = || Key { id: "key_config_a".to_owned(), revoked: true, ..key(1, &["*"]) };
    let active = || Key { id: "key_config_b".to_owned(), ..key(1, &["*"]) };
    for keys in [[revoked(), active()], [active(), revoked()]] {
        let directory: Directory = keys.into_iter().collect();
        assert!(directory.get(&key(1, &[]).hash).unwrap().revoked);
        assert_eq!(directory.len(), 1);
    }
}

#[test]
fn a_change_to_one_of_very_many_keys_takes_less_than_a_millisecond() {
    let directory: Directory = (0..200_000).map(|number| key(number, &[])).collect();
    let mut took: Vec<Duration> = (0..1000)
        .map(|turn| {
            let changed = Key { revoked: true, ..key(turn * 199, &[]) };
            let began = Instant::now();
            directory.put(changed);
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    // The middle one: any single one may be interrupted by the machine.
    assert!(took[500] < Duration::from_millis(1), "{:?}", took[500]);
    assert_eq!(directory.len(), 200_000);
}
