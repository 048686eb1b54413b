mod blank;

use proptest::prelude::*;

use super::*;

const ALL: [Framing; 5] = [Framing::Whole, Framing::Sse, Framing::Ndjson, Framing::JsonArray, Framing::AwsEventStream];

/// Frames as (event, data, raw), and how the answer ended.
type Outcome = (Vec<(String, String, String)>, Result<(), FramingError>);

/// Splits `chunks`, at most `frame_bytes_max` bytes a frame.
fn split_within(framing: Framing, chunks: &[&[u8]], frame_bytes_max: usize) -> Outcome {
    let mut splitter = Splitter::new(framing, frame_bytes_max);
    let mut frames = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| splitter.push(Bytes::copy_from_slice(chunk), &mut frames));
    let ended = pushed.and_then(|()| splitter.finish(&mut frames));
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    (frames.iter().map(|frame| (text(&frame.event), text(&frame.data), text(&frame.raw))).collect(), ended)
}

fn split(framing: Framing, answer: &[u8]) -> Outcome {
    split_within(framing, &[answer], 1 << 20)
}

/// Shows that no cut, and no two cuts, of `answer` change its frames.
fn check(framing: Framing, answer: &[u8]) -> Outcome {
    let whole = split(framing, answer);
    for first in 0..=answer.len() {
        for second in [first, answer.len().min(first + 1), answer.len().min(first + 7), answer.len()] {
            let cut = [&answer[..first], &answer[first..second], &answer[second..]];
            assert_eq!(split_within(framing, &cut, 1 << 20), whole, "cut at {first} and {second}");
        }
    }
    let bytes: Vec<&[u8]> = answer.chunks(1).collect();
    assert_eq!(split_within(framing, &bytes, 1 << 20), whole, "byte by byte");
    whole
}

/// The events and data of an answer that ends well.
fn frames(framing: Framing, answer: &[u8]) -> Vec<(String, String)> {
    let (frames, ended) = check(framing, answer);
    assert_eq!(ended, Ok(()));
    frames.into_iter().map(|(event, data, _)| (event, data)).collect()
}

fn data(framing: Framing, answer: &[u8]) -> Vec<String> {
    frames(framing, answer).into_iter().map(|(_, data)| data).collect()
}

#[test]
fn events_are_found_in_every_form_that_providers_send() {
    for (answer, expected) in [
        ("", vec![]),
        ("data: a\n\ndata: b\n\n", vec!["a", "b"]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["a", "b"]),
        ("data: a\r\rdata: b\r\r", vec!["a", "b"]),
        ("data: a\r\n\ndata: b\n\r\n", vec!["a", "b"]),
        ("data:a\n\ndata:  b\n\n", vec!["a", " b"]),
        ("data: a\ndata: b\n\n", vec!["a\nb"]),
        ("data: a\ndata\ndata:\ndata: b\n\n", vec!["a\n\n\nb"]),
        (": comment\n\n: OPENROUTER PROCESSING\n\ndata: a\n\n", vec!["a"]),
        (": comment\ndata: a\nid: 7\nretry: 10\n:\n\n", vec!["a"]),
        ("\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", vec!["a", "b"]),
        ("data: a\n\ndata: b", vec!["a", "b"]),
        ("data: a\n\ndata: b\n", vec!["a", "b"]),
        ("data: a\n\ndata: b\r", vec!["a", "b"]),
        ("\u{feff}data: a\n\n", vec!["a"]),
        ("data: [DONE]  \n\n", vec!["[DONE]  "]),
        ("data: 中文 é 😀\r\n\r\n", vec!["中文 é 😀"]),
        ("data:\n\ndata: \n\nevent: ping\n\ndata\n\n", vec![]),
        ("database: a\n\ndatax\n\nxdata: a\n\nData: a\n\n", vec![]),
        ("plain text\n\n", vec![]),
        ("  \n data: a\n\ndata: b\n\n", vec!["b"]),
    ] {
        assert_eq!(data(Framing::Sse, answer.as_bytes()), expected, "{answer:?}");
    }
}

#[test]
fn events_have_names() {
    let answer =
        b"event: message_start\ndata: {}\n\nevent:error\r\ndata: {}\r\n\r\ndata: x\n\nevent: a\nevent: b\ndata: y\n\n";
    let events: Vec<String> = frames(Framing::Sse, answer).into_iter().map(|(event, _)| event).collect();
    assert_eq!(events, ["message_start", "error", "", "b"]);
}

