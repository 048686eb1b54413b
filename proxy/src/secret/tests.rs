use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    envelope::{EnvelopeError, Envelopes},
    *,
};

/// Not random, but different from byte to byte.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut state = 1u32;
    move |buffer| {
        buffer.fill_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
    }
}

fn master(byte: u8) -> MasterKey {
    MasterKey::parse(&format!("{byte:02x}").repeat(32)).unwrap()
}

#[test]
fn a_secret_does_not_show_in_debug() {
    let hasher = KeyHasher::new(&master(1));
    let shown = format!("{:?} {:?} {:?} {:?}", Secret::new("hunter2"), master(0xab), hasher, hasher.hash(b"x"));
    assert_eq!(shown, "Secret MasterKey KeyHasher KeyHash");
}

#[test]
fn the_master_key_is_read_in_every_spelling() {
    let hex = "00".repeat(31) + "ff";
    let expected = MasterKey::parse(&hex).unwrap().subkey("test");
    for text in [
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8\n",
        &hex.to_uppercase(),
    ] {
        assert_eq!(*MasterKey::parse(text).unwrap().subkey("test"), *expected, "{text}");
    }
}

#[test]
fn a_short_passphrase_is_refused() {
    assert!(matches!(MasterKey::parse("fifteen letters"), Err(MasterKeyError::Weak)));
    assert!(matches!(MasterKey::parse(""), Err(MasterKeyError::Weak)));
}

#[test]
fn a_passphrase_gives_the_same_key_everywhere() {
    let passphrase = MasterKey::parse("correct horse battery staple").unwrap();
    assert_eq!(
        hex::encode(*passphrase.subkey("test")),
        "d10728cbc157c468bf83277a13a3d7579ce842ea05ef48d9fb2eb155abde153f"
    );
}

#[test]
fn subkeys_differ_by_purpose_and_by_master() {
    let (one, other) = (master(1), master(2));
    assert_ne!(*one.subkey("a"), *one.subkey("b"));
    assert_ne!(*one.subkey("a"), *other.subkey("a"));
}

#[test]
fn the_first_start_makes_a_private_key_and_the_second_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master-key");

    let (made, origin) = MasterKey::open(None, dir.path(), &mut counting()).unwrap();
    assert_eq!(origin, Origin::Made(path.clone()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the draft is gone");

    let (kept, origin) = MasterKey::open(None, dir.path(), &mut |_| panic!("nothing is drawn")).unwrap();
    assert_eq!(origin, Origin::Kept(path));
    assert_eq!(*kept.subkey("x"), *made.subkey("x"));
}

#[test]
fn of_two_first_starts_both_use_the_faster_ones_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut overtaken = false;
    let mut counting = counting();
    let mut fill = |buffer: &mut [u8]| {
        counting(buffer);
        if !std::mem::replace(&mut overtaken, true) {
            MasterKey::open(None, dir.path(), &mut |other| other.fill(9)).unwrap();
        }
    };
    let (key, origin) = MasterKey::open(None, dir.path(), &mut fill).unwrap();
    assert!(matches!(origin, Origin::Kept(_)));
    assert_eq!(*key.subkey("x"), *master(9).subkey("x"));
}

#[test]
fn a_store_is_opened_with_the_master_key_it_was_made_with_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master-key");
    let open = |check: Option<&[u8]>, given: Option<MasterKey>, fill: u8| {
        MasterKey::open_checked(check, given, dir.path(), &mut |buffer| buffer.fill(fill))
    };
    let made = open(None, None, 1).unwrap();
    let check = made.check();
    assert_ne!(check[..], made.subkey("client keys")[..]);
    assert_eq!(*open(Some(&check), None, 2).unwrap().subkey("x"), *made.subkey("x"), "the kept one is read");

    // Another one, given or kept.
    let wrong = open(Some(&check), Some(master(9)), 2).unwrap_err();
    assert!(matches!(&wrong, MasterKeyError::Wrong(Origin::Environment)), "{wrong}");
    assert!(wrong.to_string().starts_with("TOLLGATE_MASTER_KEY is not the master key that the store was made with"));
    assert!(matches!(open(Some(&master(9).check()), None, 2), Err(MasterKeyError::Wrong(Origin::Kept(_)))));

    // None: a new one would be of no use, and is not made.
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(Some(&check), None, 3), Err(MasterKeyError::Missing(missing)) if missing == path));
    assert!(!path.exists());
    assert!(open(Some(&check), Some(made), 3).is_ok());
}

