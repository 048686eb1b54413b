use super::*;

fn inspect_text(text: &str, world: World, granted: Capabilities) -> Result<(), String> {
    let wasm = wat::parse_str(text).unwrap();
    inspect(&wasm, world, granted, &Settings::default()).map_err(|error| error.to_string())
}

#[track_caller]
fn refuses(text: &str, reason: &str) {
    let refused = inspect_text(text, World::Adapter, Capabilities::default()).unwrap_err();
    assert!(refused.contains(reason), "{refused}");
}

/// A component that only has the adapter's name on it, and `body` inside.
fn adapter(body: &str) -> String {
    format!("(component {body} (instance $i) (export \"tollgate:plugin/adapter@0.1.0\" (instance $i)))")
}

#[test]
fn a_component_of_the_right_name_passes() {
    assert_eq!(inspect_text(&adapter(""), World::Adapter, Capabilities::default()), Ok(()));
}

#[test]
fn a_later_version_of_the_same_track_passes() {
    let text = adapter("").replace("@0.1.0", "@0.1.9");
    assert_eq!(inspect_text(&text, World::Adapter, Capabilities::default()), Ok(()));
}

#[test]
fn another_version_is_refused_by_its_number() {
    refuses(&adapter("").replace("@0.1.0", "@0.2.0"), "exports `tollgate:plugin/adapter@0.2.0`; this host speaks 0.1");
    refuses(&adapter("").replace("@0.1.0", "@0.10.0"), "this host speaks 0.1");
    refuses(
        &adapter("(import \"tollgate:plugin/log@0.2.0\" (instance))"),
        "imports `tollgate:plugin/log@0.2.0`; this host speaks 0.1",
    );
}

#[test]
fn a_renderer_is_no_adapter() {
    refuses(&adapter("").replace("adapter", "renderer"), "it exports `tollgate:plugin/renderer@0.1.0`");
    refuses("(component)", "it exports nothing");
}

#[test]
fn an_import_needs_its_grant() {
    for name in ["log", "tokenize", "sign"] {
        let text = adapter(&format!("(import \"tollgate:plugin/{name}@0.1.0\" (instance))"));
        let refused = inspect_text(&text, World::Adapter, Capabilities::default()).unwrap_err();
        assert_eq!(refused, format!("imports `tollgate:plugin/{name}@0.1.0`, which is not granted to it"));
        let granted = Capabilities { log: true, tokenize: true, sign: true };
        assert_eq!(inspect_text(&text, World::Adapter, granted), Ok(()));
    }
}

#[test]
fn an_import_of_types_needs_no_grant() {
    let text = adapter("(import \"tollgate:plugin/types@0.1.0\" (instance))");
    assert_eq!(inspect_text(&text, World::Adapter, Capabilities::default()), Ok(()));
}

#[test]
fn an_unknown_import_is_named() {
    for name in ["wasi:filesystem/types@0.2.0", "wasi:sockets/tcp@0.2.0", "tollgate:plugin/net@0.1.0"] {
        refuses(&adapter(&format!("(import \"{name}\" (instance))")), &format!("imports `{name}`"));
    }
}

#[test]
fn what_is_not_a_component_is_refused() {
    let check = |wasm: &[u8], reason: &str| {
        let refused = inspect(wasm, World::Adapter, Capabilities::default(), &Settings::default()).unwrap_err();
        assert!(refused.to_string().contains(reason), "{refused}");
    };
    check(b"", "is not WebAssembly");
    check(b"#!/bin/sh", "is not WebAssembly");
    check(b"PK\x03\x04", "is not WebAssembly");
    check(b"\x7fELF\x02\x01\x01", "is compiled code");
    check(&wat::parse_str("(module)").unwrap(), "is a core module");
    check(b"\0asm\x0d\0\x01\0\x07", "is damaged");
}

#[test]
fn a_component_that_is_too_long_is_refused() {
    let settings = Settings { component_bytes_max: 8, ..Settings::default() };
    let refused = inspect(&[0; 9], World::Adapter, Capabilities::default(), &settings).unwrap_err();
    assert!(refused.to_string().contains("has 9 bytes"), "{refused}");
}

#[test]
fn memories_and_tables_are_bounded() {
    refuses(&adapter("(core module (memory 65536))"), "bytes of memory");
    refuses(&adapter("(core module (memory 1) (memory 1) (memory 1))"), "more than 2 memories");
    refuses(&adapter("(core module (memory 1 2 shared))"), "shared");
    refuses(&adapter("(core module (memory i64 1))"), "64-bit");
    refuses(&adapter("(core module (table 10000000 funcref))"), "table of 10000000 elements");
}

#[test]
fn modules_and_functions_are_bounded() {
    refuses(&adapter(&"(core module)".repeat(9)), "core modules");
    refuses(&adapter(&"(component)".repeat(9)), "components");
    refuses(&adapter("(component (core module))"), "is composed of several components");
    let functions = "(func)".repeat(50_001);
    refuses(&adapter(&format!("(core module {functions})")), "functions");
}

#[test]
fn strings_are_utf8() {
    let text = adapter(
        "(core module $m (func (export \"f\") (param i32 i32)) (memory (export \"m\") 1)
             (func (export \"r\") (param i32 i32 i32 i32) (result i32) unreachable))
         (core instance $c (instantiate $m))
         (func (param \"s\" string) (canon lift (core func $c \"f\") string-encoding=utf16
             (memory $c \"m\") (realloc (func $c \"r\"))))",
    );
    refuses(&text, "not UTF-8");
    let utf8 = text.replace("utf16", "utf8");
    assert_eq!(inspect_text(&utf8, World::Adapter, Capabilities::default()), Ok(()));
}

#[test]
fn names_that_a_component_gives_its_parts_are_shown_without_their_controls() {
    for text in [
        adapter("(import \"evil\\1b[31m\\0a\" (instance))"),
        adapter("(import \"tollgate:plugin/log@0.1.\\1b[31m\\0a\" (instance))"),
        adapter("").replace("@0.1.0", "@0.2.\\1b[31m\\0a"),
        adapter("").replace("tollgate:plugin/adapter", "other\\1b[31m\\0a"),
    ] {
        let refused = inspect_text(&text, World::Adapter, Capabilities::default()).unwrap_err();
        assert!(refused.contains("\\u{1b}[31m") && !refused.contains(char::is_control), "{refused:?}");
    }
}