#[test]
fn an_event_is_forwarded_as_it_came_but_for_its_line_ends() {
    for (answer, raw) in [
        ("id: 1\ndata: a\n\n", "id: 1\ndata: a\n\n"),
        ("id: 1\r\ndata: a\r\n\r\n", "id: 1\ndata: a\n\n"),
        ("data: a\r\r", "data: a\n\n"),
        ("data: a", "data: a\n\n"),
        ("data: a\n", "data: a\n\n"),
        ("data: a\r", "data: a\n\n"),
        ("\u{feff}data: a\n\n", "data: a\n\n"),
        (":c\ndata: a\ndata: b\n\n", ":c\ndata: a\ndata: b\n\n"),
    ] {
        let (frames, _) = check(Framing::Sse, answer.as_bytes());
        assert_eq!(frames[0].2, raw, "{answer:?}");
    }
}

#[test]
fn a_cut_in_the_last_line_end_does_not_move_the_bound() {
    let answer = b"data: a\r\n\r\ndata: b\r\n\r\n";
    for (frame_bytes_max, fits) in [(10, true), (9, false)] {
        for cut in 0..=answer.len() {
            let (first, second) = answer.split_at(cut);
            let (frames, ended) = split_within(Framing::Sse, &[first, second], frame_bytes_max);
            assert_eq!(
                (frames.len(), ended.is_ok()),
                (if fits { 2 } else { 0 }, fits),
                "{frame_bytes_max}, cut at {cut}"
            );
        }
    }
}

#[test]
fn a_document_in_place_of_events_is_one_frame() {
    for answer in ["{\"error\":\n{\"a\":\r\n\r\n1}}\n\n", "\u{feff} \n{}", "[1]", "<html>\n\n</html>\n"] {
        let (frames, ended) = check(Framing::Sse, answer.as_bytes());
        assert_eq!((frames.len(), ended), (1, Ok(())), "{answer:?}");
        assert_eq!(frames[0].1, answer.trim_start_matches('\u{feff}').trim());
        assert_eq!(frames[0].2.matches('\n').count(), 2, "it is forwarded on one line");
    }
}

#[test]
fn lines_are_frames() {
    let answer = b"{\"a\":1}\n\n  \r\n{\"b\":2}\r\n{\"c\":\"\xe4\xb8\xad\"}";
    assert_eq!(data(Framing::Ndjson, answer), ["{\"a\":1}", "{\"b\":2}", "{\"c\":\"中\"}"]);
    assert!(data(Framing::Ndjson, b"").is_empty());
}

#[test]
fn a_whole_answer_is_one_frame() {
    assert_eq!(data(Framing::Whole, b" {\"a\":\n\n1}\n"), ["{\"a\":\n\n1}"]);
    assert!(data(Framing::Whole, b"").is_empty());
}

#[test]
fn elements_of_an_array_are_frames() {
    for (answer, expected) in [
        ("", vec![]),
        ("[]", vec![]),
        (" [ ] \n", vec![]),
        ("[{\"a\":1}]", vec!["{\"a\":1}"]),
        ("[{\"a\":[1,{}]},\r\n{\"b\":\"]}\\\"[\\\\\"}\n]\n", vec!["{\"a\":[1,{}]}", "{\"b\":\"]}\\\"[\\\\\"}"]),
        ("[[1],[[2]]]", vec!["[1]", "[[2]]"]),
        ("{\"error\":{}}\n", vec!["{\"error\":{}}"]),
        ("[{\"é\":\"中\"}]", vec!["{\"é\":\"中\"}"]),
    ] {
        assert_eq!(data(Framing::JsonArray, answer.as_bytes()), expected, "{answer:?}");
    }
}

