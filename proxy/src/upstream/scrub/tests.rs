use proptest::prelude::*;

use super::*;

const KEY: &str = "sk-secret-key";

fn needle() -> Needle {
    Needle::new(KEY).unwrap()
}

/// What comes out of an answer in these pieces.
fn scrubbed(pieces: &[&[u8]]) -> Vec<u8> {
    let (needle, mut scrubber) = (needle(), Scrubber::default());
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&scrubber.push(&needle, Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&scrubber.finish());
    out
}

#[test]
fn a_key_is_blanked_wherever_it_stands() {
    let text = format!("{KEY} and {KEY}{KEY}.");
    let blank = "*".repeat(KEY.len());
    assert_eq!(scrubbed(&[text.as_bytes()]), format!("{blank} and {blank}{blank}.").into_bytes());
}

#[test]
fn a_piece_without_a_key_is_passed_on_as_it_is() {
    let piece = Bytes::from_static(b"data: {\"a\":1}\n\n");
    let out = Scrubber::default().push(&needle(), piece.clone());
    assert_eq!((out.as_ptr(), out.len()), (piece.as_ptr(), piece.len()));
}

#[test]
fn a_key_across_any_borders_is_blanked() {
    let text = format!("a{KEY}b");
    for first in 0..text.len() {
        for second in first..text.len() {
            let pieces = [&text.as_bytes()[..first], &text.as_bytes()[first..second], &text.as_bytes()[second..]];
            assert_eq!(scrubbed(&pieces), format!("a{}b", "*".repeat(KEY.len())).into_bytes(), "{first} {second}");
        }
    }
}

#[test]
fn what_only_begins_like_a_key_comes_in_full() {
    assert_eq!(scrubbed(&[b"my sk-sec", b"ond", b" sk-"]), b"my sk-second sk-");
}

#[test]
fn a_short_key_is_not_searched_for() {
    assert!(Needle::new("key").is_none());
}

proptest! {
    #[test]
    fn however_it_is_cut_the_text_keeps_its_length_and_loses_the_key(
        parts in prop::collection::vec(prop_oneof![Just(KEY.to_owned()), "[a-z-]{0,6}", Just("sk-sec".to_owned())], 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = parts.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
        let out = scrubbed(&pieces);
        prop_assert_eq!(out.len(), text.len());
        prop_assert!(!String::from_utf8(out.clone()).unwrap().contains(KEY));
        prop_assert_eq!(out, text.replace(KEY, &"*".repeat(KEY.len())).into_bytes());
    }
}

const SLASHED: &str = "sk-SECRET/abc+def/01==";

/// Each character of the key, written so.
fn written(write: impl Fn(char) -> String) -> String {
    SLASHED.chars().map(write).collect()
}

#[test]
fn a_key_is_blanked_in_every_way_in_which_json_may_write_it() {
    let ways = [
        SLASHED.replace('/', "\\/"),
        SLASHED.replace('/', "\\\\/"),
        SLASHED.replace('=', "\\u003d"),
        SLASHED.replace('=', "\\\\\\u003D").replace('/', "\\u002F"),
        written(|char| format!("\\u{:04x}", u32::from(char))),
        written(|char| format!("\\\\u{:04X}", u32::from(char))),
    ];
    let needle = Needle::new(SLASHED).unwrap();
    for way in ways {
        let text = format!("{{\"a\\n\":\"\\u0073k {way}\"}}");
        let clean = text.replace(&way, &"*".repeat(way.len()));
        for cut in 0..=text.len() {
            let mut scrubber = Scrubber::default();
            let (first, second) = text.as_bytes().split_at(cut);
            let mut out = scrubber.push(&needle, Bytes::copy_from_slice(first)).to_vec();
            out.extend_from_slice(&scrubber.push(&needle, Bytes::copy_from_slice(second)));
            out.extend_from_slice(&scrubber.finish());
            assert_eq!(String::from_utf8(out).unwrap(), clean, "cut at {cut}");
        }
    }
}

#[test]
fn a_key_is_blanked_as_a_url_writes_it() {
    for (key, way) in [
        (SLASHED, "sk-SECRET%2Fabc%2Bdef%2F01%3D%3D"),
        (SLASHED, "sk-SECRET%2fabc%2bdef/01=%3d"),
        ("/of/slashes/", "%2Fof%2Fslashes%2F"),
        ("per%2Fcent-and%", "per%252Fcent-and%25"),
        ("per%2Fcent-and%", "per%2Fcent-and%"),
    ] {
        let needle = Needle::new(key).unwrap();
        let text = format!("GET /v1?a=%20&key={way}&b=%2 100% %zz");
        let clean = text.replace(way, &"*".repeat(way.len()));
        for cut in 0..=text.len() {
            let mut scrubber = Scrubber::default();
            let (first, second) = text.as_bytes().split_at(cut);
            let mut out = scrubber.push(&needle, Bytes::copy_from_slice(first)).to_vec();
            out.extend_from_slice(&scrubber.push(&needle, Bytes::copy_from_slice(second)));
            out.extend_from_slice(&scrubber.finish());
            assert_eq!(String::from_utf8(out).unwrap(), clean, "cut at {cut}");
        }
        assert!(needle.is_in(way.as_bytes()));
    }
}

#[test]
fn what_only_looks_like_an_escaped_key_passes_and_is_read_once() {
    let needle = Needle::new(SLASHED).unwrap();
    for text in
        ["\\u0073k-SECRET/abc+def/01=x", "\\\\\\\\\\\\\\\\\\\\", "\\u00", "\\", "s\\k-SECRET", "\\u0173k-SECRET"]
    {
        let mut scrubber = Scrubber::default();
        let mut out = scrubber.push(&needle, Bytes::copy_from_slice(text.as_bytes())).to_vec();
        out.extend_from_slice(&scrubber.finish());
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
    let backslashes = Bytes::from("\\".repeat(1 << 20));
    assert_eq!(blanked(&needle, backslashes.clone()), backslashes);
}
