//! Guests that fail in the middle of an answer. Rows 30 to 32.

use std::sync::{Arc, Mutex};

use tollgate::plugin::{Called, Host, Observer, PluginError, Scarce, Settings, Watch};

use super::{evil, guest::Guest, support::*};

#[test]
fn a_trap_in_the_middle_leaves_what_came_before() {
    let mut stream = stream(&evil::traps_after(3));
    for _ in 0..3 {
        assert_eq!(stream.push(&[frame("a")]).unwrap().unwrap().len(), 1);
    }
    assert_eq!(stream.push(&[frame("a")]).unwrap_err().kind(), "trap_unreachable");
    still_good(host());
}

#[test]
fn a_push_answers_with_so_many_events_and_no_more() {
    assert_eq!(stream(&evil::floods(4096)).push(&[frame("a")]).unwrap().unwrap().len(), 4096);
    assert_eq!(stream(&evil::floods(4097)).push(&[frame("a")]).unwrap_err().kind(), "invalid");
    assert_eq!(stream(&evil::floods(200_000)).push(&[frame("a")]).unwrap_err().kind(), "output");
    still_good(host());
}

#[test]
fn a_stream_that_hoards_its_frames_runs_out_of_memory() {
    let host = host_with(Settings { memory_bytes_max: 1 << 20, calls_max: 4, streams_max: 4, ..Settings::default() });
    let adapter = host.load_adapter("evil", &evil::hoards_frames().component(), ALL).unwrap();
    let mut stream = open(&adapter).unwrap();
    let frames = [frame(&"a".repeat(10_000))];
    let ended = (0..1000).find_map(|_| stream.push(&frames).err());
    assert_eq!(ended, Some(PluginError::Memory));
    still_good(&host);
}

#[test]
fn a_stream_that_says_nothing_ends() {
    let mut stream = stream(&evil::swallows_frames());
    let frames = [frame(&"a".repeat(30_000))];
    let ended = (0..1000).find_map(|_| stream.push(&frames).err());
    assert_eq!(ended, Some(PluginError::Silent));
    assert_eq!(stream.push(&frames), Err(PluginError::Ended));
    still_good(host());
}

/// Keeps the faults that whoever watches is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<&'static str>>>);

impl Observer for Told {
    fn watch(&self, _plugin: &str) -> Arc<dyn Watch> {
        Arc::new(self.clone())
    }
}

impl Watch for Told {
    fn called(&self, called: &Called) {
        self.0.lock().unwrap().extend(called.fault);
    }
}

#[test]
fn a_stream_that_says_nothing_is_told_to_whoever_watches() {
    let told = Told::default();
    let host = Host::new(settings(), &cache_dir(), compiler(), Arc::new(()), Arc::new(told.clone())).unwrap();
    let adapter = host.load_adapter("evil", &evil::swallows_frames().component(), ALL).unwrap();
    let mut stream = open(&adapter).unwrap();
    let frames = [frame(&"a".repeat(30_000))];
    assert!((0..1000).any(|_| stream.push(&frames).is_err()));
    assert_eq!(*told.0.lock().unwrap(), ["silent"]);
}

#[test]
fn a_stream_that_has_its_place_has_its_memory() {
    let total = Some(16 << 20);
    let host = host_with(Settings { memory_total_bytes_max: total, ..settings() });
    let good = host.load_adapter("good", &Guest { memory: "16", ..Guest::good() }.component(), ALL).unwrap();
    let place = good.reserve_stream().unwrap();
    assert_eq!(host.memory_bytes(), 1 << 20);
    // Others take all that they can get before the answer begins.
    let others: Vec<_> = std::iter::from_fn(|| good.reserve_stream().ok()).collect();
    assert_eq!(good.reserve_stream().err(), Some(PluginError::Busy(Scarce::Memory)));
    let taken = host.memory_bytes();
    let mut stream = good.stream(place, &context()).unwrap();
    assert_eq!(stream.push(&[frame("x")]).unwrap().unwrap().len(), 1);
    assert_eq!(host.memory_bytes(), taken, "what was reserved is charged once");
    drop((stream, others));
    assert_eq!(host.memory_bytes(), 0);
}

#[test]
fn a_plugin_is_loaded_while_every_place_for_streams_is_taken() {
    let host = host_with(Settings { streams_max: 1, ..settings() });
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    let mut stream = open(&good).unwrap();
    host.load_adapter("other", &Guest::good().component(), ALL).unwrap();
    assert_eq!(stream.push(&[frame("x")]).unwrap().unwrap().len(), 1);
}
