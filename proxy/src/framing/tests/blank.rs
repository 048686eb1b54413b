use super::*;

#[test]
fn what_says_nothing_is_looked_at_once() {
    // Where each blank line had all that follows searched again, this took minutes.
    for nothing in ["\n", "\r", "\r\n", " \n\n", "\u{feff}\n\n"] {
        let answer = nothing.repeat((256 << 10) / nothing.len());
        let (frames, ended) = split_within(Framing::Sse, &[answer.as_bytes(), b"data: a\n\n"], 64 << 20);
        assert_eq!((frames.len(), ended), (1, Ok(())), "{nothing:?}");
    }
    for (framing, rest) in [(Framing::Ndjson, ""), (Framing::JsonArray, "[]")] {
        let answer = " \n".repeat(128 << 10) + rest;
        assert_eq!(split_within(framing, &[answer.as_bytes()], 64 << 20), (vec![], Ok(())), "{framing:?}");
    }
}
