//! Plugins that take what others need: processors, places and memory. Rows 7 and 40, at the bounds that ship.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tollgate::plugin::{Adapter, PluginError, Scarce, Settings, Work};

use super::{evil, guest::Guest, support::*};

/// Four processes that compute without end, until dropped.
struct BusyNeighbours(Vec<Child>);

impl BusyNeighbours {
    fn start() -> BusyNeighbours {
        let start = |_| Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap();
        BusyNeighbours((0..4).map(start).collect())
    }
}

impl Drop for BusyNeighbours {
    fn drop(&mut self) {
        for neighbour in &mut self.0 {
            // One that has ended by itself is no longer busy either.
            let _ = neighbour.kill();
            let _ = neighbour.wait();
        }
    }
}

#[test]
fn ordinary_calls_see_no_deadline_on_a_busy_machine() {
    let good = load(&Guest::good());
    let _neighbours = BusyNeighbours::start();
    for _ in 0..2_000 {
        let mut stream = open(&good).unwrap();
        for _ in 0..8 {
            stream.push(&[frame("a")]).unwrap().unwrap();
        }
        stream.finish().unwrap().unwrap();
        encode(&good).unwrap().unwrap();
    }
}

#[test]
fn a_push_is_charged_what_it_computes_and_not_what_it_waits() {
    // A little over two milliseconds of work, under a deadline of five.
    let adapter = load(&evil::drips(turns_in(Duration::from_micros(2_200))));
    let _neighbours = BusyNeighbours::start();
    for _ in 0..100 {
        let mut stream = open(&adapter).unwrap();
        stream.push(&[frame("a")]).unwrap().unwrap();
    }
}

/// How often a guest turns its loop in `time` of processor time, as measured in its fastest run.
pub(crate) fn turns_in(time: Duration) -> u32 {
    const TURNS: u32 = 1_000_000;
    let host = host_with(Settings { push_deadline_ms: 60_000, ..settings() });
    let adapter = host.load_adapter("drips", &evil::drips(TURNS).component(), ALL).unwrap();
    let mut stream = open(&adapter).unwrap();
    let took = (0..20).map(|_| {
        let began = Instant::now();
        stream.push(&[frame("a")]).unwrap().unwrap();
        began.elapsed()
    });
    let fastest = took.min().unwrap();
    u32::try_from(u128::from(TURNS) * time.as_nanos() / fastest.as_nanos()).unwrap()
}

#[test]
fn a_push_gets_time_for_its_bytes() {
    let adapter = load(&evil::drips(turns_in(Duration::from_millis(30))));
    assert_eq!(open(&adapter).unwrap().push(&[frame("a")]).unwrap_err(), PluginError::Deadline);
    let large = frame(&"a".repeat(8 << 20));
    open(&adapter).unwrap().push(&[large]).unwrap().unwrap();
}

#[test]
fn a_thousand_open_streams_leave_every_call_served() {
    let host = host_with(Settings::default());
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let mut streams: Vec<_> = (0..1000).map(|_| open(&good).unwrap()).collect();
    for _ in 0..1000 {
        encode(&good).unwrap().unwrap();
        good.decode(&context(), 200, &[], "{}").unwrap().unwrap();
    }
    for stream in &mut streams {
        stream.push(&[frame("a")]).unwrap().unwrap();
        stream.finish().unwrap().unwrap();
    }
}

#[test]
fn streams_and_calls_do_not_take_each_others_places() {
    let host = host_with(Settings { calls_max: 1, streams_max: 2, ..Settings::default() });
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let held = [good.reserve_stream().unwrap(), good.reserve_stream().unwrap()];
    assert!(matches!(good.reserve_stream(), Err(PluginError::Busy(Scarce::Streams))));
    encode(&good).unwrap().unwrap();
    drop(held);
    still_good(&host);
}

