use super::*;

#[test]
fn calls_run_without_concurrency_and_with_a_clock() {
    // Another crate that switches a feature of wasmtime on would change this silently.
    let engine = without_pool(&Settings::default()).unwrap();
    assert!(!engine.get_concurrency_support());
    assert!(engine.get_epoch_interruption() && engine.get_signals_based_traps() && engine.get_memory_init_cow());
    assert!(!engine.get_consume_fuel());
}

#[test]
fn the_clock_ends_with_its_engines() {
    let [one, other] = [(); 2].map(|()| without_pool(&Settings::default()).unwrap());
    let clock = tick([one.weak(), other.weak()]).unwrap();
    drop(one);
    drop(other);
    clock.join().unwrap();
}

#[test]
fn code_is_the_same_for_every_engine() {
    let settings = Settings { calls_max: 1, streams_max: 1, ..Settings::default() };
    let engines = start(&settings).unwrap();
    assert!(engines.pooled);
    let code = |engine: &Engine| engine.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
    let compiled = code(&without_pool(&Settings::default()).unwrap());
    assert_eq!(code(&engines.calls), compiled);
    assert_eq!(code(&engines.streams), compiled);
}

#[test]
fn a_pool_too_large_for_the_address_space_is_done_without() {
    let settings = Settings { calls_max: 40_000, streams_max: 40_000, ..Settings::default() };
    assert!(!start(&settings).unwrap().pooled);
}
