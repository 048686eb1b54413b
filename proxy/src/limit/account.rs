//! One account: its windows, and the holds on them. Everything a call touches changes under one short lock.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    Caps, Limit, LimitError, Past,
    calendar::{DAY_MS, day_of, month_end_ms, month_of},
    minute::Minute,
};

/// What to tell a client that only calls in flight keep out: they end at no known time.
const IN_FLIGHT_RETRY_MS: u64 = 1_000;

/// Quota of one principal.
#[derive(Debug, Default)]
pub struct Account {
    state: Mutex<State>,
}

/// Quota set aside for one call.
///
/// Settle it with what was really used, also when the client has left. Dropped unsettled it is released if nothing
/// was sent, and charged in full if something was: what we failed to count, the provider did not. The request itself
/// stays counted for its minute in any case, and a call that outlives its day or month is charged to the one it
/// began in.
#[must_use = "a hold that is dropped at once lets the call go unlimited"]
#[derive(Debug)]
pub struct Hold {
    account: Arc<Account>,
    tokens: u64,
    /// What is charged when the hold ends.
    due: u64,
    day: u32,
    month: u32,
}

/// What an account has used, in tokens unless named otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Settled in the current UTC day.
    pub day: u64,
    /// Settled in the current UTC month.
    pub month: u64,
    pub total: u64,
    /// Set aside for calls in flight.
    pub held: u64,
    pub requests_last_minute: u32,
    /// Calls in flight.
    pub concurrent: u32,
}

/// What is left of one cap, as the `x-ratelimit-*` headers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    pub limit: u64,
    pub remaining: u64,
    /// Until all of the limit is free again; `None` if waiting does not bring it back.
    pub reset_ms: Option<u64>,
}

/// What is left of an account's caps; `None` where there is no cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    pub requests: Option<Headroom>,
    /// Of the token caps, the one with least left.
    pub tokens: Option<Headroom>,
}

#[derive(Debug, Default)]
struct State {
    /// The latest moment seen.
    now_ms: u64,
    day: Window,
    month: Window,
    total: Window,
    minute: Minute,
    concurrent: u32,
}

/// Tokens of one period.
#[derive(Debug, Default)]
struct Window {
    /// Which day or month; 0 for the total.
    period: u32,
    settled: u64,
    /// Wider than a token count, so that holds without a cap cannot overflow it.
    held: u128,
}

impl Account {
    /// As [`super::Limiter::reserve`].
    pub fn reserve(self: &Arc<Self>, caps: &Caps, tokens: u64, now_ms: u64) -> Result<Hold, LimitError> {
        let mut state = self.state.lock();
        state.advance(now_ms);
        if !state.fits(caps, tokens) {
            return Err(state.refusal(caps, tokens));
        }
        state.hold(tokens);
        let (day, month) = (state.day.period, state.month.period);
        drop(state);
        Ok(Hold { account: self.clone(), tokens, due: 0, day, month })
    }

    pub(super) fn restore(&self, past: &Past) {
        let mut state = self.state.lock();
        for &request_ms in &past.requests_ms {
            state.minute.add_at(request_ms);
        }
        state.advance(u64::from(past.day) * DAY_MS);
        if state.day.period == past.day {
            state.day.settled = past.day_tokens;
        }
        if state.month.period == past.month {
            state.month.settled = past.month_tokens;
        }
        state.total.settled = past.total_tokens;
    }

    /// What has been used.
    pub fn spent(&self, now_ms: u64) -> Spent {
        let mut state = self.state.lock();
        state.advance(now_ms);
        Spent {
            day: state.day.settled,
            month: state.month.settled,
            total: state.total.settled,
            held: u64::try_from(state.total.held).unwrap_or(u64::MAX),
            requests_last_minute: state.minute.sum(),
            concurrent: state.concurrent,
        }
    }

    /// What is left, with calls in flight counted as their holds.
    pub fn room(&self, caps: &Caps, now_ms: u64) -> Room {
        let mut state = self.state.lock();
        state.advance(now_ms);
        let requests = caps.requests_per_minute.map(|cap| Headroom {
            limit: cap.into(),
            remaining: cap.saturating_sub(state.minute.sum()).into(),
            reset_ms: Some(state.minute.wait_ms(0, state.now_ms)),
        });
        let tokens = state.token_caps(caps).into_iter().filter_map(|(_, cap, window, rolls_ms)| {
            let cap = cap?;
            Some(Headroom { limit: cap, remaining: window.remaining(cap), reset_ms: rolls_ms })
        });
        Room { requests, tokens: tokens.min_by_key(|headroom| headroom.remaining) }
    }

