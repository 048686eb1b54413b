//! Guests whose answers break the rules of the component model. Rows 9 to 14 and 17.

use std::time::Instant;

use super::{evil, support::*};

#[test]
fn a_text_beyond_the_end_of_memory_is_malformed() {
    faults_as(&evil::body_at(131_072 - 4, 8), "malformed");
    faults_as(&evil::body_at(u32::MAX - 4, 2), "malformed");
    faults_as(&evil::body_at(u32::MAX - 4, 100), "malformed");
}

#[test]
fn a_text_that_is_not_utf8_is_malformed() {
    faults_as(&evil::body_of_noise(), "malformed");
}

#[test]
fn a_text_that_is_too_long_is_never_copied() {
    faults_as(&evil::body_of(16 << 20), "output");
}

#[test]
fn a_hundred_gigabytes_made_of_one_megabyte_are_never_copied() {
    let (before, began) = (touched_bytes(), Instant::now());
    faults_as(&evil::headers_that_alias(), "output");
    assert!(began.elapsed() < SOON * 2);
    let touched = touched_bytes() - before;
    assert!(touched < 256 << 20, "{touched} bytes touched");
}

#[test]
fn a_list_longer_than_memory_ends_at_once() {
    for headers in [1 << 20, 0x0fff_ffff, u32::MAX] {
        let fault = fault(&evil::headers_at(1024, headers));
        assert!(["output", "malformed"].contains(&fault.kind()), "{headers}: {fault}");
    }
}

#[test]
fn an_allocator_that_points_elsewhere_is_malformed() {
    for address in [-16, 0x7fff_fff0, 131_071] {
        faults_as(&evil::allocates_at(address), "malformed");
    }
}

#[test]
fn a_discriminant_that_names_nothing_is_malformed() {
    for offset in [0, 32, 44, 64, 68] {
        faults_as(&evil::discriminant(offset, 99), "malformed");
    }
}
