//! The rules of the house, held by reading the tree: which room may import which, which crate has which doors, how
//! long a file may grow, and whether the documents still name what the code names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each foreign crate and the rooms that may name it. A new door is a design decision: change this table first.
const DOORS: &[(&str, &[&str])] = &[
    ("aes_gcm", &["secret"]),
    ("anyhow", &["main"]),
    ("arc_swap", &["gateway"]),
    ("async_trait", &["edge"]),
    ("axum", &["admin"]),
    ("base64", &["dialect", "secret", "demo"]),
    ("clap", &["main"]),
    ("crc32fast", &["framing", "ledger"]),
    ("getrandom", &["secret"]),
    ("hmac", &["plugin", "secret"]),
    ("http", &["upstream", "config", "engine", "edge"]),
    ("jsonwebtoken", &["sign"]),
    ("mimalloc", &["main"]),
    ("parking_lot", &["limit", "store", "upstream", "ledger", "metrics", "gateway"]),
    ("pingora", &["upstream", "edge", "server"]),
    ("postcard", &["store", "ledger"]),
    ("prometheus", &["metrics"]),
    ("rustix", &["plugin"]),
    ("sha2", &["plugin", "secret"]),
    ("sled", &["store"]),
    ("tiktoken_rs", &["usage"]),
    ("tokio", &["upstream", "engine", "edge", "demo"]),
    ("toml", &["config"]),
    ("tracing_subscriber", &["main"]),
    ("wasmparser", &["plugin"]),
    ("wasmtime", &["plugin"]),
    ("zeroize", &["plugin", "sign", "secret"]),
];

/// Crates of plain values and words, at home in every room.
const EVERYWHERE: &[&str] = &["bytes", "memchr", "serde", "serde_json", "thiserror", "tracing"];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] =
    &["common", "handler", "helper", "helpers", "manager", "misc", "mod", "types", "util", "utils"];

const LINES_MAX: usize = 400;

/// What stands beside the codes in the files that name them, and is none: OpenAI's error types.
const KINDS: &[&str] = &["invalid_request_error", "permission_error", "rate_limit_error", "server_error"];

#[test]
fn rooms_import_only_from_rooms_above() {
    let rooms = rooms();
    let place = |room: &str| rooms.iter().position(|it| it == room);
    let mut faults = Vec::new();
    for (at, room) in rooms.iter().enumerate() {
        for file in files_of(room) {
            let below = rooms_named(&file).into_iter().filter(|used| place(used).is_some_and(|used| used > at));
            faults.extend(below.map(|used| format!("{}: `{used}` stands below `{room}`", file.display())));
        }
    }
    none(&faults);
}

#[test]
fn foreign_crates_enter_by_their_doors() {
    let mut used = BTreeMap::<String, BTreeSet<String>>::new();
    for room in rooms().into_iter().chain(["main".to_owned()]) {
        for file in files_of(&room).iter().filter(|file| !is_test(file)) {
            for path in paths(&code_of(file)).into_iter().filter(|path| !path.in_tests) {
                used.entry(path.names[0].clone()).or_default().insert(room.clone());
            }
        }
    }
    let mut faults = Vec::new();
    for (name, doors) in DOORS {
        let doors: BTreeSet<String> = doors.iter().map(|door| (*door).to_owned()).collect();
        let used = used.remove(*name).unwrap_or_default();
        if used != doors {
            faults.push(format!("`{name}` is named by {used:?}, and has its doors in {doors:?}"));
        }
    }
    none(&faults);
}

#[test]
fn every_dependency_has_a_line_in_the_table() {
    let manifest = read(&root().join("proxy/Cargo.toml"));
    let after = manifest.split_once("[dependencies]\n").expect("the manifest has dependencies").1;
    let lines = after.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split(['.', '=', ' ']).next()).filter(|name| !name.is_empty());
    let depended: BTreeSet<String> = names.map(|name| name.replace('-', "_")).collect();
    let tabled = DOORS.iter().map(|(name, _)| *name).chain(EVERYWHERE.iter().copied());
    assert_eq!(depended, tabled.map(str::to_owned).collect());
}

#[test]
fn every_module_says_what_it_is() {
    let mute = |file: &PathBuf| !is_test(file) && !read(file).starts_with("//! ");
    let faults = sources().into_iter().filter(mute).map(|file| format!("{}: does not open with `//!`", file.display()));
    none(&faults.collect::<Vec<_>>());
}

#[test]
fn long_files_give_a_reason() {
    let mut faults = Vec::new();
    for file in sources() {
        let text = read(&file);
        let lines = text.lines().count();
        let reasoned = text.lines().any(|line| line.starts_with("//! Long because"));
        if lines > LINES_MAX && !reasoned {
            faults.push(format!("{}: {lines} lines, and no `//! Long because …`", file.display()));
        }
    }
    none(&faults);
}

#[test]
fn names_say_something() {
    let mut faults = Vec::new();
    for file in sources() {
        let code = code_of(&file);
        let words = words(&code);
        let modules = words.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1]);
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        for name in modules.chain([stem]).filter(|name| EMPTY_NAMES.contains(name)) {
            faults.push(format!("{}: `{name}` says nothing", file.display()));
        }
    }
    none(&faults);
}

