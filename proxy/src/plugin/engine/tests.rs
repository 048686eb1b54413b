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
fn the_clock_ends_with_its_engine() {
    let engine = without_pool(&Settings::default()).unwrap();
    let clock = tick(&engine).unwrap();
    drop(engine);
    clock.join().unwrap();
}

#[test]
fn code_is_the_same_with_and_without_a_pool() {
    let settings = Settings { instances_max: 1, ..Settings::default() };
    let (pooled, allocation) = start(&settings).unwrap();
    assert_eq!(allocation, Allocation::Pool);
    let code = without_pool(&Settings::default()).unwrap().precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
    let own = pooled.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
    assert_eq!(code, own);
}

#[test]
fn a_pool_too_large_for_the_address_space_is_done_without() {
    let settings = Settings { instances_max: 40_000, ..Settings::default() };
    assert_eq!(start(&settings).unwrap().1, Allocation::OnDemand);
}
