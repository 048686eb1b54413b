//! Holds are upper bounds, whatever the client writes and whichever tokenizer counts.

use super::*;
use crate::dialect::canonical;

/// A call of one message with this content, as JSON.
fn call(content: &serde_json::Value) -> Call {
    let body = json!({"model": "m", "temperature": 0.5, "messages": [{"role": "user", "content": content}]});
    Call::parse(Operation::Chat, Bytes::from(body.to_string()), &Bounds::default()).expect("a call")
}

fn beside(call: &Call, bounds: MediaBounds) -> NonTextInput {
    let has_tools = call.field("tools").is_some();
    NonTextInput { media: call.prompt_size.media, bounds, has_tools }
}

/// Text that counts the most for its size, or for what it looks like.
fn adversarial() -> Vec<(&'static str, String)> {
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let of = |range: std::ops::Range<u32>| -> String {
        range.cycle().step_by(7).take(500).filter_map(char::from_u32).collect()
    };
    let base64: String = (0..3_000)
        .map(|_| {
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random() as usize % 64])
        })
        .collect();
    let bytes: String = (0..2_000).map(|_| char::from_u32(random() as u32 % 0x1_0ff0).unwrap_or('x')).collect();
    vec![
        ("prose", ENGLISH.to_owned()),
        ("code", CODE.to_owned()),
        ("minified code", CODE.split_whitespace().collect()),
        ("a schema", JSON.repeat(4)),
        ("Chinese", CHINESE.to_owned()),
        ("Japanese", JAPANESE.to_owned()),
        ("rare ideographs", of(0x2_0000..0x2_a6d0)),
        ("Linear B", of(0x1_0000..0x1_0100)),
        ("Cuneiform", of(0x1_2000..0x1_2400)),
        ("Cherokee", of(0x13a0..0x13f5)),
        ("Tibetan", of(0x0f00..0x0fda)),
        ("private use", of(0xe000..0xf8ff)),
        ("emoji", "👩‍👩‍👧‍👦🏳️‍🌈🇺🇳🫠".repeat(60)),
        ("combining marks", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳".repeat(30)),
        ("punctuation", "!@#$%^&*()_+-=[]{}|;':,./<>?`~".repeat(60)),
        ("runs of one sign", format!("{}{}{}", "=".repeat(900), "-".repeat(900), ".".repeat(900))),
        ("spaces and tabs", " \t\t  \n \r\n".repeat(300)),
        ("digits", "3141592653589793238462643383279502884197".repeat(40)),
        ("base64", base64),
        ("anything", bytes),
    ]
}

const MODELS: [&str; 6] = ["gpt-4o", "gpt-4", "claude-opus-4", "deepseek-chat", "ernie-x", "some/unknown"];

#[test]
fn whatever_a_prompt_says_it_counts_no_more_than_was_held() {
    let counter = Counter::new();
    for (name, text) in adversarial() {
        let call = call(&json!(text));
        let beside = beside(&call, MediaBounds::default());
        let by_bytes = input_bound(call.prompt_bytes(), &beside);
        let (whole, left_out) = canonical::whole_prompt_text(call.body());
        assert_eq!(left_out, 0, "{name}");
        let around = overhead(&call.prompt_size, &MediaBounds::default());
        for model in MODELS {
            let by_count = counter.input_bound([model].into_iter(), &whole, &beside);
            let family = Family::of(model);
            // What a provider with this tokenizer would report; for those that we have not, with either of ours.
            let bases = if family.is_exact { vec![family.base] } else { BaseTokenizer::ALL.to_vec() };
            for base in bases {
                let settled = counted_whole(base, &text) + around;
                assert!(settled <= by_bytes, "{name} {model} {base:?}: {settled} of {by_bytes} by bytes");
                assert!(settled <= by_count, "{name} {model} {base:?}: {settled} of {by_count} by count");
            }
            let counted = counter.count(model, &text) + around;
            assert!(counted <= by_count, "{name} {model}: {counted} of {by_count}");
            let estimated = estimate(&call.prompt_size, &MediaBounds::default());
            assert!(estimated <= by_bytes, "{name}: {estimated} of {by_bytes}");
        }
    }
}

/// What a tokenizer makes of a text that is not cut into pieces, as a provider counts it.
fn counted_whole(base: BaseTokenizer, text: &str) -> u64 {
    let table = match base {
        BaseTokenizer::O200k => tiktoken_rs::o200k_base_singleton(),
        BaseTokenizer::Cl100k => tiktoken_rs::cl100k_base_singleton(),
    };
    table.count_ordinary(text) as u64
}

