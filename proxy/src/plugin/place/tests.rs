use super::*;

#[test]
fn no_more_places_are_given_than_there_are() {
    let places = Places::new(2);
    let first = places.take();
    let second = places.take();
    assert!(first.is_some() && second.is_some());
    assert!(places.take().is_none());
    drop(first);
    assert_eq!(places.taken(), 1);
    assert!(places.take().is_some());
}

#[test]
fn racing_threads_never_hold_more_than_there_are() {
    let places = Places::new(3);
    let (most, held) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    if let Some(place) = places.take() {
                        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        held.fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(places.taken(), 0);
}
