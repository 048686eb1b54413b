//! How a process is told to end.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::gateway::Gateway;

/// What ends a process.
pub(super) enum Event {
    /// SIGTERM, SIGINT or SIGHUP.
    Signal,
    /// Pingora's threads have ended.
    Ended,
}

/// Watches signals on a thread of its own, so that they end the process whatever else in it has died. The first one
/// begins the drain and is passed on to Pingora; `stop` is told of each.
///
/// # Errors
/// Where the system gives no thread, no runtime or no signal.
pub(super) fn watch_signals(gateway: Arc<Gateway>, stop: mpsc::Sender<Event>) -> io::Result<Told> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new()?
    };
    let (tell, told) = watch::channel(false);
    let body = move || {
        runtime.block_on(async {
            loop {
                signals.next().await;
                gateway.drain();
                // Whoever listened is gone only when the process ends.
                let _ = stop.send(Event::Signal);
                let _ = tell.send(true);
            }
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(body)?;
    Ok(Told(told))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None where whoever started the process asked that it outlive its terminal, as `nohup` does.
    hang_up: Option<Signal>,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let ignored = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_up(&status));
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: (!ignored).then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    async fn next(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Whether the process of this `/proc/self/status` was started with SIGHUP ignored.
fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Pingora's part: the first signal, once it is there.
pub(super) struct Told(watch::Receiver<bool>);

#[async_trait]
impl ShutdownSignalWatch for Told {
    async fn recv(&self) -> ShutdownSignal {
        // A watch of signals that has died is none to end for.
        if self.0.clone().wait_for(|told| *told).await.is_err() {
            return std::future::pending().await;
        }
        ShutdownSignal::GracefulTerminate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_to_outlive_its_terminal_is_known() {
        assert!(ignores_hang_up("Name:\ttollgate\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hang_up("Name:\ttollgate\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hang_up("SigIgn:\tnonsense\n") && !ignores_hang_up(""));
    }
}
