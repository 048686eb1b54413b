use super::*;

#[test]
fn what_providers_reported_beyond_the_hold_stays_with_its_row_and_adds_up_by_key() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    for (id, overrun_tokens) in [("req_1", 10), ("req_2", 0), ("req_3", 5)] {
        ledger.record(None, Record { overrun_tokens, ..row(id, 100) }).unwrap();
    }
    hand.round().unwrap();
    store.flush().unwrap();
    let mut kept = Vec::new();
    store
        .each_record(&mut |row| {
            kept.push((row.request_id.clone(), row.overrun_tokens));
            Ok(())
        })
        .unwrap();
    kept.sort();
    assert_eq!(kept, [("req_1", 10), ("req_2", 0), ("req_3", 5)].map(|(id, tokens)| (id.to_owned(), tokens)));
    let total = &store.totals(Dimension::Overrun, 0..u32::MAX).unwrap()["key_a"];
    assert_eq!((total.calls, total.output), (2, 15));
}
