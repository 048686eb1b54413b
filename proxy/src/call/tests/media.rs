//! What a prompt holds that is not text.

use super::*;

fn size(content: &str) -> PromptSize {
    chat(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#)).prompt_size
}

fn media(content: &str) -> Media {
    size(content).media
}

const NONE: Media =
    Media { payload_bytes: 0, images: 0, videos: 0, audios: 0, audio_seconds_max: 0, audios_remote: 0, documents: 0 };

#[test]
fn media_are_told_apart_and_text_is_no_media() {
    for (content, expected) in [
        (r#"[{"type":"image_url","image_url":{"url":"https://x"}}]"#, Media { images: 1, ..NONE }),
        (r#"[{"type":"image_url","image_url":"https://x"}]"#, Media { images: 1, ..NONE }),
        (r#"[{"type":"input_image","image_url":"https://x"}]"#, Media { images: 1, ..NONE }),
        (r#"[{"type":"video_url","video_url":{"url":"https://x"}}]"#, Media { videos: 1, ..NONE }),
        (r#"[{"type":"video","video":["https://x","https://y"]}]"#, Media { videos: 1, ..NONE }),
        (
            r#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}]"#,
            Media { audios: 1, audio_seconds_max: 1, payload_bytes: 4, ..NONE },
        ),
        (r#"[{"type":"audio_url","audio_url":{"url":"https://x"}}]"#, Media { audios_remote: 1, ..NONE }),
        (
            r#"[{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA"}}]"#,
            Media { documents: 1, payload_bytes: 32, ..NONE },
        ),
        (
            r#"[{"type":"file","file":{"filename":"a.pdf","file_data":"AAAA"}},{"type":"text","text":"a"}]"#,
            Media { documents: 1, payload_bytes: 4, ..NONE },
        ),
        (r#"[{"type":"file","file":{"file_id":"f"}}]"#, Media { documents: 1, ..NONE }),
        (
            r#"[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]"#,
            Media { images: 1, payload_bytes: 4, ..NONE },
        ),
        // What providers take for a document in an image's place.
        (
            r#"[{"type":"image_url","image_url":{"url":"data:application/pdf;base64,AAAA"}}]"#,
            Media { images: 1, documents: 1, payload_bytes: 32, ..NONE },
        ),
        // Bytes that no part announces, and text that calls itself a file, are text.
        (r#"[{"file_data":"AAAA"}]"#, NONE),
        (r#"{"url":"data:image/png;base64,AAAA"}"#, Media { images: 1, ..NONE }),
        (r#"[{"type":"file","file":{"file_data":"data:text/plain;base64,AAAA"}}]"#, NONE),
        // Fields that say nothing.
        (r#"[{"type":"text","text":"a","image_url":null,"file":null,"input_audio":null}]"#, NONE),
    ] {
        assert_eq!(media(content), expected, "{content}");
    }
    assert_eq!(size(r#"[{"file_data":"AAAA"},{"url":"data:,x"}]"#).ascii_bytes, 4 + 7);
}

#[test]
fn no_way_of_writing_an_image_makes_it_text() {
    for part in [
        r#"{"type":"image\u005furl","image_url":{"url":"https://x"}}"#,
        r#"{"typ\u0065":"image_url","image_url":{"url":"https://x"}}"#,
        r#"{"Type":"image_url"}"#,
        r#"{"image_url":{"url":"https://x"}}"#,
        r#"{"image\u005furl":{"url":"https://x"}}"#,
        r#"{"IMAGE_URL":"https://x"}"#,
        r#"{"type":"text","image_url":{"url":"https://x"}}"#,
        r#"{"type":"image_url","image_url":{"url":"data:image\/png;base64,AAAA"}}"#,
        r#"{"type":"image_url","image_url":{"url":"DATA:image/png;base64,AAAA"}}"#,
        r#"{"type":"image_url","image_url":{"url":"d\u0061ta:image/png;base64,AAAA"}}"#,
        r#"{"type":"image_url","image_url":{"\u0075rl":"data:image/png;base64,AAAA"}}"#,
    ] {
        assert_eq!(media(&format!("[{part}]")).images, 1, "{part}");
        assert_eq!(media(&format!("[{part},{part}]")).images, 2, "{part}");
    }
}

#[test]
fn no_way_of_writing_a_document_makes_it_small() {
    for part in [
        r#"{"file":{"file_id":"f"}}"#,
        r#"{"type":"fil\u0065","file":{"file_id":"f"}}"#,
        // Bytes beside it do not stand for what lies elsewhere.
        r#"{"type":"file","file":{"file_id":"f"}},{"type":"text","text":"x","data":"A"}"#,
        r#"{"type":"file","file":{"file_id":"f"}},{"type":"text","text":"x","url":"data:text/plain,"}"#,
        r#"{"type":"file","file":{"file_id":"f","file_data":"data:text/plain,"}}"#,
        // Some go by the first bytes, whatever the type.
        r#"{"type":"file","file":{"file_data":"data:text/plain;base64,JVBERi0xLjQK"}}"#,
        r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,JVBERi0xLjQK"}}"#,
        r#"{"type":"image_url","image_url":{"url":"data:;base64, JVBERi0xLjQK"}}"#,
        r#"{"type":"image_url","image_url":{"url":"DATA:application/pdf;base64,JVBERi0xLjQK"}}"#,
        r#"{"type":"image_url","image_url":{"url":"data:application\/pdf;base64,\u004aVBERi0xLjQK"}}"#,
        r#"{"type":"document","source":{"type":"text","type":"base64","data":"AAAA"}}"#,
    ] {
        assert_eq!(media(&format!("[{part}]")).documents, 1, "{part}");
    }
    let url = r#"[{"type":"input_audio","input_audio":{"data":"https:\/\/x\/y.wav"}}]"#;
    assert_eq!(media(url).audios_remote, 1, "a URL in the place of bytes");
}

#[test]
fn a_native_document_of_text_is_text() {
    let long = "plain words ".repeat(100);
    let part = format!(
        r#"[{{"type":"document","source":{{"type":"text","media_type":"text/plain","data":"{long}"}},"title":"t"}}]"#
    );
    let size = size(&part);
    assert_eq!(size.media, NONE);
    assert!(size.ascii_bytes >= 1_200, "{size:?}");
}
