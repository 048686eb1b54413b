use super::*;

const HEAD: Duration = Duration::from_secs(2);
const NEXT: Duration = Duration::from_secs(10);

fn connections(open_max: usize) -> Arc<Connections> {
    Connections::new(open_max, Waits { head: HEAD, next: NEXT })
}

/// How long it takes until `connection` is cut.
async fn cut_after(connection: &Connection) -> Duration {
    let began = Instant::now();
    connection.cut().await;
    began.elapsed()
}

async fn is_cut(connection: &Connection) -> bool {
    tokio::time::timeout(Duration::from_millis(1), connection.cut()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_head_is_cut_when_its_time_is_over() {
    let connection = connections(1).admit().await;
    let after = cut_after(&connection).await;
    assert!((HEAD..HEAD + Duration::from_millis(10)).contains(&after), "{after:?}");
    assert!(connection.serve().is_none(), "a head that comes too late is not served");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_served_is_never_cut_and_waits_anew_afterwards() {
    let connections = connections(1);
    let connection = connections.admit().await;
    let serving = connection.serve().unwrap();
    assert!(tokio::time::timeout(10 * NEXT, connection.cut()).await.is_err());
    connections.cut_oldest();
    drop(serving);
    let after = cut_after(&connection).await;
    assert!((NEXT..NEXT + Duration::from_millis(10)).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_has_waited_longest_gives_way() {
    let connections = connections(3);
    let (first, second, third) = (connections.admit().await, connections.admit().await, connections.admit().await);
    // The first one waits anew, so that the second has waited longest.
    drop(first.serve());
    let admitted = tokio::spawn({
        let connections = connections.clone();
        async move { connections.admit().await }
    });
    second.cut().await;
    assert!(!is_cut(&first).await && !is_cut(&third).await);
    assert!(!admitted.is_finished(), "there is no place before the other has left it");
    drop(second);
    let fourth = admitted.await.unwrap();
    assert_eq!(connections.open(), 3);
    drop((first, third, fourth));
    assert_eq!(connections.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn while_all_are_served_a_new_connection_waits_for_the_first_that_is_not() {
    let connections = connections(2);
    let (first, second) = (connections.admit().await, connections.admit().await);
    let (serving, still) = (first.serve(), second.serve());
    let admitted = tokio::spawn({
        let connections = connections.clone();
        async move { connections.admit().await }
    });
    tokio::time::sleep(NEXT).await;
    assert!(!admitted.is_finished());
    drop(serving);
    first.cut().await;
    drop(first);
    admitted.await.unwrap();
    assert!(!is_cut(&second).await);
    drop(still);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_gives_up_waiting_takes_no_place() {
    let connections = connections(1);
    let connection = connections.admit().await;
    let serving = connection.serve();
    assert!(tokio::time::timeout(NEXT, connections.admit()).await.is_err());
    drop(serving);
    drop(connection);
    assert_eq!((connections.open(), connections.wanted.load(Ordering::Relaxed)), (0, 0));
}
