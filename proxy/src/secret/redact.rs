//! Removing keys from text that somebody will read: a provider's message, a log line, an error.

use std::borrow::Cow;

use super::Secret;

/// What stands where a key stood.
const REDACTED: &str = "[redacted]";

const VALUE_BYTES_MIN: usize = 6;

/// How keys of the known providers begin, and how long one is at least.
const PREFIXES: &[(&str, usize)] = &[
    ("sk-", 11),
    ("sk_", 11),
    ("tg-admin-", 17),
    ("AIza", 20),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ya29.", 16),
    ("eyJ", 24),
    ("gsk_", 16),
    ("xai-", 16),
    ("hf_", 16),
    ("pplx-", 16),
    ("ghp_", 16),
];

/// Names after which a secret follows: `api_key=…`, `"x-api-key": "…"`.
const NAMES: &[&str] = &[
    "api_key",
    "api-key",
    "apikey",
    "access_token",
    "access-token",
    "secret",
    "password",
    "token",
    "key",
    "signature",
    "authorization",
];

/// Schemes after which a secret follows, behind one space.
const SCHEMES: &[&str] = &["bearer ", "basic "];

/// Removes the secrets it was given, and whatever has the form of a key.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    known: Vec<Secret>,
}

impl Redactor {
    /// Shorter secrets are not searched for: they would take ordinary words with them.
    pub const KNOWN_BYTES_MIN: usize = 8;

    pub fn new(known: impl IntoIterator<Item = Secret>) -> Redactor {
        let mut known: Vec<Secret> =
            known.into_iter().filter(|secret| secret.expose().len() >= Redactor::KNOWN_BYTES_MIN).collect();
        // The longest first, so that a secret within another does not leave the other's ends standing.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Redactor { known }
    }

    /// `text` without keys. Borrowed when there was none.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut seen = Cow::Borrowed(text);
        for secret in &self.known {
            if seen.contains(secret.expose()) {
                seen = Cow::Owned(seen.replace(secret.expose(), REDACTED));
            }
        }
        match without_forms(&seen) {
            Some(redacted) => Cow::Owned(redacted),
            None => seen,
        }
    }
}

/// `text` without what looks like a key; none if nothing does.
fn without_forms(text: &str) -> Option<String> {
    let mut redacted = String::new();
    let mut kept_to = 0;
    let mut at = 0;
    while at < text.len() {
        let begins_word = !text.as_bytes()[..at].last().is_some_and(u8::is_ascii_alphanumeric);
        let found = if begins_word && text.is_char_boundary(at) { form_at(&text[at..]) } else { None };
        let Some((keep, cut)) = found else {
            at += 1;
            continue;
        };
        redacted.push_str(&text[kept_to..at + keep]);
        redacted.push_str(REDACTED);
        at += keep + cut;
        kept_to = at;
    }
    (kept_to > 0).then(|| redacted + &text[kept_to..])
}

/// If a key stands at the beginning of `text`: how many bytes before it stay, and how many it has.
fn form_at(text: &str) -> Option<(usize, usize)> {
    for (prefix, bytes_min) in PREFIXES {
        if text.starts_with(prefix) {
            let bytes = run(text);
            return (bytes >= *bytes_min).then_some((0, bytes));
        }
    }
    for scheme in SCHEMES {
        if starts_with_ignoring_case(text, scheme) {
            let bytes = run(&text[scheme.len()..]);
            return (bytes >= VALUE_BYTES_MIN).then_some((scheme.len(), bytes));
        }
    }
    let name = NAMES.iter().find(|name| starts_with_ignoring_case(text, name))?;
    let rest = &text[name.len()..];
    let value = rest.trim_start_matches(['"', '\'', ' ']);
    let value = value.strip_prefix([':', '='])?.trim_start_matches(['"', '\'', ' ', '\\']);
    // `authorization: Bearer …` is the scheme's to find.
    if SCHEMES.iter().any(|scheme| starts_with_ignoring_case(value, scheme)) {
        return None;
    }
    let bytes = run(value);
    (bytes >= VALUE_BYTES_MIN).then_some((text.len() - value.len(), bytes))
}

/// How many bytes at the beginning of `text` may belong to a key. Providers blank the middle with asterisks.
fn run(text: &str) -> usize {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.*+/=~%".contains(&byte);
    let bytes = text.bytes().take_while(|byte| belongs(*byte)).count();
    // The full stop that ends a sentence is not the key's.
    text[..bytes].trim_end_matches('.').len()
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}
