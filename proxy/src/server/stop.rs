//! How a process is told to end.

use std::sync::{Arc, Mutex, mpsc};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::gateway::Gateway;

/// What ends a process.
pub(super) enum Event {
    /// SIGTERM or SIGINT.
    Signal,
    /// Pingora's threads have ended.
    Ended,
}

/// Turns the first signal into a drain, and tells the main thread of each.
pub(super) struct Watch {
    gateway: Arc<Gateway>,
    stop: Mutex<mpsc::Sender<Event>>,
}

impl Watch {
    pub(super) fn new(gateway: Arc<Gateway>, stop: mpsc::Sender<Event>) -> Watch {
        Watch { gateway, stop: Mutex::new(stop) }
    }

    fn tell(stop: &Mutex<mpsc::Sender<Event>>) {
        if let Ok(stop) = stop.lock() {
            // The main thread is gone only when the process is.
            let _ = stop.send(Event::Signal);
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Watch {
    async fn recv(&self) -> ShutdownSignal {
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            tracing::error!("signals cannot be watched: only SIGKILL will end this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        self.gateway.drain();
        Watch::tell(&self.stop);
        let stop = match self.stop.lock() {
            Ok(stop) => stop.clone(),
            Err(_) => return ShutdownSignal::FastShutdown,
        };
        // Pingora blocks this runtime next: a thread of its own waits for the second signal.
        let again = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            let _ = stop.send(Event::Signal);
        };
        tokio::spawn(again);
        ShutdownSignal::GracefulTerminate
    }
}
