//! Guests that fail in the middle of an answer. Rows 30 to 32.

use tollgate::plugin::{PluginError, Settings};

use super::{evil, support::*};

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
