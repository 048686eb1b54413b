use super::*;
use crate::{
    limit::{Caps, Limiter},
    principal::Account,
};

/// Stands for the keyed hash: the text itself, cut or filled to 32 bytes.
fn hash(text: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    text.iter().zip(&mut hash).for_each(|(byte, place)| *place = *byte);
    hash
}

fn key(name: &str, expires_ms: Option<u64>, revoked: bool) -> Key {
    Key {
        id: format!("key_{name}"),
        hash: hash(format!("sk-tg-{name}").as_bytes()),
        name: name.into(),
        user: String::new(),
        models: Vec::new(),
        expires_ms,
        revoked,
        account: Account { caps: Caps::default(), spending: Limiter::new().account("k") },
    }
}

fn keys() -> Directory {
    [key("good", None, false), key("gone", None, true), key("old", Some(1000), false), key("both", Some(1000), true)]
        .into_iter()
        .collect()
}

fn check(authorization: Option<&str>, x_api_key: Option<&str>, now_ms: u64) -> Result<String, AuthError> {
    let bytes = |header: Option<&'static str>| header.map(str::as_bytes);
    let leak = |header: Option<&str>| header.map(|header| &*header.to_owned().leak());
    authenticate(&keys(), hash, bytes(leak(authorization)), bytes(leak(x_api_key)), now_ms).map(|key| key.name.clone())
}

#[test]
fn a_good_key_is_known_in_either_header() {
    for (authorization, x_api_key) in [
        (Some("Bearer sk-tg-good"), None),
        (Some("bearer   sk-tg-good "), None),
        (Some("BEARER\tsk-tg-good"), None),
        (None, Some("sk-tg-good")),
        (None, Some(" sk-tg-good ")),
        (Some(""), Some("sk-tg-good")),
        (Some("Basic dXNlcg=="), Some("sk-tg-good")),
        (Some("Bearer sk-tg-good"), Some("sk-ant-something")),
    ] {
        assert_eq!(check(authorization, x_api_key, 0).as_deref(), Ok("good"), "{authorization:?} {x_api_key:?}");
    }
}

#[test]
fn no_key_is_missing() {
    for (authorization, x_api_key) in
        [(None, None), (Some(""), None), (Some("  "), Some("")), (Some("Bearer"), None), (Some("Bearer "), None)]
    {
        assert_eq!(check(authorization, x_api_key, 0), Err(AuthError::Missing), "{authorization:?} {x_api_key:?}");
    }
}

#[test]
fn what_cannot_be_a_key_is_malformed() {
    let long = format!("Bearer {}", "x".repeat(513));
    for authorization in ["Basic abc", "sk-tg-good", "Bearersk-tg-good", "Bearer a b", "Bearer \u{e9}", &long] {
        assert_eq!(check(Some(authorization), None, 0), Err(AuthError::Malformed), "{authorization}");
    }
}

#[test]
fn an_unknown_key_is_refused() {
    for token in ["sk-tg-goo", "sk-tg-goodd", "SK-TG-GOOD", "x"] {
        assert_eq!(check(Some(&format!("Bearer {token}")), None, 0), Err(AuthError::Unknown), "{token}");
    }
}

#[test]
fn an_expired_key_is_refused_from_its_last_millisecond_on() {
    assert!(check(Some("Bearer sk-tg-old"), None, 999).is_ok());
    assert_eq!(check(Some("Bearer sk-tg-old"), None, 1000), Err(AuthError::Expired));
}

#[test]
fn a_revoked_key_is_refused_whether_or_not_it_expired() {
    assert_eq!(check(Some("Bearer sk-tg-gone"), None, 0), Err(AuthError::Revoked));
    assert_eq!(check(Some("Bearer sk-tg-both"), None, 2000), Err(AuthError::Revoked));
}

#[test]
fn a_key_that_changed_since_it_was_shown_is_judged_as_it_is_now() {
    let directory = keys();
    let shown = authenticate(&directory, hash, Some(b"Bearer sk-tg-good"), None, 0).unwrap();
    assert!(recheck(&directory, &shown, 0).is_ok());
    directory.put(key("good", Some(5), false));
    assert_eq!(recheck(&directory, &shown, 5).unwrap_err(), AuthError::Expired);
    directory.put(key("good", None, true));
    assert_eq!(recheck(&directory, &shown, 0).unwrap_err(), AuthError::Revoked);
    assert_eq!(recheck(&Directory::default(), &shown, 0).unwrap_err(), AuthError::Unknown);
}
