//! Adapters that attack: each does one thing that no plugin should. For the attack suite, and for tests that load
//! them into a running gateway.
//!
//! Include it beside `guest.rs`, whose module must be called `guest`.
#![allow(dead_code, reason = "each test binary that includes this uses some of it")]

use super::guest::{Guest, HEAP, IMAGE, Request};

/// WAT that never ends and leaves an `i32` for the type checker.
pub(crate) const FOREVER: &str = "(loop $forever (br $forever)) (unreachable)";

/// Where a guest builds an answer of its own: behind the image, before the heap.
const SCRATCH: u32 = HEAP - 256;

pub(crate) fn loops_in_encode() -> Guest {
    Guest::encoding(FOREVER)
}

pub(crate) fn loops_in_start() -> Guest {
    Guest { items: "(func $start (loop $forever (br $forever))) (start $start)".into(), ..Guest::good() }
}

/// Loops when the host makes room for an argument.
pub(crate) fn loops_in_realloc() -> Guest {
    Guest { realloc: FOREVER.into(), ..Guest::good() }
}

pub(crate) fn loops_in_post_return() -> Guest {
    Guest { post: "(loop $forever (br $forever))".into(), ..Guest::good() }
}

/// Fills all the memory it can get, over and over: each fill is one instruction, which no clock interrupts.
pub(crate) fn fills_forever() -> Guest {
    Guest::encoding(
        "(drop (memory.grow (i32.const 1020)))
         (loop $forever
           (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))
           (br $forever))
         (unreachable)",
    )
}

/// Grows until it is refused, touches nothing, and answers well.
pub(crate) fn grows_until_refused() -> Guest {
    let good = Guest::good().encode;
    Guest::encoding(format!(
        "(block $refused (loop $more
           (br_if $refused (i32.eq (i32.const -1) (memory.grow (i32.const 1)))) (br $more)))
         {good}"
    ))
}

/// Grows until it is refused and writes to every page, and answers well.
pub(crate) fn touches_everything() -> Guest {
    let good = Guest::good().encode;
    let items = "(func $touch (local $at i32)
       (block $refused (loop $more
         (br_if $refused (i32.eq (i32.const -1) (memory.grow (i32.const 1)))) (br $more)))
       (local.set $at (i32.const 131072))
       (loop $next
         (i64.store (local.get $at) (i64.const -1))
         (local.set $at (i32.add (local.get $at) (i32.const 4096)))
         (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536))))))";
    Guest { items: items.into(), ..Guest::encoding(format!("(call $touch) {good}")) }
}

/// Gives up when it is refused memory, as allocators do.
pub(crate) fn aborts_when_refused() -> Guest {
    Guest::encoding("(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 16))))) (unreachable)")
}

pub(crate) fn recurses() -> Guest {
    Guest {
        items: "(func $deep (param i64) (result i64) (i64.add (i64.const 1)
                  (call $deep (i64.add (local.get 0) (i64.const 1)))))"
            .into(),
        ..Guest::encoding("(drop (call $deep (i64.const 0))) (unreachable)")
    }
}

pub(crate) fn traps(how: &str) -> Guest {
    let items = "(table $table 2 funcref) (type $nullary (func)) (func $one (result i32) i32.const 0)
                 (elem (i32.const 1) $one)";
    let body = match how {
        "unreachable" => "unreachable",
        "load" => "(i32.load (i32.const -4))",
        "division" => "(i32.div_u (i32.const 1) (i32.const 0))",
        "null call" => "(call_indirect (type $nullary) (i32.const 0)) (unreachable)",
        "bad call" => "(call_indirect (type $nullary) (i32.const 1)) (unreachable)",
        "wild call" => "(call_indirect (type $nullary) (i32.const 99)) (unreachable)",
        other => panic!("no trap called {other}"),
    };
    Guest { items: items.into(), ..Guest::encoding(body) }
}

/// Answers `encode` with a body that lies at `address` and is `bytes` long.
pub(crate) fn body_at(address: u32, bytes: u32) -> Guest {
    let good = Guest::good().encode;
    // The body's pointer and length in the answer.
    Guest::encoding(format!(
        "(i32.store offset=36 ({good}) (i32.const {address})) (i32.store offset=40 ({good}) (i32.const {bytes})) {good}"
    ))
}

/// Answers `encode` with a body of `bytes` spaces, all of them there.
pub(crate) fn body_of(bytes: u32) -> Guest {
    let pages = bytes.div_ceil(65536);
    let Guest { encode, .. } = body_at(131_072, bytes);
    Guest::encoding(format!(
        "(drop (memory.grow (i32.const {pages})))
         (memory.fill (i32.const 131072) (i32.const 32) (i32.const {bytes})) {encode}"
    ))
}

/// Answers `encode` with a body that is not UTF-8.
pub(crate) fn body_of_noise() -> Guest {
    let Guest { encode, .. } = body_at(HEAP, 4);
    Guest::encoding(format!("(i32.store (i32.const {HEAP}) (i32.const -1)) {encode}"))
}

