//! The rules of the house, held by reading the tree: which room may import which, which crate has which doors, how
//! long a file may grow, and whether the documents still name what the code names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use circle::Files;
use source::Source;

#[path = "tidy/circle.rs"]
mod circle;
#[path = "tidy/source.rs"]
mod source;

/// Each foreign crate and the rooms, or parts of the binary, that may name it. A new door is a design decision: change this table first.
const DOORS: &[(&str, &[&str])] = &[
    ("aes_gcm", &["secret"]),
    ("anyhow", &["cli"]),
    ("arc_swap", &["gateway"]),
    ("async_trait", &["edge", "server"]),
    ("axum", &["admin", "edge", "server"]),
    ("base64", &["dialect", "secret"]),
    ("clap", &["cli"]),
    ("crc32fast", &["framing", "store", "journal"]),
    ("flate2", &["edge"]),
    ("getrandom", &["secret"]),
    ("hex", &["plugin", "secret", "config"]),
    ("hkdf", &["secret"]),
    ("hmac", &["plugin", "secret"]),
    ("http", &["upstream", "config", "engine", "edge"]),
    ("http_body", &["edge"]),
    ("httparse", &["upstream"]),
    ("jsonwebtoken", &["sign"]),
    ("libc", &["plugin", "main"]),
    ("libmimalloc_sys", &["main"]),
    ("memmap2", &["journal"]),
    ("mimalloc", &["main"]),
    (
        "parking_lot",
        &[
            "plugin",
            "limit",
            "principal",
            "usage",
            "store",
            "upstream",
            "journal",
            "metrics",
            "gateway",
            "edge",
            "server",
        ],
    ),
    ("pbkdf2", &["secret"]),
    ("percent_encoding", &["sign", "edge", "cli"]),
    ("pingora", &["upstream", "edge", "server"]),
    ("postcard", &["store", "journal"]),
    ("prometheus", &["metrics"]),
    ("rustix", &["plugin", "journal", "gateway", "edge", "server", "cli"]),
    ("seccompiler", &["plugin"]),
    ("sha2", &["admin", "plugin", "secret"]),
    ("sled", &["store"]),
    ("smallvec", &["limit"]),
    ("strsim", &["config"]),
    ("subtle", &["secret"]),
    ("tiktoken_rs", &["usage"]),
    ("time", &["config"]),
    ("tokio", &["plugin", "upstream", "gateway", "engine", "admin", "edge", "server"]),
    ("toml", &["config"]),
    ("tollgate_reading", &["call", "dialect"]),
    ("tollgate_fakes", &["server"]),
    ("tower", &["edge"]),
    ("tracing_subscriber", &["cli"]),
    ("ureq", &["cli"]),
    ("wasmparser", &["plugin"]),
    ("wasmtime", &["plugin"]),
    ("zeroize", &["plugin", "sign", "secret"]),
    ("zstd", &["usage", "store", "edge"]),
];

/// Crates of plain values and words, at home in every room.
const EVERYWHERE: &[&str] = &["bytes", "memchr", "serde", "serde_json", "thiserror", "tracing"];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] =
    &["common", "handler", "helper", "helpers", "manager", "misc", "mod", "types", "util", "utils"];

const LINES_MAX: usize = 400;

/// Rooms whose files still form a circle. One that is cured leaves this list; none is ever added.
const KNOWN_CIRCLES: &[&str] = &[];

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
fn files_of_one_room_form_no_circle() {
    let mut faults = Vec::new();
    for room in rooms().into_iter().chain(["cli".to_owned()]) {
        let folder = root().join("proxy/src").join(&room);
        let place = |file: &PathBuf| {
            let below = file.strip_prefix(&folder).unwrap_or(Path::new("")).with_extension("");
            below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
        };
        let files = files_of(&room).into_iter().filter(|file| !is_test(file));
        let files = Files { sources: files.map(|file| (place(&file), parse(&file))).collect(), room };
        let circles = files.circles();
        let known = KNOWN_CIRCLES.contains(&files.room.as_str());
        if known && circles.is_empty() {
            faults.push(format!("`{}` has no circle any more: take it out of `KNOWN_CIRCLES`", files.room));
        } else if !known {
            faults.extend(circles.iter().map(|circle| format!("these name each other: {}", circle.join(", "))));
        }
    }
    none(&faults);
}

