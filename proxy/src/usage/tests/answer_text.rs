//! The text of answers, kept and counted.

use super::*;

/// Prose that does not repeat itself as `ENGLISH` repeated would.
fn prose(tokens: usize) -> String {
    let words: Vec<&str> = ENGLISH.split(' ').chain(CODE.split_whitespace()).collect();
    let mut seed = 7_u64;
    let mut text = String::new();
    for _ in 0..tokens {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(words[(seed >> 33) as usize % words.len()]);
        text.push(' ');
    }
    text
}

#[test]
fn two_thousand_streams_keep_their_answers_in_twelve_kilobytes_each() {
    let answer = &prose(8_000)[..16_000];
    let streams: Vec<AnswerText> = (0..2_000)
        .map(|_| {
            let mut text = AnswerText::default();
            answer.as_bytes().chunks(4).for_each(|frame| text.push(std::str::from_utf8(frame).unwrap()));
            text
        })
        .collect();
    let bytes: usize = streams.iter().map(|text| text.heap_bytes() + size_of::<AnswerText>()).sum();
    assert!(bytes / streams.len() <= 12 << 10, "{} bytes a stream", bytes / streams.len());
    let counter = Counter::new();
    assert_eq!(streams[0].count(&counter, "gpt-4o"), counter.count("gpt-4o", answer));
}

#[test]
fn an_answer_that_is_short_is_neither_packed_nor_counted_before_its_end() {
    let mut text = AnswerText::default();
    text.push(ENGLISH);
    assert!(text.overflow().is_none());
    let mut long = AnswerText::default();
    long.push(&prose(1_000_000));
    let oldest = long.overflow().expect("megabytes are more than is kept");
    assert!(long.heap_bytes() < 20 << 10, "{} bytes", long.heap_bytes());
    assert!(long.overflow().is_none(), "once is enough");
    drop(oldest);
}

/// Text of all kinds, with and without places to cut at.
fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just(ENGLISH.to_owned()),
        Just(CHINESE.to_owned()),
        Just(JSON.to_owned()),
        "[a-z]{1,3000}",
        "\\PC{0,200}",
        Just(" \n".repeat(40)),
    ];
    prop::collection::vec(part, 0..80).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_in_pieces_counts_as_its_whole_text(
        text in any_text(),
        lens in prop::collection::vec(1..5_000_usize, 1..40),
        model in prop::sample::select(vec!["gpt-4o", "gpt-4", "claude-x", "ernie-x"]),
        counts_meanwhile in any::<bool>(),
    ) {
        let counter = Counter::new();
        let mut answer = AnswerText::default();
        let mut rest = text.as_str();
        for len in lens.iter().cycle() {
            let (piece, later) = rest.split_at(rest.floor_char_boundary((*len).max(4)));
            answer.push(piece);
            if let Some(oldest) = answer.overflow().filter(|_| counts_meanwhile) {
                oldest.count(&counter, model);
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(answer.bytes(), text.len() as u64);
        prop_assert_eq!(answer.count(&counter, model), counter.count(model, &text));
    }
}
