//! One account: its windows, and what is held of them. Everything a call touches changes under one short lock.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::{
    Amount, Caps, Limit, LimitError, Past, Time,
    calendar::{DAY_MS, day_of, month_end_ms, month_of},
    minute::Minute,
    window::{Periods, Sum, Sums, WindowId},
};

/// What to tell a client that only calls in flight keep out: they end at no known time.
const IN_FLIGHT_RETRY_MS: u64 = 1_000;

/// Quota of one principal.
#[derive(Debug)]
pub struct Account {
    id: Arc<str>,
    state: Mutex<State>,
}

/// What an account has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Settled in the current UTC day.
    pub day: Amount,
    /// Settled in the current UTC month.
    pub month: Amount,
    pub total: Amount,
    /// Set aside for calls in flight.
    pub held: Amount,
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
pub struct RateLimits {
    pub requests: Option<Headroom>,
    /// Of the token caps, the one with least left.
    pub tokens: Option<Headroom>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    days: Periods,
    months: Periods,
    total: Sums,
    minute: Minute,
    concurrent: u32,
}

/// The day and the month that a hold is charged to, and the second.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    day: WindowId,
    month: WindowId,
    /// Which its request counts in.
    second: u64,
}

/// One cap of an amount, with what counts against it.
struct Capped<'a> {
    limit: Limit,
    cap: u64,
    sum: &'a Sum,
    wanted: u64,
    period: Period,
}

/// When a window rolls.
#[derive(Clone, Copy)]
enum Period {
    Day(WindowId),
    Month(WindowId),
    Ever,
}

impl Account {
    pub(super) fn new(id: Arc<str>) -> Account {
        Account { id, state: Mutex::default() }
    }

    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn restore(&self, past: &Past, time: Time) {
        let mut state = self.state.lock();
        state.minute.advance(time.monotonic_ms);
        // Ages, because the clock may have been set since: the latest request was now at the latest.
        let latest_ms = past.requests_ms.iter().copied().fold(time.unix_ms, u64::max);
        for &request_ms in &past.requests_ms {
            state.minute.add_aged(latest_ms - request_ms, time.monotonic_ms);
        }
        for day in &past.days {
            state.days.enter(day.number);
            state.days.current_mut().set_settled(day.used);
        }
        for month in &past.months {
            state.months.enter(month.number);
            state.months.current_mut().set_settled(month.used);
        }
        state.total.set_settled(past.total);
    }

    /// What has been used.
    pub fn spent(&self, time: Time) -> Spent {
        let mut state = self.state.lock();
        state.advance(time);
        let at = state.at();
        let settled = |sums: Option<&Sums>| sums.map(Sums::settled).unwrap_or_default();
        Spent {
            day: settled(state.days.of(at.day)),
            month: settled(state.months.of(at.month)),
            total: state.total.settled(),
            held: state.total.held(),
            requests_last_minute: state.minute.sum(),
            concurrent: state.concurrent,
        }
    }

    /// What is left, with calls in flight counted as their holds.
    pub fn rate_limits(&self, caps: &Caps, time: Time) -> RateLimits {
        let mut state = self.state.lock();
        state.advance(time);
        let requests = caps.requests_per_minute.map(|cap| Headroom {
            limit: cap.into(),
            remaining: cap.saturating_sub(state.minute.sum()).into(),
            reset_ms: Some(state.minute.wait_ms(0, time.monotonic_ms)),
        });
        let tokens = state.token_caps(caps, 0, state.at()).map(|capped| Headroom {
            limit: capped.cap,
            remaining: capped.sum.remaining(capped.cap),
            reset_ms: state.left_ms(capped.period, time.unix_ms),
        });
        RateLimits { requests, tokens: tokens.min_by_key(|headroom| headroom.remaining) }
    }

    /// Ends a hold as if it had never been.
    pub(super) fn cancel(&self, held: Amount, at: At) {
        self.state.lock().minute.remove(at.second);
        self.end(held, Amount::default(), at);
    }

    /// One call less is in flight.
    pub(super) fn leave(&self) {
        self.state.lock().concurrent -= 1;
    }

    /// Ends a hold of `held` at `at` with what was `used`.
    pub(super) fn end(&self, held: Amount, used: Amount, at: At) {
        let mut state = self.state.lock();
        state.total.settle(held, used);
        if let Some(day) = state.days.of_mut(at.day) {
            day.settle(held, used);
        }
        if let Some(month) = state.months.of_mut(at.month) {
            month.settle(held, used);
        }
    }
}

impl State {
    pub(super) fn advance(&mut self, time: Time) {
        self.minute.advance(time.monotonic_ms);
        let day = day_of(time.unix_ms);
        if day != self.days.current().period {
            self.days.enter(day);
            self.months.enter(month_of(day));
        }
    }

    /// The current day and month.
    pub(super) fn at(&self) -> At {
        At { day: self.days.current(), month: self.months.current(), second: self.minute.second() }
    }

    /// How long `period` keeps a call out that is sent again; `None` for one that does not end.
    fn left_ms(&self, period: Period, unix_ms: u64) -> Option<u64> {
        let (end_ms, is_current) = match period {
            Period::Day(day) => ((u64::from(day.period) + 1) * DAY_MS, day == self.days.current()),
            Period::Month(month) => (month_end_ms(month.period), month == self.months.current()),
            Period::Ever => return None,
        };
        // A call that began in another period is held on the current one when it is sent again.
        Some(if is_current { end_ms.saturating_sub(unix_ms) } else { IN_FLIGHT_RETRY_MS })
    }

