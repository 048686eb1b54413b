//! The gateway as its clients and its operator meet it: the real binary, on real sockets, before fake providers.
//!
//! Every test starts a gateway of its own, on an address and with a data directory of its own.

mod support;

mod admin;
mod answers;
mod bodies;
mod chat;
mod connections;
mod crash;
mod fairness;
mod full_disk;
mod gone;
mod http;
mod limits;
mod memory;
mod plugins;
mod provider_faults;
mod refusals;
mod stop;
mod stream;
mod templates;
mod usage;