#[test]
fn every_file_in_config_loads() {
    let folder = root().join("config");
    let build = |text: &str| tollgate::config::build(text, |_| None);
    let files = fs::read_dir(&folder).expect("the tree has a config folder").map(|entry| entry.expect("is read").path());
    let mut loaded = 0;
    for file in files.filter(|file| file.extension().is_some_and(|it| it == "toml")) {
        let text = read(&file);
        let outcome = if file.ends_with("prices.toml") {
            build(&read(&folder.join("tollgate.toml"))).and_then(|mut config| config.add_prices(&text))
        } else {
            build(&text).map(drop)
        };
        if let Err(faults) = outcome {
            panic!("{}: {faults}", file.display());
        }
        loaded += 1;
    }
    assert!(loaded > 0, "config holds no file");
}

#[test]
fn the_readme_names_every_metric() {
    let named: BTreeSet<String> = tollgate::metrics::names().map(str::to_owned).collect();
    assert_eq!(table("Metrics"), named);
}

#[test]
fn the_readme_names_every_error_code() {
    let mut named = BTreeSet::new();
    for file in ["error.rs", "call/invalid.rs", "upstream.rs"] {
        named.extend(snake_case_texts(&read(&root().join("proxy/src").join(file))));
    }
    for kind in KINDS {
        assert!(named.remove(*kind), "no code says `{kind}` any more");
    }
    assert_eq!(table("Errors"), named);
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The first cells of the table under a heading of the README, without their backticks.
fn table(heading: &str) -> BTreeSet<String> {
    let readme = read(&root().join("README.md"));
    let (_, after) = readme.split_once(&format!("\n## {heading}\n")).expect("the README has the heading");
    let section = after.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(name, _)| name.to_owned()).collect()
}

/// Text literals such as `key_expired`, of the code that is not a test.
fn snake_case_texts(source: &str) -> Vec<String> {
    let source = without_comments(source);
    let source = source.split("mod tests {").next().unwrap_or_default();
    let is_code = |text: &&str| text.contains('_') && text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
    source.split('"').skip(1).step_by(2).filter(is_code).map(str::to_owned).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the proxy lies in the workspace").to_owned()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The rooms in the order of the corridor.
fn rooms() -> Vec<String> {
    let lib = read(&root().join("proxy/src/lib.rs"));
    let names = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.split_once(';'));
    let rooms: Vec<String> = names.map(|(name, _)| name.to_owned()).collect();
    assert!(rooms.len() > 15, "lib.rs lists the rooms as `pub mod room;`");
    rooms
}

/// A room's file and all files below it.
fn files_of(room: &str) -> Vec<PathBuf> {
    let source = root().join("proxy/src");
    let mut files = vec![source.join(room).with_extension("rs")];
    gather(&source.join(room), &mut files);
    files
}

/// Every source file of the workspace that ships.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    gather(&root().join("proxy/src"), &mut files);
    gather(&root().join("benches"), &mut files);
    for plugin in fs::read_dir(root().join("plugins")).expect("the tree has plugins") {
        gather(&plugin.expect("is read").path().join("src"), &mut files);
    }
    files
}

/// Adds the Rust files below `folder`, if there is such a folder.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("is read").path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The rooms that a file's paths lead to, by `crate::` or by enough of `super::`.
fn rooms_named(file: &Path) -> BTreeSet<String> {
    let inside = file.strip_prefix(root().join("proxy/src")).expect("rooms lie there");
    let depth = inside.components().count();
    let mut rooms = BTreeSet::new();
    for path in paths(&code_of(file)) {
        let ups = path.names.iter().take_while(|name| *name == "super").count();
        let room = match path.names[0].as_str() {
            "crate" => path.names.get(1),
            "super" if ups >= depth + path.modules => path.names.get(ups),
            _ => None,
        };
        rooms.extend(room.cloned());
    }
    rooms
}

/// A path as code writes it, with any group unfolded.
struct Named {
    names: Vec<String>,
    /// In how many `mod name { … }` of its file it stands.
    modules: usize,
    in_tests: bool,
}

/// Every path of at least two names.
fn paths(code: &str) -> Vec<Named> {
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
            Some(&"{") if prefix.len() > own || own > 0 => {
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

fn code_of(file: &Path) -> String {
    let text = without_comments(&read(file));
    text.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Names, `::`, and every other sign for itself.
fn words(code: &str) -> Vec<&str> {
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

#[test]
fn the_reader_of_code_reads_it_right() {
    let code = r##"
        use a::{b::{self, c}, d}; // crate::comment
        use super::super::x::Y;
        fn f<'a>(it: &'a str) -> Vec::<u8> { let q = '"'; it.e::<T>::g(r#"h::i " j"#, "k::l"); '\'' ; m::n!() }
        mod tests { use super::super::o; }
    "##;
    let text = without_comments(code);
    let code = text.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let found: Vec<String> = paths(&code).iter().map(|it| format!("{} {}", it.names.join("::"), it.modules)).collect();
    let wanted = ["a::b::self 0", "a::b::c 0", "a::d 0", "super::super::x::Y 0", "m::n 0", "super::super::o 1"];
    assert_eq!(found, wanted);
    assert_eq!(snake_case_texts(r#"x("key_expired", "Key_x", "a", "b_c d") // "no_no""#), ["key_expired"]);
}
