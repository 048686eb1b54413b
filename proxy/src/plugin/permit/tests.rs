use super::*;

#[test]
fn no_more_permits_are_given_than_there_are() {
    let permits = Permits::new(2);
    let first = permits.take();
    let second = permits.take();
    assert!(first.is_some() && second.is_some());
    assert!(permits.take().is_none());
    drop(first);
    assert_eq!(permits.taken(), 1);
    assert!(permits.take().is_some());
}

#[test]
fn racing_threads_never_hold_more_than_there_are() {
    let permits = Permits::new(3);
    let (most, held) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    if let Some(permit) = permits.take() {
                        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        held.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(permits.taken(), 0);
}
