//! Every path of a call, with doubles on both sides and in paused time: no socket, and no test waits for a clock.

mod admitted;
mod client;
mod failover;
mod gone;
mod providers;
mod settled;
mod setup;
mod streams;
mod wholes;
