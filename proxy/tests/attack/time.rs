//! Guests that take the host's time. Rows 1 to 4, 24 and 41 of the attack table.

use std::time::Instant;

use tollgate::plugin::{PluginError, Settings};

use super::{evil, guest::Guest, support::*};

#[test]
fn an_endless_loop_is_interrupted() {
    faults_as(&evil::loops_in_encode(), "deadline");
}

#[test]
fn an_endless_start_function_keeps_the_plugin_out() {
    let began = Instant::now();
    let refused = host().load_adapter("evil", &evil::loops_in_start().component(), ALL).err().unwrap();
    assert_eq!(first_call_fault(refused), PluginError::Deadline);
    assert!(began.elapsed() < SOON * 2);
    still_good(host());
}

#[test]
fn an_endless_allocator_is_interrupted_while_arguments_are_passed() {
    faults_as(&evil::loops_in_realloc(), "deadline");
}

#[test]
fn an_endless_clean_up_is_interrupted_and_its_answer_discarded() {
    faults_as(&evil::loops_in_post_return(), "deadline");
}

#[test]
fn filling_all_memory_in_a_loop_is_interrupted_between_two_fills() {
    faults_as(&evil::fills_forever(), "deadline");
}

#[test]
fn every_function_has_a_deadline() {
    let forever = || evil::FOREVER.to_owned();
    let guest = Guest { decode: forever(), classify: forever(), push: forever(), finish: forever(), ..Guest::good() };
    let adapter = load(&guest);
    assert_eq!(adapter.decode(&context(), 200, &[], "{}").unwrap_err(), PluginError::Deadline);
    assert_eq!(adapter.classify(&context(), 500, &[], "").unwrap_err(), PluginError::Deadline);
    assert_eq!(open(&adapter).unwrap().push(&[frame("a")]).unwrap_err(), PluginError::Deadline);
    assert_eq!(open(&adapter).unwrap().finish().unwrap_err(), PluginError::Deadline);
    let opening = load(&Guest { open: forever(), ..Guest::good() });
    assert_eq!(open(&opening).err().unwrap(), PluginError::Deadline);
    let describing = Guest { describe: forever(), ..Guest::good() };
    let refused = host().load_adapter("evil", &describing.component(), ALL).err().unwrap();
    assert_eq!(first_call_fault(refused), PluginError::Deadline);
    still_good(host());
}

#[test]
fn a_stream_that_drips_processor_time_uses_up_its_budget() {
    let host = host_with(Settings { stream_cpu_ms_max: 20, calls_max: 4, streams_max: 4, ..Settings::default() });
    let adapter = host.load_adapter("evil", &evil::drips(500_000).component(), ALL).unwrap();
    let mut stream = open(&adapter).unwrap();
    let ended = (0..1000).find_map(|_| stream.push(&[frame("a")]).err());
    assert_eq!(ended, Some(PluginError::Exhausted));
    assert_eq!(stream.push(&[frame("a")]), Err(PluginError::Ended));
    still_good(&host);
}
