//! Calls that are cut between two attempts.

use super::*;

#[test]
fn a_call_that_is_cut_between_two_attempts_counts_what_the_first_used() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    let over = |input_tokens_spent, output_tokens_spent| Attempt {
        is_over: true,
        input_tokens_spent,
        output_tokens_spent,
        ..attempt()
    };
    for (id, after) in [("req_refused", over(0, 0)), ("req_timeout", over(10, 0))] {
        let mut ticket = ledger.open_call(opened(id, 50)).unwrap();
        ticket.sent(Attempt { output_tokens_held: 20, ..attempt() });
        ticket.sent(after.clone());
        let mut aborted = ledger.open_call(opened(&format!("{id}_aborted"), 50)).unwrap();
        aborted.sent(after);
        std::mem::forget(ticket);
    }
    hand.round().unwrap();
    std::mem::forget(ledger);
    drop((hand, store));
    let store = house.store();
    let (_ledger, _hand, recovered) = by_hand(&house, store.clone(), small());
    assert_eq!(recovered.journal.calls_crashed, 2);
    let expected = [
        ("req_refused", CRASHED, 0),
        ("req_refused_aborted", ABORTED, 0),
        ("req_timeout", CRASHED, 10),
        ("req_timeout_aborted", ABORTED, 10),
    ]
    .map(|(id, class, tokens)| (id.to_owned(), (class.to_owned(), tokens)));
    assert_eq!(rows(&*store), HashMap::from(expected));
    let refused = |row: &Record| row.request_id == "req_refused";
    names_the_attempt(&store.records(0, u64::MAX, 10, None).unwrap().records.into_iter().find(refused).unwrap());
}
