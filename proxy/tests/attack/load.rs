//! Components that must not become plugins. Rows 21, 22, 25, 26, 28, 29 and 38.

use std::{fs, path::Path, sync::Arc};

use tollgate::plugin::{Capabilities, Compiler, Host, LoadError, Settings};

use super::{evil, guest::Guest, support::*};

/// A good guest in a world that also imports `interface`, with one function `f`.
fn importing(interface: &str) -> Guest {
    let package = interface.split_once('/').unwrap().0;
    let version = interface.split_once('@').unwrap().1;
    let name = interface.split_once('/').unwrap().1.split_once('@').unwrap().0;
    let mut guest = Guest::good();
    guest.wit = guest.wit.replace("export adapter;", &format!("import {interface}; export adapter;"));
    guest.wit.push_str(&format!("\npackage {package}@{version} {{ interface {name} {{ f: func(); }} }}\n"));
    guest.imports = vec![Box::leak(format!("(import \"{interface}\" \"f\" (func))").into_boxed_str())];
    guest
}

/// A sandbox that keeps its compiled code in `dir`, where there is none yet.
fn host_in(dir: &Path, compiler: Compiler, settings: Settings) -> Host {
    Host::new(settings, &dir.join("c"), compiler, Arc::new(()), Arc::new(())).unwrap()
}

#[test]
fn an_import_that_no_plugin_has_is_refused_by_its_name() {
    for interface in ["wasi:filesystem/types@0.2.0", "wasi:sockets/tcp@0.2.0", "acme:net/dial@1.0.0"] {
        let refused = refusal(&importing(interface));
        assert!(refused.contains(&format!("imports `{interface}`")), "{refused}");
    }
}

#[test]
fn an_import_that_was_not_granted_is_refused_by_its_name() {
    let guest = evil::signs("key").component();
    let refused = host().load_adapter("evil", &guest, Capabilities { sign: false, ..ALL }).err().unwrap();
    assert!(matches!(&refused, LoadError::NotGranted { import } if import == "tollgate:plugin/sign@0.1.0"));
    still_good(host());
}

#[test]
fn an_import_of_types_alone_needs_nothing() {
    assert!(host().load_adapter("good", &Guest::good().component(), Capabilities::default()).is_ok());
}

#[test]
fn a_component_of_another_contract_is_told_what_differs() {
    let mut guest = Guest::good();
    guest.wit = guest.wit.replace("        too-large,\n", "        too-large,\n        too-small,\n");
    let refused = refusal(&guest);
    assert!(refused.contains("`encode` is not the contract's"), "{refused}");
}

#[test]
fn a_damaged_component_is_refused_and_never_run() {
    let whole = Guest::good().component();
    for length in (0..whole.len()).step_by(97) {
        assert!(host().load_adapter("evil", &whole[..length], ALL).is_err(), "{length} bytes");
    }
    still_good(host());
}

#[test]
fn a_flipped_bit_never_takes_the_host_down() {
    let whole = Guest::good().component();
    for at in (8..whole.len()).step_by(whole.len() / 40) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        // Some flips are harmless; those that load must still be contained.
        if let Ok(adapter) = host().load_adapter("evil", &flipped, ALL) {
            let _ = encode(&adapter);
        }
    }
    still_good(host());
}

#[test]
fn compiled_code_is_never_taken_for_a_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_in(dir.path(), compiler(), Settings { calls_max: 1, streams_max: 1, ..Settings::default() });
    host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let files: Vec<_> = fs::read_dir(dir.path().join("c")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("one file, not {files:?}") };
    let compiled = fs::read(file).unwrap();
    // With the digest in front, and without it, where the native object begins.
    let object = compiled.windows(4).position(|bytes| bytes == b"\x7fELF").expect("compiled code is an object");
    refusal_of(&compiled);
    let refused = refusal_of(&compiled[object..]);
    assert!(refused.contains("is compiled code"), "{refused}");
}

#[test]
fn a_core_module_is_told_to_become_a_component() {
    let refused = refusal_of(&wat::parse_str(Guest::good().module()).unwrap());
    assert!(refused.contains("is a core module"), "{refused}");
}

#[test]
fn a_compiler_that_takes_too_long_is_stopped_and_a_good_component_meets_the_same_bound() {
    let bomb = Guest { items: bomb(20_000), ..Guest::good() }.component();
    let settings = Settings { calls_max: 1, streams_max: 1, compile_cpu_s_max: 2, ..Settings::default() };
    // Nothing is compiled there yet.
    let dir = tempfile::tempdir().unwrap();
    let host = host_in(dir.path(), compiler(), settings);
    let refused = host.load_adapter("evil", &bomb, ALL).err().unwrap();
    assert!(matches!(refused, LoadError::Compile(_)), "{refused}");
    still_good(&host);
}

/// Functions that are cheap to write and dear to compile.
fn bomb(functions: usize) -> String {
    let body = "(drop (f64.div (f64.load (i32.const 8)) (f64.load (i32.const 16))))".repeat(40);
    format!("(func {body})").repeat(functions)
}

/// Loads a good component with the program `sh -c script` for a compiler, which must not do.
#[track_caller]
fn compiled_by(script: &str, reason: &str) {
    let compiler = Compiler::Process { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()] };
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { calls_max: 1, streams_max: 1, compile_cpu_s_max: 1, ..Settings::default() };
    let host = host_in(dir.path(), compiler, settings);
    let refused = host.load_adapter("good", &Guest::good().component(), ALL).err().unwrap();
    assert!(matches!(&refused, LoadError::Compile(said) if said.contains(reason)), "{script}: {refused}");
    still_good(super::support::host());
}

#[test]
fn a_compiler_that_fails_is_only_a_refusal() {
    compiled_by("echo no >&2; exit 1", "no");
    compiled_by("kill -KILL $$", "stopped by signal 9");
    // What it answers is not machine code.
    compiled_by("exec cat", "");
}

#[test]
fn a_compiler_that_hangs_is_stopped_by_the_clock() {
    // It takes no processor time, so that only the clock can end it: after four times as long.
    compiled_by("exec sleep 1000", "took more than 4 s");
}

#[test]
fn a_description_is_checked_before_the_plugin_is_there() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    for schema in [deep.as_str(), r#"{"a":NaN}"#, "[]", "", r#"{"a":1,"a":2}"#] {
        let refused = refusal(&evil::describes(schema));
        assert!(refused.contains("failed its first call, `describe`"), "{schema}: {refused}");
    }
    for bytes in [4 << 20, 16 << 20] {
        let refused = refusal(&evil::describes_at_length(bytes));
        assert!(refused.contains("failed its first call, `describe`"), "{bytes}: {refused}");
    }
}
