//! Tollgate: a reverse proxy for large language models whose providers are sandboxed plugins.
//!
//! A call walks the modules below from top to bottom. Read them in that order; each may import only from those
//! above it, and a test holds the tree to that. `engine` is the walk itself.
//!
//! Invariants
//! - A call sees one `Snapshot` from first byte to last.
//! - No call waits for a disk flush; none is answered in full before its row is written, and none is served that
//!   finds no room for one.
//! - No hold is granted past a limit, and every hold ends, whatever fails.
//! - A plugin sees values: no clock, file, socket or secret.
//! - Every refusal has one stable name.
//!
//! Where this differs from the design it began with
//! - `edge` is an `HttpServerApp` of Pingora's, not a `ProxyHttp`: its module says why.
//! - `usage` stands above `limit`, since money is among the caps.
//! - `config` stands above `gateway` but below the rooms whose settings it fills, so it names them and they never it.

pub mod call; // what the client asks and is answered
pub mod dialect; // the client's wire format, in and out
pub mod usage; // what it costs
pub mod limit; // whether it may
pub mod principal; // who there is
pub mod auth; // who asks
pub mod route; // where it may go
pub mod framing; // where one part of an answer ends
pub mod plugin; // the provider's dialect: the door to wasmtime
pub mod sign; // how the provider knows us
pub mod secret; // what must not be seen
pub mod store; // what outlives the process: the door to sled
pub mod journal; // what everything durable goes through first
pub mod upstream; // one attempt at a provider
pub mod ledger; // what is remembered of it
pub mod metrics; // what is counted of it: the door to prometheus
pub mod config; // what the operator meant
pub mod error; // why it was refused
pub mod snapshot; // what a call is decided by
pub mod gateway; // all of the above, assembled
pub mod engine; // the life of a call
pub mod admin; // changing it
pub mod edge; // the client's connection, and the operator's
pub mod server; // start, listeners, end