#[test]
fn a_master_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    MasterKey::open(None, dir.path(), &mut counting()).unwrap();
    fs::set_permissions(dir.path().join("master-key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        MasterKey::open(None, dir.path(), &mut counting()),
        Err(MasterKeyError::Unkept(SecretFileError::Exposed(_)))
    ));
}

#[test]
fn a_broken_master_key_file_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master-key");
    fs::write(&path, "half a k").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(MasterKey::open(None, dir.path(), &mut counting()), Err(MasterKeyError::Broken(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "half a k");
}

#[test]
fn a_kept_secret_is_drawn_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    assert_eq!(read_kept(&path).unwrap(), None);
    let first = keep(&path, &mut counting(), |fill| admin_token(fill)).unwrap();
    let second = keep(&path, &mut counting(), |_| panic!("nothing is drawn")).unwrap();
    assert!(first.made && !second.made);
    assert_eq!(first.secret, second.secret);
    assert_eq!(read_kept(&path).unwrap(), Some(first.secret));
}

#[test]
fn a_private_directory_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    make_private_dir(&path).unwrap();
    make_private_dir(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(make_private_dir(&dir.path().join("file")).is_err());
}

#[test]
fn a_given_master_key_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (_, origin) = MasterKey::open(Some(&"ab".repeat(32)), dir.path(), &mut counting()).unwrap();
    assert_eq!(origin, Origin::Environment);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_envelope_opens_only_where_it_was_meant_to() {
    let envelopes = Envelopes::new(&master(1));
    let sealed = envelopes.seal("provider key", "openai", b"sk-secret", &mut counting());
    assert_eq!(*envelopes.open("provider key", "openai", &sealed).unwrap(), b"sk-secret");

    for (purpose, id) in [("provider key", "claude"), ("client key", "openai"), ("provider keyo", "penai")] {
        assert_eq!(envelopes.open(purpose, id, &sealed), Err(EnvelopeError::Damaged), "{purpose} {id}");
    }
    assert_eq!(Envelopes::new(&master(2)).open("provider key", "openai", &sealed), Err(EnvelopeError::OtherKey));
}

#[test]
fn an_envelope_with_any_bit_changed_or_cut_anywhere_stays_shut() {
    let envelopes = Envelopes::new(&master(1));
    let sealed = envelopes.seal("p", "i", b"secret", &mut counting());
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(envelopes.open("p", "i", &changed).is_err(), "bit of byte {at}");
        assert!(envelopes.open("p", "i", &sealed[..at]).is_err(), "cut at {at}");
    }
    let mut newer = sealed.clone();
    newer[0] = 2;
    assert_eq!(envelopes.open("p", "i", &newer), Err(EnvelopeError::Version(2)));
}

#[test]
fn the_same_secret_is_never_sealed_the_same_way() {
    let envelopes = Envelopes::new(&master(1));
    let mut fill = counting();
    let one = envelopes.seal("p", "i", b"secret", &mut fill);
    let other = envelopes.seal("p", "i", b"secret", &mut fill);
    assert_ne!(one, other);
}

#[test]
fn a_key_hash_is_keyed() {
    let (one, other) = (KeyHasher::new(&master(1)), KeyHasher::new(&master(2)));
    assert_eq!(one.hash(b"sk-tg-x"), one.hash(b"sk-tg-x"));
    assert_ne!(one.hash(b"sk-tg-x"), one.hash(b"sk-tg-y"));
    assert_ne!(one.hash(b"sk-tg-x"), other.hash(b"sk-tg-x"));
}

