use super::*;

/// Stands for the keyed hash: the text itself, cut or filled to 32 bytes.
fn hash(text: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    text.iter().zip(&mut hash).for_each(|(byte, place)| *place = *byte);
    hash
}

fn key(name: &str, expires_ms: Option<u64>, revoked: bool) -> ([u8; 32], Key<()>) {
    let models = vec![Pattern::parse("gpt-*").unwrap(), Pattern::parse("claude").unwrap()];
    let key = Key {
        id: format!("key_{name}"),
        name: name.into(),
        user: String::new(),
        models,
        expires_ms,
        revoked,
        account: (),
    };
    (hash(format!("sk-tg-{name}").as_bytes()), key)
}

fn keys() -> Keys<()> {
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
fn a_key_may_use_the_models_it_names() {
    let (_, key) = key("good", None, false);
    for (model, may) in
        [("gpt-4o", true), ("gpt-", true), ("gpt", false), ("claude", true), ("claude-3", false), ("", false)]
    {
        assert_eq!(key.may_use(model), may, "{model}");
    }
}

#[test]
fn a_star_alone_matches_every_model_and_an_empty_list_none() {
    let (_, mut key) = key("good", None, false);
    key.models = vec![Pattern::parse("*").unwrap()];
    assert!(key.may_use("anything/at:all"));
    key.models.clear();
    assert!(!key.may_use("anything/at:all"));
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
    let keys: Keys<()> = (0..1000u32)
        .map(|n| {
            let (_, key) = key(&n.to_string(), None, false);
            (hash(&n.to_le_bytes()), key)
        })
        .collect();
    assert_eq!(keys.len(), 1000);
    for n in 0..1000u32 {
        assert_eq!(keys.get(&hash(&n.to_le_bytes())).map(|key| key.name.clone()), Some(n.to_string()));
    }
}
