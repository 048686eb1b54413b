//! Fuzzing: what each target does with some bytes, and a search for bytes that it does not bear.
//!
//! A target is a plain function over bytes that panics where an invariant does not hold. cargo-fuzz calls it from
//! `fuzz/fuzz_targets`; [`search`] calls it on a stable toolchain, where nothing tells which code ran: it keeps the inputs
//! whose outcome is new instead.

pub mod search;
pub mod targets;

mod mutate;
mod random;