#[test]
fn drawn_keys_have_their_form_and_use_the_whole_alphabet() {
    let mut fill = counting();
    let keys: Vec<Secret> = (0..40).map(|_| virtual_key(&mut fill)).collect();
    let is_whole = |text: &str| text.len() == 49 && text.starts_with("sk-tg-");
    assert!(keys.iter().all(|key| is_whole(key.expose())));
    let used: std::collections::BTreeSet<char> = keys.iter().flat_map(|key| key.expose()[6..].chars()).collect();
    assert_eq!(used.len(), 62);
    let token = admin_token(&mut fill);
    assert_eq!((token.expose().len(), &token.expose()[..9]), (52, "tg-admin-"));
}

#[test]
fn of_a_key_at_most_a_quarter_is_shown_and_nothing_of_a_short_one() {
    let drawn = virtual_key(&mut counting());
    assert_eq!(shown_prefix(&drawn), &drawn.expose()[..12]);
    for (chars, shown) in [(0, 0), (16, 0), (31, 0), (32, 8), (40, 10), (48, 12), (512, 12)] {
        assert_eq!(shown_prefix(&Secret::new("x".repeat(chars))).len(), shown, "{chars}");
    }
    assert_eq!(shown_prefix(&Secret::new("€".repeat(12))), "€€€");
    assert_eq!(shown_prefix(&Secret::new("é€".repeat(8))), "é€é€");
}

#[test]
fn a_byte_that_would_favour_some_characters_is_drawn_again() {
    let mut bytes = [255u8, 248, 247, 0].into_iter().cycle();
    let key = virtual_key(&mut |buffer| buffer.fill_with(|| bytes.next().unwrap()));
    assert_eq!(&key.expose()[..10], "sk-tg-z0z0");
}

#[test]
fn equal_compares_whole_texts() {
    assert!(equal(b"abc", b"abc") && equal(b"", b""));
    for (one, other) in [("abc", "abd"), ("abc", "ab"), ("", "a"), ("abc", "xbc")] {
        assert!(!equal(one.as_bytes(), other.as_bytes()), "{one} {other}");
    }
}

#[test]
fn keys_are_removed_from_text() {
    let redactor =
        Redactor::new([Secret::new("correct horse"), Secret::new("correct horse battery"), Secret::new("no")]);
    for (text, expected) in [
        ("nothing here, no key at all", "nothing here, no key at all"),
        ("Incorrect API key provided: sk-proj-abcdefgh12345.", "Incorrect API key provided: [redacted]."),
        ("Incorrect API key provided: sk-abcd****wxyz. See", "Incorrect API key provided: [redacted]. See"),
        ("authorization: Bearer abc.def-123", "authorization: Bearer [redacted]"),
        ("BEARER abcdefgh", "BEARER [redacted]"),
        ("{\"x-api-key\": \"0123456789\"}", "{\"x-api-key\": \"[redacted]\"}"),
        ("GET /v1?key=AIzaSyD-0123456789abcdefg&alt=sse", "GET /v1?key=[redacted]&alt=sse"),
        ("access_token=24.abcdef0123; path", "access_token=[redacted]; path"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln here", "jwt [redacted] here"),
        ("the phrase correct horse battery staple", "the phrase [redacted] staple"),
        ("密钥sk-tg-0123456789abc，完", "密钥[redacted]，完"),
        ("max_tokens: 100000 is too many", "max_tokens: 100000 is too many"),
        ("the monkey=business", "the monkey=business"),
        ("risk-taking is fine", "risk-taking is fine"),
        ("sk-1", "sk-1"),
    ] {
        assert_eq!(redactor.redact(text), expected);
    }
}

#[test]
fn text_without_keys_is_not_copied() {
    assert!(matches!(Redactor::default().redact("plain"), std::borrow::Cow::Borrowed(_)));
}
