//! Reads Rust well enough to tell which paths a file names and which texts it holds. Knows nothing of the house.

/// The modules that a file declares.
pub(crate) fn modules<'c>(words: &[&'c str]) -> Vec<&'c str> {
    words.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1]).collect()
}

/// A path as code writes it, with any group unfolded.
pub(crate) struct Named {
    pub(crate) names: Vec<String>,
    /// In how many `mod name { … }` of its file it stands.
    pub(crate) modules: usize,
    pub(crate) in_tests: bool,
}

/// Every path of at least two names.
pub(crate) fn paths(code: &str) -> Vec<Named> {
    let words = words(code);
    let mut found = Vec::new();
    let mut braces: Vec<Option<&str>> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let before = |back: usize| at.checked_sub(back).map_or("", |at| words[at]);
        match words[at] {
            "{" => braces.push((before(2) == "mod").then(|| before(1))),
            "}" => drop(braces.pop()),
            word if is_name(word) && before(1) != "." && !(before(1) == "::" && ends_path(before(2))) => {
                let mut unfolded = Vec::new();
                let next = unfold(&words, at, &mut Vec::new(), &mut unfolded);
                let modules = braces.iter().flatten().count();
                let in_tests = braces.iter().flatten().any(|name| *name == "tests");
                found.extend(unfolded.into_iter().map(|names| Named { names, modules, in_tests }));
                at = next;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found.retain(|path| path.names.len() > 1);
    found
}

/// Reads one path from `at` on and returns where it ends; what a group holds becomes one path each.
fn unfold(words: &[&str], mut at: usize, prefix: &mut Vec<String>, out: &mut Vec<Vec<String>>) -> usize {
    let own = prefix.len();
    loop {
        match words.get(at) {
            Some(&"{") => {
                at += 1;
                while words.get(at).is_some_and(|word| *word != "}") {
                    at = if is_name(words[at]) { unfold(words, at, prefix, out) } else { at + 1 };
                }
                prefix.truncate(own);
                return at + 1;
            }
            Some(word) if is_name(word) => prefix.push((*word).to_owned()),
            _ => break,
        }
        at += 1;
        match words.get(at) {
            Some(&"::") => at += 1,
            _ => break,
        }
    }
    out.push(prefix.clone());
    prefix.truncate(own);
    at
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// Whether `::` after this word goes on with a path, rather than beginning one.
fn ends_path(word: &str) -> bool {
    is_name(word) || word == ">"
}

/// The code alone: no comment, and nothing of a text.
pub(crate) fn code(source: &str) -> String {
    without_comments(source).split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Names, `::`, and every other sign for itself.
pub(crate) fn words(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let within = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let length = match first {
            first if within(first) => rest.find(|it| !within(it)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    words
}

/// The code without comments and with no quotation mark but those around texts.
fn without_comments(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (kept, length) = match first {
            '/' if rest.starts_with("//") => ("", rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => ("", rest.find("*/").map_or(rest.len(), |end| end + 2)),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#") => match raw_text(rest) {
                Some(length) => ("\"\"", length),
                None => ("r", 1),
            },
            '"' => {
                let length = text_length(rest);
                let plain = !rest[1..length - 1].contains('\\');
                (if plain { &rest[..length] } else { "\"\"" }, length)
            }
            '\'' => match letter_length(rest) {
                Some(length) => ("''", length),
                None => ("'", 1),
            },
            _ => (&rest[..first.len_utf8()], first.len_utf8()),
        };
        code.push_str(kept);
        rest = &rest[length..];
    }
    code
}

/// The length of the text literal that `rest` begins with.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.expect("a text literal ends") + 2
}

/// The length of the raw text literal that `rest` begins with, if it is one and no raw name.
fn raw_text(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    let body = rest[1 + hashes..].strip_prefix('"')?;
    let end = body.find(&format!("\"{}", "#".repeat(hashes))).expect("a raw text literal ends");
    Some(1 + hashes + 1 + end + 1 + hashes)
}

/// The length of the letter literal that `rest` begins with, if it is one and no lifetime.
fn letter_length(rest: &str) -> Option<usize> {
    let mut letters = rest.char_indices().skip(1);
    let (_, letter) = letters.next()?;
    if letter == '\\' {
        let escape = letters.next()?.0 + 1;
        return rest[escape..].find('\'').map(|end| escape + end + 1);
    }
    let (end, quote) = letters.next()?;
    (quote == '\'').then_some(end + 1)
}

/// Text literals such as `key_expired`, of the code that is not a test.
pub(crate) fn snake_case_texts(source: &str) -> Vec<String> {
    let source = without_comments(source);
    let source = source.split("mod tests {").next().unwrap_or_default();
    let is_code = |text: &&str| text.contains('_') && text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
    source.split('"').skip(1).step_by(2).filter(is_code).map(str::to_owned).collect()
}

#[test]
fn the_reader_of_code_reads_it_right() {
    let source = r##"
        use a::{b::{self, c}, d}; // crate::comment
        use super::super::x::Y;
        fn f<'a>(it: &'a str) -> Vec::<u8> { let q = '"'; it.e::<T>::g(r#"h::i " j"#, "k::l"); '\'' ; m::n!() }
        mod tests { use super::super::o; }
    "##;
    let code = code(source);
    let found: Vec<String> = paths(&code).iter().map(|it| format!("{} {}", it.names.join("::"), it.modules)).collect();
    let wanted = ["a::b::self 0", "a::b::c 0", "a::d 0", "super::super::x::Y 0", "m::n 0", "super::super::o 1"];
    assert_eq!(found, wanted);
    assert_eq!(snake_case_texts(r#"x("key_expired", "Key_x", "a", "b_c d") // "no_no""#), ["key_expired"]);
}