#[test]
fn a_long_prompt_counts_no_more_than_was_held_although_it_is_counted_in_pieces() {
    let counter = Counter::new();
    for (name, text) in adversarial() {
        let text = vec![text.as_str(); (100 << 10) / text.len() + 1].join("\n");
        let call = call(&json!(text));
        let beside = beside(&call, MediaBounds::default());
        let (whole, _) = canonical::whole_prompt_text(call.body());
        let around = overhead(&call.prompt_size, &MediaBounds::default());
        assert!(text.len() > 100_000);
        let settled = BaseTokenizer::ALL.map(|base| counted_whole(base, &text) + around);
        for model in ["gpt-4o", "gpt-4", "claude-opus-4"] {
            let held = counter.input_bound([model].into_iter(), &whole, &beside);
            let family = Family::of(model);
            let bases = if family.is_exact { vec![family.base] } else { BaseTokenizer::ALL.to_vec() };
            for base in bases {
                let settled = settled[base as usize];
                assert!(settled <= held, "{name} {model} {base:?}: {settled} of {held}");
            }
        }
    }
}

#[test]
fn a_count_makes_room_that_bytes_do_not() {
    let counter = Counter::new();
    for (model, text, share) in [("gpt-4o", ENGLISH, 3), ("deepseek-chat", ENGLISH, 1), ("deepseek-chat", CHINESE, 1)] {
        let call = call(&json!(text.repeat(20)));
        let beside = beside(&call, MediaBounds::default());
        let (whole, _) = canonical::whole_prompt_text(call.body());
        let by_count = counter.input_bound([model].into_iter(), &whole, &beside);
        let by_bytes = input_bound(call.prompt_bytes(), &beside);
        assert!(by_count * share < by_bytes, "{model}: {by_count} by count, {by_bytes} by bytes");
    }
}

#[test]
fn every_field_that_may_reach_the_model_is_measured() {
    let long = "a b c d e f g h ".repeat(100);
    for field in ["tools", "functions", "response_format", "tool_resources", "anything_new", "system", "prediction"] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], (field): {"x": long}});
        let call = Call::parse(Operation::Chat, Bytes::from(body.to_string()), &Bounds::default()).expect("a call");
        let (whole, _) = canonical::whole_prompt_text(call.body());
        assert!(call.prompt_bytes() > 1_600 && whole.contains(&long), "{field}");
    }
    let number = format!(
        r#"{{"model":"m","messages":[{{"role":"tool","content":{{"t":[{}1]}}}}],"stop":["{long}"]}}"#,
        "1,".repeat(800)
    );
    let call = Call::parse(Operation::Chat, Bytes::from(number), &Bounds::default()).expect("a call");
    let (whole, _) = canonical::whole_prompt_text(call.body());
    assert!(call.prompt_bytes() > 1_600 && whole.len() > 1_600, "what is no string counts");
    assert!(!whole.contains(&long), "and what only ends an answer does not");
}

#[test]
fn a_template_that_was_rendered_is_measured() {
    let mut call = call(&json!("x"));
    let before = call.prompt_bytes();
    call.with_message("system", ENGLISH, crate::call::Place::First);
    assert!(call.prompt_bytes() >= before + ENGLISH.len() as u64);
}

