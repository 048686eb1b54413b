//! Components that must not become plugins. Rows 21, 22, 25, 26, 28, 29 and 38.

use std::sync::Arc;

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
fn features_that_are_switched_off_do_not_compile() {
    for items in [
        "(memory 1 2 shared)",
        "(memory i64 1)",
        "(type (struct))",
        "(func (result i31ref) (ref.i31 (i32.const 1)))",
        "(func $f (return_call $f))",
        "(tag (param i32))",
    ] {
        refusal(&Guest { items: items.into(), ..Guest::good() });
    }
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
    let compiled = std::fs::read_dir(cache_dir())
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .next()
        .unwrap_or_default();
    // With the digest in front and without it, where the native object begins.
    refusal_of(&compiled);
    let refused = refusal_of(b"\x7fELF\x02\x01\x01\xc8");
    assert!(refused.contains("is compiled code"), "{refused}");
}

#[test]
fn a_core_module_is_told_to_become_a_component() {
    let refused = refusal_of(&wat::parse_str(Guest::good().module()).unwrap());
    assert!(refused.contains("is a core module"), "{refused}");
}

#[test]
fn a_component_with_too_many_functions_is_never_compiled() {
    let refused = refusal(&Guest { items: "(func)".repeat(200_000), ..Guest::good() });
    assert!(refused.contains("functions"), "{refused}");
}

#[test]
fn a_compiler_that_takes_too_much_is_stopped() {
    let bomb = Guest { items: bomb(4_000), ..Guest::good() }.component();
    let out_of_memory =
        Settings { compile_memory_bytes_max: 96 << 20, calls_max: 1, streams_max: 1, ..Settings::default() };
    let out_of_time = Settings { compile_cpu_s_max: 0, calls_max: 1, streams_max: 1, ..Settings::default() };
    for settings in [out_of_memory, out_of_time] {
        let refused = host_with(settings).load_adapter("evil", &bomb, ALL).err().unwrap();
        assert!(matches!(refused, LoadError::Compile(_)), "{refused}");
    }
    still_good(host());
}

/// Functions that are cheap to write and dear to compile.
fn bomb(functions: usize) -> String {
    let body = "(drop (f64.div (f64.load (i32.const 8)) (f64.load (i32.const 16))))".repeat(40);
    format!("(func {body})").repeat(functions)
}

#[test]
fn a_compiler_that_fails_or_hangs_is_only_a_refusal() {
    for (program, reason) in [("/bin/false", "does not compile"), ("/bin/cat", "does not compile")] {
        let compiler = Compiler::Process { program: program.into(), args: vec![] };
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { calls_max: 1, streams_max: 1, ..Settings::default() };
        let host = Host::new(settings, &dir.path().join("c"), compiler, Arc::new(()), Arc::new(())).unwrap();
        let refused = host.load_adapter("good", &Guest::good().component(), ALL).err().unwrap();
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    still_good(host());
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