#[test]
fn sixty_hoarders_stay_within_the_bound_and_take_nothing_from_others() {
    const TOTAL: usize = 256 << 20;
    let host = host_with(Settings { memory_total_bytes_max: Some(TOTAL), ..Settings::default() });
    let hoarder = host.load_adapter("evil", &evil::hoards_frames().component(), ALL).unwrap();
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let frames = [frame(&"a".repeat(1 << 20))];
    let mut streams: Vec<_> = (0..60).map(|_| open(&hoarder).unwrap()).collect();
    let mut refused = 0;
    for _ in 0..7 {
        for stream in &mut streams {
            match stream.push(&frames) {
                Ok(_) => {}
                Err(PluginError::Memory) => refused += 1,
                Err(fault) => assert_eq!(fault, PluginError::Ended),
            }
            assert!(host.memory_bytes() <= TOTAL / 2 + (4 << 20), "{} bytes", host.memory_bytes());
        }
        encode(&good).unwrap().unwrap();
        open(&good).unwrap().push(&frames).unwrap().unwrap();
    }
    assert!(refused > 0);
    drop(streams);
    assert_eq!(host.memory_bytes(), 0);
}

/// What comes of asking for the plugin's turn and, if there is one, of encoding.
async fn in_turn(adapter: &Adapter) -> Result<(), PluginError> {
    let turn = adapter.turn(Work::Encode { streaming: false, caller: 1 }, 0).await?;
    turn.run(|| encode(adapter).map(drop))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

#[test]
fn a_plugin_that_keeps_failing_rests_and_is_tried_again() {
    let rest_ms = 50;
    let host = host_with(Settings { rest_ms, rest_ms_max: rest_ms, ..settings() });
    let evil = host.load_adapter("evil", &evil::traps("unreachable").component(), ALL).unwrap();
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    runtime().block_on(async {
        for _ in 0..Settings::default().faults_max {
            assert_eq!(in_turn(&evil).await.unwrap_err().kind(), "trap_unreachable");
        }
        let Err(PluginError::Resting { retry_after_ms }) = in_turn(&evil).await else { panic!("was called") };
        assert!(retry_after_ms <= rest_ms, "{retry_after_ms} ms");
        in_turn(&good).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rest_ms)).await;
        assert_eq!(in_turn(&evil).await.unwrap_err().kind(), "trap_unreachable");
    });
}

#[test]
fn a_plugin_that_computes_without_end_gets_its_share_while_another_works() {
    let host = host_with(Settings { faults_max: u32::MAX, ..settings() });
    let evil = host.load_adapter("evil", &evil::loops_in_encode().component(), ALL).unwrap();
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let runtime = runtime();
    let until = Instant::now() + Duration::from_secs(3);
    let began = Instant::now();
    let looping = (0..16).map(|_| {
        let evil = evil.clone();
        runtime.spawn(async move {
            let mut calls = 0;
            while Instant::now() < until {
                in_turn(&evil).await.unwrap_err();
                calls += 1;
            }
            calls
        })
    });
    let looping: Vec<_> = looping.collect();
    runtime.block_on(async {
        while Instant::now() < until {
            in_turn(&good).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut calls = 0;
        for task in looping {
            calls += task.await.unwrap();
        }
        // Ten milliseconds and a little each, of half of a processor; and a burst.
        let most = began.elapsed().as_millis() as u64 / 2 / 10 + 30;
        assert!(calls > 16 && calls < most, "{calls} calls, of at most {most}");
    });
}

#[test]
fn so_many_calls_wait_to_begin_with_long_work() {
    let settings = Settings { long_work_max: Some(1), long_work_queue_max: 1, ..settings() };
    let host = host_with(settings);
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let (begins, long) = (Work::Encode { streaming: false, caller: 1 }, 1 << 20);
    runtime().block_on(async {
        let first = good.turn(begins, long).await.unwrap();
        let mut second = Box::pin(good.turn(begins, long));
        let short = Duration::from_millis(20);
        assert!(tokio::time::timeout(short, &mut second).await.is_err(), "it waits");
        assert!(matches!(good.turn(begins, long).await, Err(PluginError::Busy(Scarce::Queue))));
        // What has begun is paid for, and waits.
        assert!(tokio::time::timeout(short, good.turn(Work::Decode, long)).await.is_err());
        drop(first);
        drop(second.await.unwrap());
        drop(good.turn(begins, long).await.unwrap());
    });
}
