//! Whether a plugin is worth calling: one that keeps failing rests, longer each time, and is then tried with one call.
//!
//! Some work fails because of what one caller sends. So the plugin rests for that caller first, and for all only once
//! several callers have met its faults.
//!
//! Reads no clock: times are milliseconds since the sandbox was made.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use super::share::{KINDS, Kind};

/// A call that tries a rested plugin has this long before another may try.
const TRIAL_MS: u64 = 1000;

/// When a plugin rests.
#[derive(Debug, Clone, Copy)]
pub(super) struct RestRule {
    /// So many faults of one kind of work, with no success between them.
    pub(super) faults_max: u32,
    /// So many callers must have met faults before the plugin rests for all.
    pub(super) callers_min: u32,
    /// The first rest; each further one is twice as long.
    pub(super) rest_ms: u64,
    pub(super) rest_ms_max: u64,
}

/// How one plugin's work has ended lately, by its kind.
pub(super) struct Health {
    rule: RestRule,
    records: [Record; KINDS],
}

#[derive(Default)]
struct Record {
    /// Whether any caller met a fault since its own last success: without one, nobody takes the lock.
    troubled: AtomicBool,
    trouble: Mutex<Trouble>,
}

/// What has failed lately. A success forgives the plugin what all callers met, but each caller's own faults only if the
/// caller is the one that met it: what fails for one may work for all others.
#[derive(Default)]
struct Trouble {
    /// Since the last success.
    all: Streak,
    /// Callers that met a fault since their own last success, no more than [`CALLERS_MAX`]: the latest.
    callers: VecDeque<Met>,
}

/// What one caller met.
struct Met {
    caller: u64,
    streak: Streak,
    /// Whether one of its faults came after the last success of any caller.
    lately: bool,
}

/// Callers whose faults are told apart.
const CALLERS_MAX: usize = 64;

#[derive(Default)]
struct Streak {
    faults: u32,
    rests: u32,
    rests_until_ms: u64,
    /// A call is trying the plugin, until then.
    trial_until_ms: Option<u64>,
}

impl Health {
    pub(super) fn new(rule: RestRule) -> Health {
        Health { rule, records: Default::default() }
    }

    /// Lets a `caller` in whose call will need work of these kinds.
    ///
    /// # Errors
    /// After how many milliseconds to come again.
    pub(super) fn admit(&self, kinds: &[Kind], caller: u64, now_ms: u64) -> Result<(), u64> {
        kinds.iter().try_for_each(|kind| {
            let record = &self.records[*kind as usize];
            if !record.troubled.load(Ordering::Relaxed) {
                return Ok(());
            }
            record.trouble.lock().admit(&self.rule, caller, now_ms)
        })
    }

    /// Notes how a `caller`'s work of this kind ended. Returns the rest, if this begins one.
    pub(super) fn ended(&self, kind: Kind, caller: u64, now_ms: u64, fault: bool) -> Option<Rest> {
        let record = &self.records[kind as usize];
        if fault {
            let mut trouble = record.trouble.lock();
            record.troubled.store(true, Ordering::Relaxed);
            return trouble.fault(&self.rule, caller, now_ms);
        }
        if record.troubled.load(Ordering::Relaxed) {
            let mut trouble = record.trouble.lock();
            trouble.success(caller);
            record.troubled.store(!trouble.callers.is_empty(), Ordering::Relaxed);
        }
        None
    }
}

/// For how many milliseconds a plugin is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// By the caller that met its faults.
    OfCaller(u64),
    OfAll(u64),
}

impl Trouble {
    fn admit(&mut self, rule: &RestRule, caller: u64, now_ms: u64) -> Result<(), u64> {
        if let Some(own) = self.callers.iter_mut().find(|met| met.caller == caller) {
            own.streak.admit(rule, now_ms)?;
        }
        if self.is_of_one(rule) { Ok(()) } else { self.all.admit(rule, now_ms) }
    }

    /// Whether too few callers have met faults since the last success to lay them at the plugin's door.
    fn is_of_one(&self, rule: &RestRule) -> bool {
        self.callers.iter().filter(|met| met.lately).count() < rule.callers_min as usize
    }

    fn success(&mut self, caller: u64) {
        self.all = Streak::default();
        self.callers.retain(|met| met.caller != caller);
        self.callers.iter_mut().for_each(|met| met.lately = false);
    }

    fn fault(&mut self, rule: &RestRule, caller: u64, now_ms: u64) -> Option<Rest> {
        let place = self.callers.iter().position(|met| met.caller == caller).unwrap_or_else(|| {
            if self.callers.len() == CALLERS_MAX {
                self.callers.pop_front();
            }
            self.callers.push_back(Met { caller, streak: Streak::default(), lately: true });
            self.callers.len() - 1
        });
        let met = &mut self.callers[place];
        met.lately = true;
        let own = met.streak.fault(rule, now_ms);
        if self.is_of_one(rule) {
            self.all.faults = self.all.faults.saturating_add(1);
            return own.map(Rest::OfCaller);
        }
        self.all.fault(rule, now_ms).map(Rest::OfAll).or(own.map(Rest::OfCaller))
    }
}

impl Streak {
    fn admit(&mut self, rule: &RestRule, now_ms: u64) -> Result<(), u64> {
        if self.faults < rule.faults_max {
            return Ok(());
        }
        let closed_until_ms = self.rests_until_ms.max(self.trial_until_ms.unwrap_or(0));
        if now_ms < closed_until_ms {
            return Err(closed_until_ms - now_ms);
        }
        self.trial_until_ms = Some(now_ms + TRIAL_MS);
        Ok(())
    }

    fn fault(&mut self, rule: &RestRule, now_ms: u64) -> Option<u64> {
        self.faults = self.faults.saturating_add(1);
        // Calls that were in the plugin when its rest began say nothing new.
        let news = now_ms >= self.rests_until_ms;
        if self.faults < rule.faults_max || !news {
            return None;
        }
        let rest_ms = rule.rest_ms.saturating_mul(1 << self.rests.min(32)).min(rule.rest_ms_max);
        self.rests_until_ms = now_ms + rest_ms;
        self.rests = self.rests.saturating_add(1);
        self.trial_until_ms = None;
        Some(rest_ms)
    }
}

#[cfg(test)]
mod tests;
