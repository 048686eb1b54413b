//! What providers' errors and usage reports mean.
//!
//! The gateway reads them where it forwards an answer as it came, and a plugin where it is asked: by this one code, so
//! that both give one answer. Values in, values out; no dependency, no JSON reader of its own.
#![no_std]

extern crate alloc;

mod error;
mod meaning;
mod usage;

#[cfg(test)]
mod tests;

pub use error::{ErrorBody, Json};
pub use meaning::{Blame, FailureKind, Meaning};
pub use usage::{Usage, UsageReader, count_of};
