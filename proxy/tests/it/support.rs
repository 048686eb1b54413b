//! The words that the tests are written in.
//!
//! `gateway(&provider).serves("fake:hang").run()` starts the binary; `chat("gpt").saying("hi")` is a call; a `Client` is
//! one connection; `gateway.stop()` ends the process and leaves its rows to be read.

mod answer;
mod by_hand;
mod call;
mod client;
mod gateway;
mod h2;
mod provider;
mod setup;

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

pub(crate) use answer::{Answer, Head};
pub(crate) use by_hand::{ByHand, GOOD_ANSWER, chunk};
pub(crate) use call::{Call, chat, embeddings, get, post};
pub(crate) use client::Client;
pub(crate) use gateway::{Gateway, Row, Stopped, command, counts, fails};
pub(crate) use h2::{H2Client, H2Provider, http1_over_tls};
pub(crate) use provider::{Provider, anthropic, openai};
pub(crate) use setup::{Setup, gateway, gateway_before, key_of};

/// How long anything may take that is due at once. Far more than a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Within this long of a client's leaving, its provider must be left too: far sooner than any timeout of the gateway's
/// would end the call, and no sooner than a busy machine may take.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);

/// Asks until there is an answer: for what no event tells. The only place that waits by the clock.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    // Nothing is ever sent: receiving only takes its time.
    let (_silent, tick) = mpsc::channel::<()>();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it never came true that {what}");
        let _ = tick.recv_timeout(Duration::from_millis(2));
    }
}
