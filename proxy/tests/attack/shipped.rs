//! Attacks at the bounds that ship, each beside its innocent twin. Rows 25 to 28 and 40 to 42.

use std::sync::Arc;

use tollgate::plugin::{Host, LoadError, PluginError, Settings, Work};

use super::{evil, fair::turns_in, guest::Guest, support::*};

/// A sandbox with the bounds that ship, and nothing compiled yet.
fn shipped() -> (tempfile::TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(Settings::default(), &dir.path().join("c"), compiler(), Arc::new(()), Arc::new(())).unwrap();
    (dir, host)
}

fn with_items(items: impl Into<String>) -> Guest {
    Guest { items: items.into(), ..Guest::good() }
}

#[test]
fn features_that_are_off_are_refused_and_their_plain_twins_run() {
    let (_dir, host) = shipped();
    for (evil, twin) in [
        ("(memory 1 2 shared)", "(memory 1 2)"),
        ("(memory i64 1)", "(memory 1)"),
        ("(type (struct))", "(type (func))"),
        ("(func (result i31ref) (ref.i31 (i32.const 1)))", "(func (result i32) (i32.const 1))"),
        ("(func $f (return_call $f))", "(func $f (call $f))"),
        ("(tag (param i32))", "(global i32 (i32.const 1))"),
    ] {
        assert!(host.load_adapter("evil", &with_items(evil).component(), ALL).is_err(), "{evil}");
        let good = host.load_adapter("good", &with_items(twin).component(), ALL);
        encode(&good.unwrap_or_else(|error| panic!("{twin}: {error}"))).unwrap().unwrap();
    }
}

#[test]
fn functions_without_number_are_refused_and_very_many_are_compiled() {
    let (_dir, host) = shipped();
    let refused = host.load_adapter("evil", &with_items("(func)".repeat(200_000)).component(), ALL).err().unwrap();
    assert!(matches!(&refused, LoadError::Refused(reason) if reason.contains("functions")), "{refused}");
    let many = host.load_adapter("good", &with_items("(func)".repeat(20_000)).component(), ALL).unwrap();
    encode(&many).unwrap().unwrap();
}

#[test]
fn code_that_is_dear_to_compile_is_compiled_within_the_bounds() {
    let (_dir, host) = shipped();
    let straight =
        format!("(func (local i64) {})", "(local.set 0 (i64.add (local.get 0) (i64.const 1)))".repeat(50_000));
    let nested = format!("(func {} {})", "(block ".repeat(5_000), ")".repeat(5_000));
    let branches =
        format!("(func (param i32) (block $a (block $b (br_table {} (local.get 0)))))", "$a $b ".repeat(30_000));
    for items in [straight, nested, branches] {
        let loaded = host.load_adapter("dear", &with_items(items).component(), ALL);
        encode(&loaded.unwrap_or_else(|error| panic!("{error}"))).unwrap().unwrap();
    }
}

#[test]
fn a_component_that_would_break_the_compiler_is_only_a_refusal() {
    let (_dir, host) = shipped();
    // Two components linked inside one need several memories, at which the compiler once panicked.
    let inner = "(component $i (core module $m (memory 1) (memory 1)) (core instance (instantiate $m)))";
    let text = format!(
        "(component {inner} (instance (instantiate $i)) (instance $e) (export \"tollgate:plugin/adapter@0.1.0\" (instance $e)))"
    );
    assert!(host.load_adapter("evil", &wat::parse_str(text).unwrap(), ALL).is_err());
    still_good(&host);
}

#[test]
fn ten_thousand_calls_at_once_are_all_served() {
    let host = host_with(Settings::default());
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let calls: Vec<_> = (0..10_000)
            .map(|_| {
                let good = good.clone();
                tokio::spawn(async move {
                    let turn = good.turn(Work::Encode { streaming: false, caller: 1 }, 0).await?;
                    turn.run(|| encode(&good)).map(drop)
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_stream_that_drips_uses_its_time_up_and_a_long_one_does_not() {
    let host = host_with(Settings { streams_max: 2, calls_max: 2, ..Settings::default() });
    let adapter =
        host.load_adapter("drips", &evil::drips(turns_in(std::time::Duration::from_millis(1))).component(), ALL);
    let mut dripping = open(&adapter.unwrap()).unwrap();
    let ended = (0..60_000).find_map(|_| dripping.push(&[frame("a")]).err());
    assert_eq!(ended, Some(PluginError::Exhausted));
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let mut long = open(&good).unwrap();
    for _ in 0..20_000 {
        long.push(&[frame("a")]).unwrap().unwrap();
    }
}

#[test]
fn what_a_reload_replaces_lives_as_long_as_its_streams_and_no_longer() {
    let (_dir, host) = shipped();
    let old = host.load_adapter("a", &Guest::good().component(), ALL).unwrap();
    let mut streams: Vec<_> = (0..50).map(|_| open(&old).unwrap()).collect();
    drop(old);
    let new = host.load_adapter("a", &evil::traps("unreachable").component(), ALL).unwrap();
    assert!(encode(&new).is_err());
    for stream in &mut streams {
        assert_eq!(stream.push(&[frame("a")]).unwrap().unwrap().len(), 1);
        stream.finish().unwrap().unwrap();
    }
    assert_eq!((host.instances(), host.memory_bytes()), (0, 0));
}