    fn end(&self, hold: &Hold) {
        let mut state = self.state.lock();
        state.concurrent -= 1;
        state.total.end(hold);
        if state.day.period == hold.day {
            state.day.end(hold);
        }
        if state.month.period == hold.month {
            state.month.end(hold);
        }
    }
}

impl State {
    fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.minute.advance(self.now_ms);
        let day = day_of(self.now_ms);
        if day != self.day.period {
            self.day = Window { period: day, ..Window::default() };
            let month = month_of(day);
            if month != self.month.period {
                self.month = Window { period: month, ..Window::default() };
            }
        }
    }

    fn fits(&self, caps: &Caps, tokens: u64) -> bool {
        caps.requests_per_minute.is_none_or(|cap| self.minute.sum() < cap)
            && caps.concurrent.is_none_or(|cap| self.concurrent < cap)
            && caps.tokens_per_day.is_none_or(|cap| self.day.fits(cap, tokens))
            && caps.tokens_per_month.is_none_or(|cap| self.month.fits(cap, tokens))
            && caps.tokens_total.is_none_or(|cap| self.total.fits(cap, tokens))
    }

    fn hold(&mut self, tokens: u64) {
        self.minute.add();
        self.concurrent += 1;
        for window in [&mut self.day, &mut self.month, &mut self.total] {
            window.held += u128::from(tokens);
        }
    }

    /// Each token cap with its window, and the time until that window rolls.
    fn token_caps(&self, caps: &Caps) -> [(Limit, Option<u64>, &Window, Option<u64>); 3] {
        let day_end_ms = (u64::from(self.day.period) + 1) * DAY_MS;
        let month_end_ms = month_end_ms(self.month.period);
        [
            (Limit::TokensTotal, caps.tokens_total, &self.total, None),
            (Limit::TokensPerMonth, caps.tokens_per_month, &self.month, Some(month_end_ms.saturating_sub(self.now_ms))),
            (Limit::TokensPerDay, caps.tokens_per_day, &self.day, Some(day_end_ms.saturating_sub(self.now_ms))),
        ]
    }

    #[cold]
    fn refusal(&self, caps: &Caps, tokens: u64) -> LimitError {
        let by_tokens = self.token_caps(caps).into_iter().filter_map(|(limit, cap, window, rolls_ms)| {
            let cap = cap.filter(|&cap| !window.fits(cap, tokens))?;
            let retry_after_ms = match window.settled.checked_add(tokens) {
                _ if tokens > cap => None,
                Some(sum) if sum <= cap => Some(IN_FLIGHT_RETRY_MS),
                _ => rolls_ms,
            };
            Some(LimitError { limit, cap, remaining: window.remaining(cap), wanted: tokens, retry_after_ms })
        });
        let (sum, concurrent) = (self.minute.sum(), self.concurrent);
        let by_minute = caps.requests_per_minute.filter(|&cap| sum >= cap).map(|cap| LimitError {
            limit: Limit::RequestsPerMinute,
            cap: cap.into(),
            remaining: 0,
            wanted: 1,
            retry_after_ms: cap.checked_sub(1).map(|room| self.minute.wait_ms(room, self.now_ms)),
        });
        let by_concurrent = caps.concurrent.filter(|&cap| concurrent >= cap).map(|cap| LimitError {
            limit: Limit::Concurrent,
            cap: cap.into(),
            remaining: 0,
            wanted: 1,
            retry_after_ms: (cap > 0).then_some(IN_FLIGHT_RETRY_MS),
        });
        by_tokens
            .chain(by_minute)
            .chain(by_concurrent)
            .max_by_key(|exceeded| exceeded.retry_after_ms.unwrap_or(u64::MAX))
            .expect("asked only when a cap does not fit")
    }
}

impl Window {
    fn fits(&self, cap: u64, tokens: u64) -> bool {
        u128::from(self.settled) + self.held + u128::from(tokens) <= u128::from(cap)
    }

    fn remaining(&self, cap: u64) -> u64 {
        let used = u128::from(self.settled) + self.held;
        u64::try_from(u128::from(cap).saturating_sub(used)).unwrap_or(u64::MAX)
    }

    fn end(&mut self, hold: &Hold) {
        self.held -= u128::from(hold.tokens);
        self.settled = self.settled.saturating_add(hold.due);
    }
}

impl Hold {
    /// The call is on its way upstream; from here on it costs something.
    pub fn sent(&mut self) {
        self.due = self.tokens;
    }

    /// Ends the hold with what was used: the difference is free at once, an excess is counted.
    pub fn settle(mut self, tokens: u64) {
        self.due = tokens;
    }

    /// Tokens set aside.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The account that is held on.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.account.end(self);
    }
}
