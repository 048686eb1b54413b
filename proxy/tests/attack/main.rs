//! Plugins that attack the gateway, each with what must come of it. In every case the process lives and the next
//! good call succeeds.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without, it may fail on")]

#[path = "../guests/evil.rs"]
mod evil;
#[path = "../guests/guest.rs"]
mod guest;

mod answer;
mod confined;
mod fair;
mod import;
mod inputs;
mod load;
mod memory;
mod reload;
mod request;
mod shipped;
mod stream;
mod support;
mod time;
mod trap;