/// Answers `encode` with `headers` headers whose records begin at `address`.
pub(crate) fn headers_at(address: u32, headers: u32) -> Guest {
    let good = Guest::good().encode;
    Guest::encoding(format!(
        "(i32.store offset=24 ({good}) (i32.const {address})) (i32.store offset=28 ({good}) (i32.const {headers}))
         {good}"
    ))
}

/// Answers `encode` with 100 000 headers that are all the same megabyte: a hundred gigabytes, if they were copied.
pub(crate) fn headers_that_alias() -> Guest {
    const LIST: u32 = 2 << 20;
    let Guest { encode, .. } = headers_at(LIST, 100_000);
    let items = format!(
        "(func $alias (local $at i32) (local $end i32)
           (drop (memory.grow (i32.const 64)))
           (local.set $at (i32.const {LIST}))
           (local.set $end (i32.add (local.get $at) (i32.const 1600000)))
           (loop $next
             (i32.store (local.get $at) (i32.const 131072))
             (i32.store offset=4 (local.get $at) (i32.const 1048576))
             (i32.store offset=8 (local.get $at) (i32.const 131072))
             (i32.store offset=12 (local.get $at) (i32.const 1048576))
             (local.set $at (i32.add (local.get $at) (i32.const 16)))
             (br_if $next (i32.lt_u (local.get $at) (local.get $end)))))"
    );
    Guest { items, ..Guest::encoding(format!("(call $alias) {encode}")) }
}

/// Allocates for the host at `address`, whatever is asked.
pub(crate) fn allocates_at(address: i32) -> Guest {
    Guest { realloc: format!("i32.const {address}"), ..Guest::good() }
}

/// Answers `encode` with this byte where a discriminant belongs: 0 is the result's, 32 the body's, 44 the
/// authentication plan's, 64 the framing's, 68 the state's.
pub(crate) fn discriminant(offset: u32, value: u32) -> Guest {
    let good = Guest::good().encode;
    Guest::encoding(format!("(i32.store8 offset={offset} ({good}) (i32.const {value})) {good}"))
}

/// Makes handles until it may not.
pub(crate) fn hoards_handles() -> Guest {
    Guest { open: "(loop $more (drop (call $new (i32.const 1))) (br $more)) (unreachable)".into(), ..Guest::good() }
}

/// Good for `frames` pushes, then traps.
pub(crate) fn traps_after(pushes: u32) -> Guest {
    let good = Guest::good().push;
    Guest {
        items: "(global $pushes (mut i32) (i32.const 0))".into(),
        ..Guest::pushing(format!(
            "(global.set $pushes (i32.add (global.get $pushes) (i32.const 1)))
             (if (i32.gt_u (global.get $pushes) (i32.const {pushes})) (then unreachable)) {good}"
        ))
    }
}

/// Answers each push with `events` events, all of which forward the first frame: that is what zeroed memory says.
pub(crate) fn floods(events: u32) -> Guest {
    const LIST: u32 = 131_072;
    let pages = (events * 64).div_ceil(65536);
    Guest::pushing(format!(
        "(drop (memory.grow (i32.const {pages})))
         (i32.store (i32.const {SCRATCH}) (i32.const 0))
         (i32.store offset=8 (i32.const {SCRATCH}) (i32.const {LIST}))
         (i32.store offset=12 (i32.const {SCRATCH}) (i32.const {events}))
         (i32.const {SCRATCH})"
    ))
}

/// Keeps every frame and says nothing; its allocator gives nothing back.
pub(crate) fn hoards_frames() -> Guest {
    silent_with("(call $allocate (local.get $align) (local.get $len))")
}

/// Forgets every frame and says nothing.
pub(crate) fn swallows_frames() -> Guest {
    silent_with(&format!("(global.set $heap (i32.const {HEAP})) (call $allocate (local.get $align) (local.get $len))"))
}

fn silent_with(realloc: &str) -> Guest {
    let mut guest = Guest::good();
    let silence = guest.image.events(&[]);
    Guest { push: format!("i32.const {silence}"), realloc: realloc.into(), ..guest }
}

/// Works for about `turns` turns of a tight loop in each push, then answers well.
pub(crate) fn drips(turns: u32) -> Guest {
    let good = Guest::good().push;
    let items = format!(
        "(func $work (local $left i32)
           (local.set $left (i32.const {turns}))
           (loop $turn
             (local.set $left (i32.sub (local.get $left) (i32.const 1)))
             (br_if $turn (local.get $left))))"
    );
    Guest { items, ..Guest::pushing(format!("(call $work) {good}")) }
}

/// Asks for this path; everything else about it is good.
pub(crate) fn asks_for_path(path: &str) -> Guest {
    Guest::requesting(&Request { path, ..Request::default() })
}