#[test]
fn what_is_no_array_of_objects_breaks() {
    for (answer, broken) in [
        ("<html>", FramingError::NotAnArray),
        ("[1]", FramingError::NotAnArray),
        ("[\"a\"]", FramingError::NotAnArray),
        ("[{},]", FramingError::NotAnArray),
        ("[,{}]", FramingError::NotAnArray),
        ("[{} {}]", FramingError::NotAnArray),
        ("[{}]{}", FramingError::NotAnArray),
        ("{}{}", FramingError::NotAnArray),
        ("[{}", FramingError::Truncated),
        ("[{},", FramingError::Truncated),
        ("[{\"a\":\"]}", FramingError::Truncated),
        ("[", FramingError::Truncated),
    ] {
        assert_eq!(check(Framing::JsonArray, answer.as_bytes()).1, Err(broken), "{answer:?}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The worked examples of AWS's framing: an event, an exception and an empty frame.
fn aws_examples() -> [Vec<u8>; 3] {
    [
        hex(
            "0000007f000000529bc598af0b3a6576656e742d7479706507000c6d65737361676553746172740d3a636f6e74656e742d74797065\
             0700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2270223a226162222c2272\
             6f6c65223a22617373697374616e74227d362c6c18",
        ),
        hex(
            "0000008800000061de0175f40f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e0d3a63\
             6f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074\
             696f6e7b226d657373616765223a22736c6f7720646f776e227d832ee072",
        ),
        hex("000000100000000005c248eb7d98c8ff"),
    ]
}

/// A frame with these headers, each given as its bytes, and this payload.
fn aws_frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = ((headers.len() + payload.len() + 16) as u32).to_be_bytes().to_vec();
    frame.extend((headers.len() as u32).to_be_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn aws_header(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![name.len() as u8];
    header.extend(name.as_bytes());
    header.push(7);
    header.extend((value.len() as u16).to_be_bytes());
    header.extend(value.as_bytes());
    header
}

#[test]
fn binary_frames_are_read_as_aws_documents_them() {
    let expected = [
        ("messageStart", "{\"p\":\"ab\",\"role\":\"assistant\"}"),
        ("throttlingException", "{\"message\":\"slow down\"}"),
    ];
    let expected = expected.map(|(event, data)| (event.to_owned(), data.to_owned()));
    assert_eq!(frames(Framing::AwsEventStream, &aws_examples().concat()), expected);
}

#[test]
fn an_error_without_payload_is_put_together_from_its_headers() {
    let headers = [
        aws_header(":message-type", "error"),
        aws_header(":error-code", "Bad"),
        aws_header(":error-message", "a \"b\""),
    ];
    let frame = aws_frame(&headers.concat(), b"");
    assert_eq!(
        frames(Framing::AwsEventStream, &frame),
        [("Bad".to_owned(), "{\"message\":\"a \\\"b\\\"\"}".to_owned())]
    );
}

#[test]
fn headers_of_every_kind_are_passed_over() {
    let mut headers = Vec::new();
    for (kind, len) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
        headers.extend([1, b'h', kind]);
        headers.extend(vec![0xff; len]);
    }
    headers.extend([1, b'h', 6, 0, 2, 0xff, 0xff]);
    headers.extend(aws_header(":event-type", "e"));
    assert_eq!(frames(Framing::AwsEventStream, &aws_frame(&headers, b"{}")), [("e".to_owned(), "{}".to_owned())]);
}

#[test]
fn a_binary_frame_that_is_damaged_breaks() {
    let good = &aws_examples()[0];
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        assert_eq!(split(Framing::AwsEventStream, &damaged).1, Err(FramingError::Checksum), "byte {at}");
        assert_eq!(
            check(Framing::AwsEventStream, &good[..at]).1,
            if at == 0 { Ok(()) } else { Err(FramingError::Truncated) }
        );
    }
    for headers in [&[1][..], b"\x01h", b"\x01h\x0a", b"\x01h\x07\x00\x05a", b"\x01h\x07\x00\x01\xff"] {
        assert_eq!(
            check(Framing::AwsEventStream, &aws_frame(headers, b"{}")).1,
            Err(FramingError::Malformed),
            "{headers:?}"
        );
    }
    assert_eq!(check(Framing::AwsEventStream, &aws_frame(b"", b"\xff")).1, Err(FramingError::NotUtf8));
}

#[test]
fn lengths_that_contradict_each_other_break_at_once() {
    for (total, headers) in [(0u32, 0u32), (15, 0), (20, 5), (1 << 30, (128 << 10) + 1)] {
        let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
        assert_eq!(check(Framing::AwsEventStream, &prelude).1, Err(FramingError::Malformed), "{total} {headers}");
    }
}

#[test]
fn a_frame_may_be_as_long_as_the_bound_and_no_longer() {
    let broken = |frame_bytes_max| Err(FramingError::TooLong { frame_bytes_max });
    let [event, ..] = aws_examples();
    for (framing, frame) in [
        (Framing::Whole, b"0123456789".to_vec()),
        (Framing::Sse, b"data: 0\n\n".to_vec()),
        (Framing::Sse, b"{\"a\":0}".to_vec()),
        (Framing::Ndjson, b"{\"a\":0}\n".to_vec()),
        (Framing::JsonArray, b"[{\"a\":0}".to_vec()),
        (Framing::AwsEventStream, event),
    ] {
        for cut in 0..frame.len() {
            let chunks = [&frame[..cut], &frame[cut..]];
            let within = split_within(framing, &chunks, frame.len());
            assert_ne!(within.1, broken(frame.len()), "{framing:?}");
            assert_eq!(within.0.len(), 1, "{framing:?}");
            assert_eq!(
                split_within(framing, &chunks, frame.len() - 1),
                (vec![], broken(frame.len() - 1)),
                "{framing:?}"
            );
        }
    }
}

#[test]
fn frames_that_are_not_utf8_break_and_those_before_them_stand() {
    for (framing, answer, good) in [
        (Framing::Whole, &b"\xff"[..], 0),
        (Framing::Sse, b"data: a\n\ndata: \xff\n\n", 1),
        (Framing::Sse, b"{\"\xff\"}", 0),
        (Framing::Ndjson, b"{}\n\xff\n", 1),
        (Framing::JsonArray, b"[{},{\"\xff\":1}]", 1),
    ] {
        let (frames, ended) = check(framing, answer);
        assert_eq!((frames.len(), ended), (good, Err(FramingError::NotUtf8)), "{framing:?}");
    }
}

#[test]
fn once_broken_an_answer_stays_broken() {
    let mut splitter = Splitter::new(Framing::JsonArray, 100);
    let mut frames = Vec::new();
    let broken = splitter.push(Bytes::from_static(b"x"), &mut frames);
    assert_eq!(broken, Err(FramingError::NotAnArray));
    assert_eq!(splitter.push(Bytes::from_static(b"[{}]"), &mut frames), broken);
    assert_eq!(splitter.finish(&mut frames), broken);
    assert!(frames.is_empty());
}

#[test]
fn a_frame_inside_one_chunk_is_not_copied() {
    let [event, ..] = aws_examples();
    for (framing, answer) in [
        (Framing::Sse, b"event: e\ndata: {\"a\":0}\n\n".to_vec()),
        (Framing::Ndjson, b"{\"a\":0}\n".to_vec()),
        (Framing::JsonArray, b"[{\"a\":0},".to_vec()),
        (Framing::AwsEventStream, event),
    ] {
        let chunk = Bytes::from(answer);
        let inside = chunk.as_ptr_range();
        let mut frames = Vec::new();
        Splitter::new(framing, 1000).push(chunk, &mut frames).unwrap();
        for bytes in [&frames[0].data, &frames[0].raw] {
            assert!(inside.contains(&bytes.as_ptr()), "{framing:?}");
        }
    }
}

/// Bytes that are telling for every framing.
fn any_answer() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"data: {\"a\":1}\n\n".to_vec()),
        Just(b"data: x\r\n\r\n".to_vec()),
        Just(b"event: e\n".to_vec()),
        Just(b"{\"a\":\"]\\\"\"}".to_vec()),
        Just(aws_examples()[0].clone()),
        Just("é中😀".as_bytes().to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        prop::sample::select(&b"\r\n \t:[]{},\"\\a\xff"[..]).prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_cut_changes_a_frame(answer in any_answer(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        for framing in ALL {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
            cuts.extend([0, answer.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &answer[pair[0]..pair[1]]).collect();
            prop_assert_eq!(split_within(framing, &chunks, 1 << 20), split(framing, &answer), "{:?}", framing);
        }
    }

    #[test]
    fn whatever_the_answer_no_frame_exceeds_its_bound(answer in prop::collection::vec(any::<u8>(), 0..200), max in 0usize..64) {
        for framing in ALL {
            let (frames, _) = split_within(framing, &[&answer], max);
            prop_assert!(frames.iter().all(|(event, data, _)| event.len() + data.len() <= max));
        }
    }
}
