//! Guests that take the host's memory, or look for what another left there. Rows 5 to 8, 19, 20 and 35.

use tollgate::plugin::Settings;

use super::{evil, guest::Guest, support::*};

#[test]
fn a_memory_that_starts_too_large_keeps_the_plugin_out() {
    let refused = refusal(&Guest { memory: "65536", ..Guest::good() });
    assert!(refused.contains("starts with 4294967296 bytes of memory"), "{refused}");
}

#[test]
fn growing_ends_at_the_bound_and_costs_nothing() {
    let adapter = load(&evil::grows_until_refused());
    encode(&adapter).unwrap().unwrap();
    let before = touched_bytes();
    for _ in 0..20 {
        encode(&adapter).unwrap().unwrap();
    }
    let touched = touched_bytes() - before;
    assert!(touched < 20 << 20, "{touched} bytes touched");
    still_good(host());
}

#[test]
fn all_memory_may_be_touched_and_is_given_back() {
    let host = host_with(Settings { encode_deadline_ms: 500, calls_max: 4, streams_max: 4, ..Settings::default() });
    let adapter = host.load_adapter("evil", &evil::touches_everything().component(), ALL).unwrap();
    for _ in 0..4 {
        encode(&adapter).unwrap().unwrap();
    }
    assert!(host.idle_bytes() <= 384 << 10, "{} bytes kept", host.idle_bytes());
    still_good(&host);
}

#[test]
fn an_allocator_that_gives_up_is_out_of_memory() {
    faults_as(&evil::aborts_when_refused(), "memory");
}

#[test]
fn endless_recursion_exhausts_the_guests_stack_only() {
    faults_as(&evil::recurses(), "trap_stack");
}

#[test]
fn a_huge_table_keeps_the_plugin_out() {
    let refused = refusal(&Guest { items: "(table 10000000 funcref)".into(), ..Guest::good() });
    assert!(refused.contains("a table of 10000000 elements"), "{refused}");
}

#[test]
fn many_memories_keep_the_plugin_out() {
    let refused = refusal(&Guest { items: "(memory 1) (memory 1)".into(), ..Guest::good() });
    assert!(refused.contains("more than 2 memories"), "{refused}");
}

#[test]
fn many_core_instances_keep_the_plugin_out() {
    let instances = "(core instance (instantiate $m))".repeat(51);
    let text = format!(
        "(component (core module $m) {instances} (instance $i) (export \"tollgate:plugin/adapter@0.1.0\" (instance $i)))"
    );
    let refused = refusal_of(&wat::parse_str(text).unwrap());
    assert!(refused.contains("exceeds the configured maximum of 8"), "{refused}");
}

#[test]
fn no_call_finds_what_another_left() {
    // One slot for everyone: what is not cleared is found.
    let slow = Settings { encode_deadline_ms: 1000, push_deadline_ms: 1000, ..Settings::default() };
    let host = host_with(Settings { calls_max: 1, streams_max: 1, warm_slots_max: 0, ..slow });
    let one = host.load_adapter("one", &evil::marks_and_searches(0x1111_1111).component(), ALL).unwrap();
    let other = host.load_adapter("other", &evil::marks_and_searches(0x2222_2222).component(), ALL).unwrap();
    for turn in 0..10_000 {
        let adapter = if turn % 3 == 0 { &other } else { &one };
        let request = encode(adapter).unwrap().unwrap();
        assert_eq!(request.path, "/clean", "at call {turn}");
        if turn % 10 < 2 {
            open(adapter).unwrap_or_else(|fault| panic!("{fault} at call {turn}"));
        }
    }
    still_good(&host);
}

#[test]
fn the_search_for_marks_finds_marks() {
    let adapter = load(&evil::marks_and_searches_twice(0x1111_1111));
    assert_eq!(encode(&adapter).unwrap().unwrap().path, "/leak");
}

#[test]
fn a_closed_stream_keeps_no_memory_and_a_call_little() {
    let host = host_with(settings());
    let everything = "(memory.fill (i32.const 131072) (i32.const 1) (i32.const 917504))";
    let good = Guest::good();
    let opens = format!("{everything} {}", good.open);
    let guest = Guest { memory: "16", open: opens, encode: format!("{everything} {}", good.encode), ..good };
    let adapter = host.load_adapter("large", &guest.component(), ALL).unwrap();
    let at_rest = host.idle_bytes();
    let streams: Vec<_> = (0..32).map(|_| open(&adapter).unwrap()).collect();
    drop(streams);
    assert_eq!(host.idle_bytes(), at_rest);
    encode(&adapter).unwrap().unwrap();
    assert!(host.idle_bytes() <= at_rest + (384 << 10), "{} bytes", host.idle_bytes());
}

#[test]
fn a_full_pool_is_an_answer_and_not_an_error() {
    let host = host_with(Settings { calls_max: 2, streams_max: 2, ..Settings::default() });
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let held = [open(&good).unwrap(), open(&good).unwrap()];
    assert_eq!(host.instances(), 2);
    assert_eq!(open(&good).err().unwrap().kind(), "busy");
    // Single calls have places of their own.
    encode(&good).unwrap().unwrap();
    drop(held);
    assert_eq!(host.instances(), 0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    match encode(&good) {
                        Ok(_) => {}
                        Err(fault) => assert_eq!(fault.kind(), "busy"),
                    }
                }
            });
        }
    });
    still_good(&host);
}