/// Asks for this header; everything else about it is good.
pub(crate) fn asks_for_header(name: &str, value: &str) -> Guest {
    Guest::requesting(&Request { headers: vec![(name, value)], ..Request::default() })
}

/// Sends this body.
pub(crate) fn sends(body: &str) -> Guest {
    Guest::requesting(&Request { body, ..Request::default() })
}

/// Leaves a mark in every host page of its memory, of memory it grows, in a global and in a table, and asks for
/// `/leak` instead of `/clean` if it finds one anywhere when it begins. Its streams trap if they find one.
pub(crate) fn marks_and_searches(mark: i64) -> Guest {
    let mut guest = Guest::good();
    let clean = guest.image.request(&Request { path: "/clean", ..Request::default() });
    let leak = guest.image.request(&Request { path: "/leak", ..Request::default() });
    let memory = "8";
    let items = format!(
        "(global $mark (mut i64) (i64.const 0))
         (table $table 4 funcref) (func $marked) (elem declare func $marked)
         (func $search (result i32) (local $at i32) (local $found i32)
           (if (i64.ne (global.get $mark) (i64.const 0)) (then (local.set $found (i32.const 1))))
           (if (i32.eqz (ref.is_null (table.get $table (i32.const 3)))) (then (local.set $found (i32.const 1))))
           (drop (memory.grow (i32.const 4)))
           (local.set $at (i32.const 65528))
           (loop $next
             (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (local.set $found (i32.const 1))))
             (i64.store (local.get $at) (i64.const {mark}))
             (local.set $at (i32.add (local.get $at) (i32.const 4096)))
             (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
           (global.set $mark (i64.const {mark}))
           (table.set $table (i32.const 3) (ref.func $marked))
           (local.get $found))"
    );
    let encode = format!("(select (i32.const {leak}) (i32.const {clean}) (call $search))");
    let open = format!("(if (call $search) (then unreachable)) {}", guest.open);
    Guest { memory, items, encode, open, ..guest }
}

/// The same, but searching twice in one call: it always finds its own marks.
pub(crate) fn marks_and_searches_twice(mark: i64) -> Guest {
    let guest = marks_and_searches(mark);
    Guest { encode: format!("(drop (call $search)) {}", guest.encode), ..guest }
}

/// Logs `lines` times `bytes` bytes of its memory from `IMAGE`, then answers well.
pub(crate) fn logs(lines: u32, bytes: u32) -> Guest {
    let good = Guest::good().encode;
    let items = format!(
        "(func $chatter (local $left i32)
           (drop (memory.grow (i32.const {})))
           (memory.fill (i32.const {HEAP}) (i32.const 27) (i32.const {bytes}))
           (local.set $left (i32.const {lines}))
           (loop $more
             (call $log (i32.const 3) (i32.const {HEAP}) (i32.const {bytes}))
             (local.set $left (i32.sub (local.get $left) (i32.const 1)))
             (br_if $more (local.get $left))))",
        bytes.div_ceil(65536)
    );
    Guest { imports: vec!["log"], items, ..Guest::encoding(format!("(call $chatter) {good}")) }
}

/// Signs nothing with `slot` and sends what came back: a body of 32 bytes if it was signed, else the reason.
pub(crate) fn signs(slot: &str) -> Guest {
    let mut guest = Guest::good();
    let text = guest.image.text(slot);
    let address = u32::from_le_bytes([text[0], text[1], text[2], text[3]]);
    let good = Guest::good().encode;
    // The path is `/ok` or `/no`: the signature itself is no text to send.
    let ok = guest.image.request(&Request { path: "/ok", ..Request::default() });
    let no = guest.image.request(&Request { path: "/no", ..Request::default() });
    let encode = format!(
        "(call $sign (i32.const {address}) (i32.const {}) (i32.const {IMAGE}) (i32.const 4) (i32.const {SCRATCH}))
         (drop ({good}))
         (select (i32.const {no}) (i32.const {ok}) (i32.load8_u (i32.const {SCRATCH})))",
        slot.len()
    );
    Guest { imports: vec!["sign"], encode, ..guest }
}

/// Describes itself with this schema.
pub(crate) fn describes(schema: &str) -> Guest {
    let mut guest = Guest::good();
    let address = guest.image.description("odd", "1.0.0", schema);
    Guest { describe: format!("i32.const {address}"), ..guest }
}

/// Describes itself with a schema of `bytes` bytes.
pub(crate) fn describes_at_length(bytes: u32) -> Guest {
    let Guest { describe, .. } = Guest::good();
    Guest {
        describe: format!(
            "(drop (memory.grow (i32.const {})))
             (memory.fill (i32.const 131072) (i32.const 32) (i32.const {bytes}))
             (i32.store offset=28 ({describe}) (i32.const 131072))
             (i32.store offset=32 ({describe}) (i32.const {bytes}))
             {describe}",
            bytes.div_ceil(65536)
        ),
        ..Guest::good()
    }
}
