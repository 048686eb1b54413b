//! The bounds and deadlines of connections.

use std::time::Duration;

/// What an operator says of clients' connections.
#[derive(Debug, Clone)]
pub struct Settings {
    pub h2c: bool,
    /// How long an unused connection is kept.
    pub keep_idle: Duration,
    /// From the beginning of a connection to its first whole head; with `keep_idle`, from one request to the next.
    pub head_timeout: Duration,
    /// Between two pieces of a body.
    pub read: Duration,
    /// Between two pieces of an answer being taken.
    pub write: Duration,
    /// The whole body.
    pub body: Duration,
    pub body_bytes_max: usize,
    /// The bodies of all requests together.
    pub bodies_bytes_max: usize,
    /// Large bodies that are decoded at one time.
    pub decoding_max: usize,
    pub headers_max: usize,
    /// All headers together.
    pub header_bytes_max: usize,
}
