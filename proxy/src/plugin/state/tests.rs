use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn context(tokenize: Arc<dyn Tokenize>) -> Arc<PluginContext> {
    PluginContext::new(1, "p", &Settings::default(), &MemoryBudget::new(1000), tokenize, Arc::new(()))
}

fn state(secret: Option<&[u8]>) -> State {
    State::new(&Settings::default(), &context(Arc::new(())), None, secret, Instant::now())
}

fn deadline(budget_ms: u64) -> Deadline {
    Deadline::new(MS(budget_ms), Instant::now())
}

fn interrupts(deadline: &mut Deadline, cpu: Option<u64>, wall_ms: u64) -> bool {
    matches!(deadline.look(cpu.map(MS), MS(wall_ms)), UpdateDeadline::Interrupt)
}

#[test]
fn a_call_is_interrupted_when_its_processor_time_is_used_up() {
    let mut deadline = deadline(10);
    for cpu_ms in [100, 102, 104, 106, 108] {
        assert!(!interrupts(&mut deadline, Some(cpu_ms), cpu_ms - 98), "at {cpu_ms}");
    }
    assert!(interrupts(&mut deadline, Some(110), 12));
    assert_eq!(deadline.cost_at(MS(12), Some(MS(110))), MS(12));
}

#[test]
fn a_call_whose_thread_waits_for_a_processor_is_neither_interrupted_nor_charged() {
    let mut deadline = deadline(10);
    for turn in 0..20 {
        assert!(!interrupts(&mut deadline, Some(100), 2 + turn * 40));
    }
    assert_eq!(deadline.cost_at(MS(800), Some(MS(101))), MS(3));
}

#[test]
fn a_call_that_never_gets_a_processor_ends_all_the_same() {
    let mut short = deadline(10);
    assert!(!interrupts(&mut short, Some(100), 999));
    assert!(interrupts(&mut short, Some(100), 1000));
    let mut long = deadline(100);
    assert!(!interrupts(&mut long, Some(100), 1999));
    assert!(interrupts(&mut long, Some(100), 2000));
}

#[test]
fn wall_time_counts_where_the_kernel_tells_no_processor_time() {
    let mut deadline = deadline(10);
    assert!(!interrupts(&mut deadline, None, 9));
    assert!(interrupts(&mut deadline, None, 10));
}

#[test]
fn a_call_that_was_never_looked_at_is_charged_its_wall_time() {
    assert_eq!(deadline(10).cost_at(Duration::from_micros(20), Some(MS(5))), Duration::from_micros(20));
}

#[test]
fn this_kernel_tells_the_processor_time_of_a_thread_exactly() {
    // A clock that moves by the scheduler's tick steps by milliseconds.
    let (began, mut steps) = (thread_cpu().unwrap(), 0);
    let mut last = began;
    while last - began < MS(20) {
        let now = thread_cpu().unwrap();
        steps += u32::from(now != last);
        last = now;
    }
    assert!(steps > 100, "{steps} steps in 20 ms");
}

#[test]
fn memories_are_summed() {
    let share = MemoryShare::new(&MemoryBudget::new(1000));
    let mut limiter = Limiter::new(100, 0);
    assert!(limiter.grow(&share, 60));
    assert!(!limiter.grow(&share, 60));
    assert_eq!(limiter.refused, Some(MemoryBound::Instance));
    assert!(limiter.grow(&share, 40));
    assert_eq!(limiter.memory_bytes(), 100);
}

#[test]
fn the_bound_on_all_memories_refuses_too_and_is_told_apart() {
    let share = MemoryShare::new(&MemoryBudget::new(50));
    let mut limiter = Limiter::new(100, 0);
    assert!(!limiter.grow(&share, 60));
    assert_eq!(limiter.refused, Some(MemoryBound::Total));
    assert_eq!(limiter.memory_bytes(), 0);
}

