//! How many files the process may have open, and who gets how many of them.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Shares of the files that the process may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// Connections of clients.
    pub(super) clients: usize,
    /// Calls in flight, each of which may have a connection to a provider.
    pub(super) calls: usize,
    /// Connections to providers that are kept while unused.
    pub(super) idle: usize,
}

/// Connections of an operator, to each of the two listeners for operators.
pub(super) const OPERATOR_CONNECTIONS_MAX: usize = 32;
/// What the process has open besides: the store, the journal, the log, listeners, pollers, a plugin being compiled.
const OWN_FILES: usize = 64;
/// With fewer the process cannot even start.
pub(super) const FILES_MIN: usize = 96;
/// Connections to providers that are worth keeping while unused.
const IDLE_MAX: usize = 1024;

/// Raises the number of files that this process may open to the most that the system allows, and returns it.
pub(super) fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let mut raised = limit;
    raised.current = limit.maximum;
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some systems announce more than they allow.
        Err(_) => limit.current,
    };
    files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Shares `files` out. What is kept back is for the operator's listeners and for the process itself, so that neither
/// clients nor providers can take it. `connections_max` is the operator's word on clients, if there is one.
pub(super) fn shares(files: usize, calls_max: usize, connections_max: Option<usize>) -> Shares {
    let kept_back = (2 * OPERATOR_CONNECTIONS_MAX + OWN_FILES).min(files / 2);
    let eighth = (files - kept_back) / 8;
    let wanted = connections_max.unwrap_or(calls_max.saturating_mul(2));
    Shares {
        clients: wanted.min(eighth * 4).max(1),
        calls: calls_max.min(eighth * 3).max(1),
        idle: IDLE_MAX.min(eighth).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_what_the_process_and_its_operator_need() {
        for files in [16, 64, 256, 1024, 4096, 65_536, 1 << 20, usize::MAX] {
            for connections_max in [None, Some(1), Some(100_000_000)] {
                let Shares { clients, calls, idle } = shares(files, 10_000, connections_max);
                let left = files - clients - calls - idle;
                let needed = (2 * OPERATOR_CONNECTIONS_MAX + OWN_FILES).min(files / 2);
                assert!(left >= needed, "{files} files leave {left}");
                assert!(clients > 0 && calls > 0 && idle > 0, "{files}");
            }
        }
    }

    #[test]
    fn with_files_enough_everyone_gets_what_was_asked_for() {
        assert_eq!(shares(1 << 20, 10_000, None), Shares { clients: 20_000, calls: 10_000, idle: 1024 });
        assert_eq!(shares(1 << 20, 500, Some(7)), Shares { clients: 7, calls: 500, idle: 1024 });
        assert_eq!(shares(256, 10_000, None), Shares { clients: 64, calls: 48, idle: 16 });
    }
}
