use super::*;

fn state(secret: Option<&[u8]>) -> State {
    State::new(&Settings::default(), &PluginContext::new("p", Arc::new(()), Arc::new(())), secret, 0)
}

fn interrupts(deadline: &mut Deadline, cpu_ms: Option<u64>) -> bool {
    matches!(deadline.advance(cpu_ms), UpdateDeadline::Interrupt)
}

#[test]
fn a_call_is_interrupted_when_its_processor_time_is_used_up() {
    let mut deadline = Deadline { budget_ms: 10, ..Deadline::default() };
    for cpu_ms in [100, 102, 104, 106] {
        assert!(!interrupts(&mut deadline, Some(cpu_ms)), "at {cpu_ms}");
    }
    assert!(interrupts(&mut deadline, Some(108)));
}

#[test]
fn a_call_whose_thread_waits_for_a_processor_is_not_interrupted() {
    let mut deadline = Deadline { budget_ms: 10, ..Deadline::default() };
    for _ in 0..20 {
        assert!(!interrupts(&mut deadline, Some(100)));
    }
}

#[test]
fn a_call_that_never_gets_a_processor_ends_all_the_same() {
    let mut deadline = Deadline { budget_ms: 10, ..Deadline::default() };
    assert!((0..100).any(|_| interrupts(&mut deadline, Some(100))));
}

#[test]
fn wall_time_counts_where_the_kernel_tells_no_processor_time() {
    let mut deadline = Deadline { budget_ms: 10, ..Deadline::default() };
    for _ in 0..4 {
        assert!(!interrupts(&mut deadline, None));
    }
    assert!(interrupts(&mut deadline, None));
}

#[test]
fn this_kernel_tells_the_processor_time_of_a_thread() {
    assert!(cpu_ms().is_some());
}

#[test]
fn memories_are_summed() {
    let mut limiter = Limiter::new(100);
    assert!(limiter.memory_growing(0, 60, None).unwrap());
    assert!(!limiter.memory_growing(0, 60, None).unwrap());
    assert!(limiter.starved);
    assert!(limiter.memory_growing(60, 100, None).unwrap());
    assert_eq!(limiter.memory_bytes(), 100);
}

#[test]
fn tables_are_summed() {
    let mut limiter = Limiter::new(100);
    assert!(limiter.table_growing(0, engine::TABLE_ELEMENTS_MAX, None).unwrap());
    assert!(!limiter.table_growing(0, 1, None).unwrap());
}

#[test]
fn a_log_flood_is_cut_off_each_second_across_calls() {
    let context = PluginContext::new("p", Arc::new(()), Arc::new(()));
    let lines = (0..1000).filter(|_| context.may_log(7)).count() as u64;
    assert_eq!(lines, LOG_LINES_PER_SECOND);
    assert!(context.may_log(8));
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
    let mut state = State::new(&Settings::default(), &PluginContext::new("p", Arc::new(Length), Arc::new(())), None, 0);
    assert_eq!(state.count("m".into(), "abc".into()), Some(3));
    assert_eq!(state.count("m".into(), "a".repeat(TOKENIZE_BYTES_MAX + 1)), None);
    let counted = (0..100).filter(|_| state.count("m".into(), "a".repeat(TOKENIZE_BYTES_MAX)).is_some()).count();
    assert!(counted < 4, "{counted} long texts counted in one call");
}