#[test]
fn media_are_held_for_by_the_models_own_rule() {
    let url = |kind: &str, bytes: usize| format!("data:{kind};base64,{}", "A".repeat(bytes * 4 / 3));
    // 8 000 pixels square, 20 pages, a minute of speech at 24 kbit a second.
    let image = json!([{"type": "image_url", "image_url": {"url": url("image/png", 20 << 20)}}]);
    let remote = json!([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]);
    let pdf = json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": url("application/pdf", 60_000)}}]);
    let stored = json!([{"type": "file", "file": {"file_id": "file-1"}}]);
    // The first frame of an MP3, and what follows.
    let mp3 = format!("//uQ{}", "A".repeat(240_000));
    let speech = json!([{"type": "input_audio", "input_audio": {"data": mp3, "format": "mp3"}}]);
    let video = json!([{"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}]);
    let cases = [
        // What the vendors' documents say that it counts at most.
        ("gpt-4o", &image, 1_445),
        ("gpt-4o-mini", &image, 48_169),
        ("gpt-5", &image, 3_779),
        ("claude-opus-4", &image, 8_848),
        ("gemini-2.5-pro", &image, 10_000),
        // Nobody knows: as much as the costliest that is known.
        ("qwen-vl-max", &image, 48_169),
        ("qwen-vl-max", &remote, 48_169),
        ("claude-opus-4", &pdf, 20 * (3_000 + 1_600)),
        ("gpt-4o", &stored, 100 * 2_000),
        ("gpt-4o-audio-preview", &speech, 60 * 10),
        ("gemini-2.5-pro", &speech, 60 * 32),
        ("gemini-2.5-pro", &video, 3_600 * 263),
    ];
    for (model, content, settled) in cases {
        let call = call(content);
        let bounds = MediaBounds::of_model(model).unwrap_or_default();
        let held = input_bound(call.prompt_bytes(), &beside(&call, bounds));
        assert!(settled <= held && held < 4_000_000, "{model}: {settled} of {held}");
        let estimated = estimate(&call.prompt_size, &bounds);
        assert!(estimated <= held, "{model}: {estimated} of {held}");
    }
}

#[test]
fn an_estimate_of_media_is_never_above_their_bounds() {
    let none = MediaBounds { image_tokens_max: 0, audio_seconds_max: 2, pdf_pages_max: 0, ..MediaBounds::default() };
    for (content, media) in [
        (json!([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]), 0),
        (json!([{"type": "file", "file": {"file_id": "f"}}]), 0),
        (json!([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]), 32),
    ] {
        let call = call(&content);
        let bounded = overhead(&call.prompt_size, &none);
        assert_eq!(bounded, 6 + 3 + media, "{content}");
        assert!(estimate(&call.prompt_size, &none) <= input_bound(call.prompt_bytes(), &beside(&call, none)));
    }
}

/// The base64 of a sound that begins with these bytes.
fn sound(front: &[u8], bytes: usize) -> String {
    use base64::Engine;
    let mut sound = front.to_vec();
    sound.resize(bytes, 0);
    base64::engine::general_purpose::STANDARD.encode(sound)
}

/// The first bytes of a WAVE file: one channel of so many samples a second, of two bytes each.
fn wave(format: u16, samples: u32) -> Vec<u8> {
    let rate = samples * 2;
    [
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".as_slice(),
        &format.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &samples.to_le_bytes(),
        &rate.to_le_bytes(),
        &2_u16.to_le_bytes(),
        &16_u16.to_le_bytes(),
        b"data\0\0\0\0",
    ]
    .concat()
}

#[test]
fn a_sound_is_held_for_by_its_bytes_where_they_show_how_long_it_is() {
    let id3 = b"ID3\x04\0\0\0\0\0\x05title\xff\xf3\x14\xc4".as_slice();
    for (name, data, seconds) in [
        ("speech", sound(&wave(1, 16_000), 320_000), 10..=12),
        ("slow samples", sound(&wave(1, 100), 320_000), 1_600..=1_602),
        ("a compressed WAVE", sound(&wave(0x31, 16_000), 320_000), 14_400..=14_400),
        ("MP3", sound(&[0xff, 0xf3, 0x14, 0xc4], 60_000), 60..=62),
        ("MP3 behind a title", sound(id3, 60_000), 60..=62),
        ("silence in FLAC", sound(b"fLaC\0\0\0\x22", 60_000), 3_000..=3_800),
        ("Opus", sound(b"OggS\0\x02", 240_000), 14_400..=14_400),
        ("AAC", sound(&[0xff, 0xf1, 0x50, 0x80], 240_000), 14_400..=14_400),
    ] {
        let escaped = data.replacen('A', "\\u0041", 9);
        for data in [data, escaped] {
            let part = format!(r#"[{{"type":"input_audio","input_audio":{{"data":"{data}","format":"wav"}}}}]"#);
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{part}}}]}}"#);
            let call = Call::parse(Operation::Chat, Bytes::from(body), &Bounds::default()).expect("a call");
            let media = call.prompt_size.media;
            let held = MediaBounds::default().tokens(&media) / 32;
            assert_eq!(media.audios, 1);
            assert!(seconds.contains(&held) || data.contains('\\') && held >= *seconds.start(), "{name}: {held} s");
        }
    }
}

#[test]
fn bytes_that_only_look_like_media_are_text() {
    let text = "AAAA".repeat(5_000);
    for content in [
        json!([{"type": "text", "text": "x", "data": text}]),
        json!([{"type": "text", "text": "x", "url": format!("data:image/png;base64,{text}")}]),
        json!({"file_data": text}),
        json!([{"type": "file", "file": {"file_data": format!("data:text/plain;base64,{text}")}}]),
    ] {
        assert!(call(&content).prompt_bytes() > 20_000, "{content}");
    }
}

#[test]
fn the_larger_of_several_models_counts() {
    let counter = Counter::new();
    let beside = NonTextInput { media: Media::default(), bounds: MediaBounds::default(), has_tools: true };
    let each = |model: &str| counter.input_bound([model].into_iter(), ENGLISH, &beside);
    let both = counter.input_bound(["gpt-4o", "claude-opus-4"].into_iter(), ENGLISH, &beside);
    assert_eq!(both, each("gpt-4o").max(each("claude-opus-4")));
    let [large, small] = ["gpt-4o", "gpt-4o-mini"].map(|model| MediaBounds::of_model(model).expect("known"));
    assert_eq!(large.or_larger(small).image_tokens_max, 48_169);
}