#[test]
fn error_types_end_in_error() {
    let mut faults = Vec::new();
    for file in sources().into_iter().filter(|file| !is_test(file)) {
        let wrong = parse(&file).errors().into_iter().filter(|name| !name.ends_with("Error"));
        faults
            .extend(wrong.map(|name| format!("{}: `{name}` is an error and its name does not say so", file.display())));
    }
    none(&faults);
}

#[test]
fn no_test_has_a_fixed_port() {
    let mut files = Vec::new();
    gather(&root().join("proxy/tests"), &mut files);
    gather(&root().join("proxy/fakes"), &mut files);
    gather(&root().join("benches"), &mut files);
    let mut faults = Vec::new();
    for file in files {
        let fixed = parse(&file).texts().into_iter().filter(|text| has_fixed_port(text));
        faults.extend(fixed.map(|text| format!("{}: {text:?} names a port: take port 0", file.display())));
    }
    none(&faults);
}

/// Whether a text names a loopback address with a port other than 0 (any free one) and 1 (nobody's).
fn has_fixed_port(text: &str) -> bool {
    ["127.0.0.1:", "localhost:", "[::1]:", "0.0.0.0:"].iter().any(|host| {
        text.match_indices(host).any(|(at, _)| {
            let digits: String = text[at + host.len()..].chars().take_while(char::is_ascii_digit).collect();
            !matches!(digits.as_str(), "" | "0" | "1")
        })
    })
}

#[test]
fn foreign_crates_enter_by_their_doors() {
    let mut used = BTreeMap::<String, BTreeSet<String>>::new();
    for room in rooms().into_iter().chain(["main".to_owned(), "cli".to_owned()]) {
        let sources: Vec<Source> =
            files_of(&room).iter().filter(|file| !is_test(file)).map(|file| parse(file)).collect();
        let own: BTreeSet<String> = sources.iter().flat_map(Source::modules).collect();
        for path in sources.iter().flat_map(Source::paths).filter(|path| !path.in_tests) {
            if !own.contains(&path.names[0]) {
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
    same("Cargo.toml", &depended, "the table", &tabled.map(str::to_owned).collect());
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
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        for name in parse(&file).modules().into_iter().chain([stem]) {
            if EMPTY_NAMES.contains(&name.as_str()) {
                faults.push(format!("{}: `{name}` says nothing", file.display()));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_file_in_config_loads() {
    let folder = root().join("config");
    let build = |text: &str| tollgate::config::build(text, |_| None);
    let files =
        fs::read_dir(&folder).expect("the tree has a config folder").map(|entry| entry.expect("is read").path());
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
fn the_readme_names_every_room() {
    same("README.md", &table("The house"), "lib.rs", &rooms().into_iter().collect());
}

#[test]
fn the_readme_names_every_metric() {
    let named: BTreeSet<String> = tollgate::metrics::names().map(str::to_owned).collect();
    same("README.md", &table("Metrics"), "the code", &named);
}

#[test]
fn the_readme_names_every_error_code() {
    let mut named = BTreeSet::new();
    for file in ["error.rs", "call/invalid.rs", "upstream.rs"] {
        let is_code =
            |text: &String| text.contains('_') && text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        named.extend(parse(&root().join("proxy/src").join(file)).texts().into_iter().filter(is_code));
    }
    for kind in KINDS {
        assert!(named.remove(*kind), "no code says `{kind}` any more");
    }
    same("README.md", &table("Errors"), "the code", &named);
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn same(one: &str, ones: &BTreeSet<String>, other: &str, others: &BTreeSet<String>) {
    let alone = |name: &str, it: &String| format!("only {name} has `{it}`");
    let mut faults: Vec<String> = ones.difference(others).map(|it| alone(one, it)).collect();
    faults.extend(others.difference(ones).map(|it| alone(other, it)));
    none(&faults);
}

/// The first cells of the table under a heading of the README, without their backticks.
fn table(heading: &str) -> BTreeSet<String> {
    let readme = read(&root().join("README.md"));
    let (_, after) = readme.split_once(&format!("\n## {heading}\n")).expect("the README has the heading");
    let section = after.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(name, _)| name.to_owned()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the proxy lies in the workspace").to_owned()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn parse(file: &Path) -> Source {
    Source::parse(&read(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
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
    gather(&root().join("proxy/fakes"), &mut files);
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
    for path in parse(file).paths() {
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
