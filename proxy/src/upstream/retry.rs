//! Whether to try again, and after how long: pure arithmetic over what happened so far.

use std::time::Duration;

/// What kind of failure is being retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// No answer: connection refused, reset, closed.
    Network,
    RateLimit,
    /// The provider's own fault: 5xx, overload.
    Server,
    /// The provider refused our key.
    Credential,
}

/// How waits grow from one retry to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    Fixed,
    Linear,
    Exponential,
}

/// How often one class is retried on one target, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub retries_max: u32,
    pub backoff: Backoff,
    pub wait: Duration,
}

/// A provider's rules of retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    pub network: Rule,
    pub rate_limit: Rule,
    pub server: Rule,
    /// Attempts at one target, the first among them.
    pub attempts_max: u32,
    /// A wait longer than this is not waited: the next target is tried, or the client is told how long.
    pub wait_max: Duration,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The same target, after this long.
    Again(Duration),
    /// The next target, if there is one.
    Next,
}

/// What one target has used of its retries for one call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    failed: u32,
    network: u32,
    rate_limit: u32,
    server: u32,
    credential: u32,
}

impl Budget {
    /// Decides on the failure of one attempt. `retry_after` is what the provider asked for; `other_key` says that the
    /// pool has a key that does not rest; `keys` is how many it has.
    pub fn decide(
        &mut self,
        rules: &Retries,
        class: Class,
        retry_after: Option<Duration>,
        other_key: bool,
        keys: usize,
    ) -> Decision {
        self.failed += 1;
        if self.failed >= rules.attempts_max {
            return Decision::Next;
        }
        let (used, rule) = match class {
            Class::Network => (&mut self.network, &rules.network),
            Class::RateLimit => (&mut self.rate_limit, &rules.rate_limit),
            Class::Server => (&mut self.server, &rules.server),
            Class::Credential => {
                self.credential += 1;
                let untried = other_key && (self.credential as usize) < keys;
                return if untried { Decision::Again(Duration::ZERO) } else { Decision::Next };
            }
        };
        if *used >= rule.retries_max {
            return Decision::Next;
        }
        *used += 1;
        if class == Class::RateLimit && other_key && (*used as usize) < keys {
            return Decision::Again(Duration::ZERO);
        }
        let paced = match rule.backoff {
            Backoff::Fixed => rule.wait,
            Backoff::Linear => rule.wait.saturating_mul(*used),
            Backoff::Exponential => rule.wait.saturating_mul(1 << (*used - 1).min(16)),
        };
        // A provider may ask for more patience than the operator has, not for less.
        let wait = retry_after.map_or(paced, |asked| asked.max(paced));
        if wait > rules.wait_max { Decision::Next } else { Decision::Again(wait) }
    }
}