#[test]
fn a_state_gives_its_memory_back() {
    let budget = MemoryBudget::new(1000);
    let context = PluginContext::new(1, "p", &Settings::default(), &budget, Arc::new(()), Arc::new(()));
    let mut state = State::new(&Settings::default(), &context, None, None, Instant::now());
    assert!(state.memory_growing(0, 100, None).unwrap());
    assert_eq!(budget.used_bytes(), 100);
    drop(state);
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn reserved_memory_is_there_however_much_others_take_and_is_charged_once() {
    let budget = MemoryBudget::new(1000);
    let context = PluginContext::new(1, "p", &Settings::default(), &budget, Arc::new(()), Arc::new(()));
    let reserved = ReservedMemory::take(&context, 100).unwrap();
    let others = MemoryShare::new(&budget);
    while others.take(1, 1) {}
    let used = budget.used_bytes();
    assert!(ReservedMemory::take(&context, 100).is_none());
    let mut state = State::new(&Settings::default(), &context, Some(reserved), None, Instant::now());
    assert!(state.memory_growing(0, 60, None).unwrap());
    assert!(state.memory_growing(60, 100, None).unwrap());
    assert_eq!(budget.used_bytes(), used);
    assert!(!state.memory_growing(100, 1000, None).unwrap());
    assert_eq!(state.limiter.memory_bytes(), 100);
    drop(state);
    assert_eq!(budget.used_bytes(), used - 100);
}

#[test]
fn reserved_memory_that_nothing_grew_into_is_given_back() {
    let budget = MemoryBudget::new(1000);
    let context = PluginContext::new(1, "p", &Settings::default(), &budget, Arc::new(()), Arc::new(()));
    drop(ReservedMemory::take(&context, 100));
    assert_eq!(budget.used_bytes(), 0);
    let reserved = ReservedMemory::take(&context, 100);
    let mut state = State::new(&Settings::default(), &context, reserved, None, Instant::now());
    assert!(state.memory_growing(0, 30, None).unwrap());
    assert_eq!(budget.used_bytes(), 100);
    drop(state);
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn a_growth_that_the_engine_fails_to_make_is_not_charged() {
    let budget = MemoryBudget::new(1000);
    let context = PluginContext::new(1, "p", &Settings::default(), &budget, Arc::new(()), Arc::new(()));
    let mut state = State::new(&Settings::default(), &context, None, None, Instant::now());
    assert!(state.memory_growing(0, 100, None).unwrap());
    for _ in 0..3 {
        assert!(state.memory_growing(100, 300, None).unwrap());
        state.memory_grow_failed(wasmtime::Error::msg("beyond the memory's maximum")).unwrap();
        assert_eq!((budget.used_bytes(), state.limiter.memory_bytes()), (100, 100));
    }
    assert_eq!(state.limiter.refused, Some(MemoryBound::Instance));
    drop(state);
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn tables_are_summed() {
    let mut state = state(None);
    assert!(state.table_growing(0, engine::TABLE_ELEMENTS_MAX, None).unwrap());
    assert!(!state.table_growing(0, 1, None).unwrap());
}

#[test]
fn a_log_flood_is_cut_off_each_second_across_calls() {
    let pace = LogPace::new(50);
    let at = |second| pace.began + Duration::from_secs(second);
    assert_eq!((0..1000).filter(|_| pace.admit(at(7))).count(), 50);
    assert!(pace.admit(at(8)));
}

#[test]
fn only_the_slot_named_key_signs() {
    use sign::Host;
    let mut with = state(Some(b"key"));
    let signature = with.hmac_sha256("key".into(), b"The quick brown fox jumps over the lazy dog".to_vec()).unwrap();
    assert_eq!(signature[..4], [0xf7, 0xbc, 0x83, 0xf4]);
    let unknown = with.hmac_sha256("master".into(), vec![]);
    let absent = state(None).hmac_sha256("key".into(), vec![]);
    assert_eq!(unknown, absent);
    assert_eq!(unknown, Err("no such slot".to_owned()));
}

#[test]
fn signing_is_bounded() {
    use sign::Host;
    let mut state = state(Some(b"key"));
    assert!(state.hmac_sha256("key".into(), vec![0; SIGN_BYTES_MAX + 1]).is_err());
    let signed = (0..100).filter(|_| state.hmac_sha256("key".into(), vec![]).is_ok()).count();
    assert_eq!(signed, SIGNATURES_PER_WORK as usize);
}

struct Length;

impl Tokenize for Length {
    fn count(&self, _model: &str, text: &str) -> Option<u32> {
        u32::try_from(text.len()).ok()
    }
}

#[test]
fn a_long_text_is_not_counted() {
    use tokenize::Host;
    let mut state = State::new(&Settings::default(), &context(Arc::new(Length)), None, None, Instant::now());
    assert_eq!(state.count("m".into(), "abc".into()), Some(3));
    assert_eq!(state.count("m".into(), "a".repeat(TOKENIZE_BYTES_MAX + 1)), None);
    let counted = (0..100).filter(|_| state.count("m".into(), "a".repeat(TOKENIZE_BYTES_MAX)).is_some()).count();
    assert!(counted < 4, "{counted} long texts counted in one call");
}
