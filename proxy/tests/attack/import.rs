//! Guests that misuse what they were granted. Rows 36 and 37.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{evil, support::*};

/// Keeps the lines that reach the operator.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

/// The lines of `calls` calls, and how many of the plugin's seconds they may have touched: those count from its loading.
fn lines_of(guest: &super::guest::Guest, calls: usize) -> (Vec<String>, usize) {
    let began = Instant::now();
    let adapter = load(guest);
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        for _ in 0..calls {
            encode(&adapter).unwrap().unwrap();
        }
    });
    let seconds = began.elapsed().as_secs() as usize + 1;
    still_good(host());
    (Arc::into_inner(lines.0).unwrap().into_inner().unwrap(), seconds)
}

#[test]
fn a_log_flood_is_cut_off() {
    let (lines, _) = lines_of(&evil::logs(1000, 4), 1);
    assert_eq!(lines.len(), 16);
    let (lines, seconds) = lines_of(&evil::logs(1000, 4), 100);
    assert!((50..=50 * seconds).contains(&lines.len()), "{} lines of {seconds} s", lines.len());
}

#[test]
fn a_long_line_of_escapes_is_cut_and_escaped_and_says_whose_it_is() {
    let (lines, _) = lines_of(&evil::logs(1, 1 << 20), 1);
    let [line] = lines.as_slice() else { panic!("{} lines", lines.len()) };
    assert!(line.len() < 2048, "{} bytes", line.len());
    assert!(line.contains("\\u{1b}") && !line.contains(char::is_control), "{line:?}");
    assert!(line.contains("plugin=\"evil\""), "{line:?}");
}

#[test]
fn only_the_attempts_own_slot_signs() {
    let signed_with = |slot: &str, secret| {
        let request = load(&evil::signs(slot)).encode(&context(), "{}", secret).unwrap().unwrap();
        request.path
    };
    assert_eq!(signed_with("key", Some(b"secret".as_slice())), "/ok");
    assert_eq!(signed_with("key", None), "/no");
    assert_eq!(signed_with("master", Some(b"secret".as_slice())), "/no");
    still_good(host());
}