    /// Whether `amount` fits, and for a call that `joins` its request.
    pub(super) fn fits(&self, caps: &Caps, amount: Amount, at: At, joins: bool) -> bool {
        let fits = |capped: Capped<'_>| capped.sum.fits(capped.cap, capped.wanted);
        (!joins
            || caps.requests_per_minute.is_none_or(|cap| self.minute.sum() < cap)
                && caps.concurrent.is_none_or(|cap| self.concurrent < cap))
            && self.token_caps(caps, amount.tokens, at).all(fits)
            && self.money_caps(caps, amount.money_nanos, at).all(fits)
    }

    pub(super) fn hold(&mut self, amount: Amount, at: At, joins: bool) {
        if joins {
            self.minute.add();
            self.concurrent += 1;
        }
        self.total.hold(amount);
        if let Some(day) = self.days.of_mut(at.day) {
            day.hold(amount);
        }
        if let Some(month) = self.months.of_mut(at.month) {
            month.hold(amount);
        }
    }

    /// The caps of tokens that there are.
    fn token_caps(&self, caps: &Caps, wanted: u64, at: At) -> impl Iterator<Item = Capped<'_>> {
        let limits = [Limit::TokensTotal, Limit::TokensPerMonth, Limit::TokensPerDay];
        self.capped(limits, [caps.tokens_total, caps.tokens_per_month, caps.tokens_per_day], wanted, at, |sums| {
            &sums.tokens
        })
    }

    /// The caps of money that there are.
    fn money_caps(&self, caps: &Caps, wanted: u64, at: At) -> impl Iterator<Item = Capped<'_>> {
        let limits = [Limit::MoneyTotal, Limit::MoneyPerMonth, Limit::MoneyPerDay];
        let caps = caps.money.map_or([None; 3], |caps| [caps.total_nanos, caps.per_month_nanos, caps.per_day_nanos]);
        self.capped(limits, caps, wanted, at, |sums| &sums.money)
    }

    /// The caps, of all time, of a month and of a day, that there are. A period that is forgotten caps nothing.
    fn capped(
        &self,
        limits: [Limit; 3],
        caps: [Option<u64>; 3],
        wanted: u64,
        at: At,
        sum: fn(&Sums) -> &Sum,
    ) -> impl Iterator<Item = Capped<'_>> {
        let periods = [Period::Ever, Period::Month(at.month), Period::Day(at.day)];
        limits.into_iter().zip(caps).zip(periods).filter_map(move |((limit, cap), period)| {
            let cap = cap?;
            let sums = match period {
                Period::Ever => Some(&self.total),
                Period::Month(month) => self.months.of(month),
                Period::Day(day) => self.days.of(day),
            };
            Some(Capped { limit, cap, sum: sum(sums?), wanted, period })
        })
    }

    /// Why the call does not fit: of the caps in the way, the one that is for longest.
    #[cold]
    pub(super) fn refusal(
        &self,
        account: &Arc<str>,
        caps: &Caps,
        amount: Amount,
        at: At,
        joins: bool,
        time: Time,
    ) -> LimitError {
        let error = |limit, cap, remaining, wanted, retry_after_ms| {
            let (account, currency) = (account.clone(), None);
            LimitError { limit, account, cap, remaining, wanted, currency, retry_after_ms }
        };
        let refused = |capped: Capped<'_>| {
            let Capped { limit, cap, sum, wanted, period } = capped;
            let retry_after_ms = match sum.settled.checked_add(wanted) {
                _ if wanted > cap => None,
                Some(settled) if settled <= cap => Some(IN_FLIGHT_RETRY_MS),
                _ => self.left_ms(period, time.unix_ms),
            };
            (!sum.fits(cap, wanted)).then(|| error(limit, cap, sum.remaining(cap), wanted, retry_after_ms))
        };
        let by_money = self.money_caps(caps, amount.money_nanos, at).filter_map(&refused);
        let currency = caps.money.map(|money| money.currency);
        let by_money = by_money.map(|error| LimitError { currency, ..error });
        let by_tokens = self.token_caps(caps, amount.tokens, at).filter_map(&refused);
        let (sum, concurrent) = (self.minute.sum(), self.concurrent);
        let by_minute = caps.requests_per_minute.filter(|&cap| joins && sum >= cap).map(|cap| {
            let wait_ms = cap.checked_sub(1).map(|room| self.minute.wait_ms(room, time.monotonic_ms));
            error(Limit::RequestsPerMinute, cap.into(), 0, 1, wait_ms)
        });
        let by_concurrency = caps.concurrent.filter(|&cap| joins && concurrent >= cap).map(|cap| {
            let retry_after_ms = (cap > 0).then_some(IN_FLIGHT_RETRY_MS);
            error(Limit::Concurrent, cap.into(), 0, 1, retry_after_ms)
        });
        by_tokens
            .chain(by_money)
            .chain(by_minute)
            .chain(by_concurrency)
            .max_by_key(|error| error.retry_after_ms.unwrap_or(u64::MAX))
            .expect("asked only when a cap does not fit")
    }
}
