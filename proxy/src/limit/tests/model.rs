//! Random interleavings over several accounts, with clocks that step and processes that end, held against a limiter
//! that keeps every call for ever and adds up anew each time.

use proptest::{collection::vec, prelude::*};

use self::steps::{Step, some_caps, step};
use super::{super::window::PERIODS_MAX, *};

mod steps;

const IDS: [&str; 4] = ["key", "user", "group", "model"];

/// One admitted call in one account.
#[derive(Debug, Clone, Copy)]
struct Share {
    amount: Amount,
    /// `None` where the account has forgotten the day.
    day: Option<u32>,
    month: Option<u32>,
    /// On the clock that does not step; `None` where the minute is over.
    request_ms: Option<u64>,
    /// `None` while in flight.
    used: Option<Amount>,
}

#[derive(Debug, Default)]
struct Call {
    unix_ms: u64,
    sent: bool,
    shares: [Option<Share>; IDS.len()],
}

#[derive(Debug)]
struct Model {
    time: Time,
    calls: Vec<Call>,
    /// Of each account, the days and months it remembers, the latest last.
    days: [Vec<u32>; IDS.len()],
    months: [Vec<u32>; IDS.len()],
}

fn plus(one: Amount, other: Amount) -> Amount {
    Amount { tokens: one.tokens + other.tokens, money_nanos: one.money_nanos + other.money_nanos }
}

fn percent(amount: Amount, percent: u64) -> Amount {
    Amount { tokens: amount.tokens * percent / 100, money_nanos: amount.money_nanos * percent / 100 }
}

impl Model {
    fn shares(&self, account: usize) -> impl Iterator<Item = &Share> {
        self.calls.iter().filter_map(move |call| call.shares[account].as_ref())
    }

    /// What is settled, and what is held, of the shares that `belongs` names.
    fn sums(&self, account: usize, belongs: impl Fn(&Share) -> bool) -> (Amount, Amount) {
        self.shares(account).filter(|share| belongs(share)).fold(Default::default(), |(settled, held), share| {
            match share.used {
                Some(used) => (plus(settled, used), held),
                None => (settled, plus(held, share.amount)),
            }
        })
    }

    /// The account is looked at: the wall clock's day is its latest, and it remembers those before.
    fn touch(&mut self, account: usize) {
        let day = day_of(self.time.unix_ms);
        if self.days[account].last() == Some(&day) {
            return;
        }
        let enter = |periods: &mut Vec<u32>, period| {
            periods.retain(|&it| it != period);
            periods.push(period);
            if periods.len() > PERIODS_MAX { Some(periods.remove(0)) } else { None }
        };
        let gone_day = enter(&mut self.days[account], day);
        let gone_month = enter(&mut self.months[account], month_of(day));
        for share in self.calls.iter_mut().filter_map(|call| call.shares[account].as_mut()) {
            share.day = share.day.filter(|day| Some(*day) != gone_day);
            share.month = share.month.filter(|month| Some(*month) != gone_month);
        }
    }

    fn requests(&self, account: usize) -> u32 {
        let second = self.time.monotonic_ms / 1000;
        let within = |share: &&Share| share.request_ms.is_some_and(|request_ms| second - request_ms / 1000 <= 60);
        self.shares(account).filter(within).count() as u32
    }

    fn concurrent(&self, account: usize) -> u32 {
        self.shares(account).filter(|share| share.used.is_none()).count() as u32
    }

    fn now_at(&self) -> (Option<u32>, Option<u32>) {
        let day = day_of(self.time.unix_ms);
        (Some(day), Some(month_of(day)))
    }

    /// Whether `amount` more fits into one account; with a request of its own, or beside that of a call.
    fn fits(&self, account: usize, caps: &Caps, amount: Amount, beside: Option<&Share>) -> bool {
        let (day, month) = beside.map_or_else(|| self.now_at(), |share| (share.day, share.month));
        let periods = [
            (caps.tokens_per_day, caps.money.and_then(|money| money.per_day_nanos), day.is_some()),
            (caps.tokens_per_month, caps.money.and_then(|money| money.per_month_nanos), month.is_some()),
            (caps.tokens_total, caps.money.and_then(|money| money.total_nanos), true),
        ];
        let sums = [
            self.sums(account, |share| share.day == day),
            self.sums(account, |share| share.month == month),
            self.sums(account, |_| true),
        ];
        let fits = |cap: Option<u64>, used: u64| cap.is_none_or(|cap| used <= cap);
        periods.into_iter().zip(sums).all(|((tokens, money, known), (settled, held))| {
            let used = plus(plus(settled, held), amount);
            !known || fits(tokens, used.tokens) && fits(money, used.money_nanos)
        }) && (beside.is_some()
            || caps.requests_per_minute.is_none_or(|cap| self.requests(account) < cap)
                && caps.concurrent.is_none_or(|cap| self.concurrent(account) < cap))
    }

    fn spent(&self, account: usize) -> Spent {
        let (day, month) = self.now_at();
        let total = self.sums(account, |_| true);
        Spent {
            day: self.sums(account, |share| share.day == day).0,
            month: self.sums(account, |share| share.month == month).0,
            total: total.0,
            held: total.1,
            requests_last_minute: self.requests(account),
            concurrent: self.concurrent(account),
        }
    }

    /// Whether all caps hold, for calls that never settled with more than was held.
    fn is_within(&self, account: usize, caps: &Caps) -> bool {
        let none = Share { amount: Amount::default(), day: None, month: None, request_ms: None, used: None };
        let days = self.days[account].iter().map(|&day| Share { day: Some(day), ..none });
        let months = self.months[account].iter().map(|&month| Share { month: Some(month), ..none });
        days.chain(months).all(|share| self.fits(account, caps, Amount::default(), Some(&share)))
            && caps.concurrent.is_none_or(|cap| self.concurrent(account) <= cap)
    }

    /// What the ledger tells of an account, the latest period last.
    fn past(&self, account: usize) -> Past {
        let (total, _) = self.sums(account, |_| true);
        let requests = self.calls.iter().filter(|call| call.shares[account].is_some_and(|it| it.request_ms.is_some()));
        let in_day = |&day: &u32| PastPeriod { number: day, used: self.sums(account, |it| it.day == Some(day)).0 };
        let months = self.days[account].iter().map(|&day| month_of(day));
        let in_month = |month| PastPeriod { number: month, used: self.sums(account, |it| it.month == Some(month)).0 };
        Past {
            days: self.days[account].iter().map(in_day).collect(),
            months: months.map(in_month).collect(),
            total,
            requests_ms: requests.map(|call| call.unix_ms).collect(),
        }
    }

    /// The process ends: what was sent is charged in full, and only the stamps of requests are left.
    fn crash(&mut self) {
        let latest_ms: Vec<u64> = (0..IDS.len())
            .map(|account| {
                let known = |call: &&Call| call.shares[account].is_some_and(|share| share.request_ms.is_some());
                self.calls.iter().filter(known).map(|call| call.unix_ms).fold(self.time.unix_ms, u64::max)
            })
            .collect();
        for call in &mut self.calls {
            for (share, latest_ms) in call.shares.iter_mut().zip(&latest_ms) {
                let Some(share) = share else { continue };
                share.used.get_or_insert(if call.sent { share.amount } else { Amount::default() });
                let age_ms = latest_ms.saturating_sub(call.unix_ms);
                share.request_ms = share.request_ms.and(self.time.monotonic_ms.checked_sub(age_ms));
            }
        }
        // Of the months, those of the days that are remembered are known.
        for account in 0..IDS.len() {
            let mut months = Vec::new();
            for month in self.days[account].iter().map(|&day| month_of(day)) {
                months.retain(|&it| it != month);
                months.push(month);
            }
            for share in self.calls.iter_mut().filter_map(|call| call.shares[account].as_mut()) {
                share.month = share.month.filter(|month| months.contains(month));
            }
            self.months[account] = months;
        }
    }
}

/// The longest that a window of this kind can keep a call out.
fn window_ms(limit: Limit) -> u64 {
    match limit {
        Limit::RequestsPerMinute => 61_000,
        Limit::Concurrent => 1_000,
        Limit::TokensPerDay | Limit::MoneyPerDay => DAY_MS,
        _ => 31 * DAY_MS,
    }
}

/// Both limiters, and the calls in flight.
struct Run<'a> {
    limiter: Limiter,
    model: Model,
    caps: &'a [Caps],
    holds: Vec<(usize, Hold)>,
}

impl Run<'_> {
    /// Asks for more, for a new call or for one in flight, and says whether both limiters agree.
    fn ask(&mut self, held: Option<usize>, accounts: u8, amount: Amount) -> Result<(), TestCaseError> {
        let named: Vec<usize> = (0..IDS.len()).filter(|account| accounts >> account & 1 == 1).collect();
        named.iter().for_each(|&account| self.model.touch(account));
        let kept: Vec<_> = named.iter().map(|&account| self.limiter.account(IDS[account])).collect();
        let claims: Vec<_> =
            named.iter().zip(&kept).map(|(&at, account)| Claim { account, caps: &self.caps[at], amount }).collect();
        let call = held.map(|held| self.holds[held].0);
        let share = |account: usize| call.and_then(|call| self.model.calls[call].shares[account]);
        let fits =
            named.iter().all(|&account| self.model.fits(account, &self.caps[account], amount, share(account).as_ref()));
        let result = match held {
            Some(held) => self.holds[held].1.extend(&claims, self.model.time).map(|()| None),
            None => hold(&claims, self.model.time).map(Some),
        };
        prop_assert_eq!(result.is_ok(), fits, "{:?}", result);
        let made = match result {
            Ok(made) => made,
            Err(refused) => {
                let wait_ms = refused.retry_after_ms.unwrap_or(0);
                prop_assert!(wait_ms <= window_ms(refused.limit), "{:?}", refused);
                return Ok(());
            }
        };
        let call = call.unwrap_or(self.model.calls.len());
        if let Some(hold) = made {
            self.holds.push((call, hold));
            self.model.calls.push(Call { unix_ms: self.model.time.unix_ms, ..Call::default() });
        }
        let ((day, month), request_ms) = (self.model.now_at(), Some(self.model.time.monotonic_ms));
        for account in named {
            let none = Share { amount: Amount::default(), day, month, request_ms, used: None };
            let share = self.model.calls[call].shares[account].get_or_insert(none);
            share.amount = plus(share.amount, amount);
        }
        Ok(())
    }

    fn end(&mut self, call: usize, used: impl Fn(&Share) -> Amount) {
        self.model.calls[call].shares.iter_mut().flatten().for_each(|share| share.used = Some(used(share)));
    }

    fn restart(&mut self) {
        // As a crash takes them: nothing of the old limiter is heard again.
        self.limiter = Limiter::new();
        self.holds.clear();
        self.model.crash();
        for (account, id) in IDS.iter().enumerate() {
            self.limiter.restore(id, &self.model.past(account), self.model.time);
        }
    }

    fn step(&mut self, step: Step) -> Result<bool, TestCaseError> {
        let flying = self.holds.len();
        match step {
            Step::Hold { accounts, amount } => self.ask(None, accounts, amount)?,
            Step::Pass(ms) => {
                self.model.time.unix_ms += ms;
                self.model.time.monotonic_ms += ms;
            }
            Step::Set(by_ms) => self.model.time.unix_ms = self.model.time.unix_ms.saturating_add_signed(by_ms),
            Step::Restart => self.restart(),
            _ if flying == 0 => {}
            Step::Extend { call, accounts, amount } => self.ask(Some(call % flying), accounts, amount)?,
            Step::Sent(at) => {
                let (call, hold) = &mut self.holds[at % flying];
                hold.sent();
                self.model.calls[*call].sent = true;
            }
            Step::Settle(at, share) => {
                let (call, hold) = self.holds.swap_remove(at % flying);
                let shares = self.model.calls[call].shares;
                hold.settle(|account| {
                    let at = IDS.iter().position(|id| **id == **account.id()).expect("one of ours");
                    percent(shares[at].expect("held on").amount, share)
                });
                self.end(call, |it| percent(it.amount, share));
                return Ok(share > 100);
            }
            Step::Drop(at) => {
                let (call, hold) = self.holds.swap_remove(at % flying);
                drop(hold);
                let sent = self.model.calls[call].sent;
                self.end(call, |share| if sent { share.amount } else { Amount::default() });
            }
        }
        Ok(false)
    }
}

/// Runs the steps on both, and compares after each.
fn compare(caps: &[Caps], steps: Vec<Step>) -> Result<(), TestCaseError> {
    let time = Time { unix_ms: NOW_MS, monotonic_ms: 100 * DAY_MS };
    let model = Model { time, calls: Vec::new(), days: Default::default(), months: Default::default() };
    let mut run = Run { limiter: Limiter::new(), model, caps, holds: Vec::new() };
    for id in IDS {
        run.limiter.account(id);
    }
    let mut excess = false;
    for step in steps {
        excess |= run.step(step)?;
        for (account, id) in IDS.iter().enumerate() {
            run.model.touch(account);
            prop_assert_eq!(run.limiter.spent(id, run.model.time), run.model.spent(account), "{}", id);
            prop_assert!(excess || run.model.is_within(account, &caps[account]), "{} {:?}", id, run.model);
        }
    }
    run.holds.clear();
    for id in IDS {
        let spent = run.limiter.spent(id, run.model.time);
        prop_assert_eq!((spent.held, spent.concurrent), (Amount::default(), 0), "every hold ends");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_of_calls_clock_steps_and_restarts_overshoots_leaks_or_locks(
        caps in vec(some_caps(), IDS.len()..=IDS.len()),
        steps in vec(step(), 1..120),
    ) {
        compare(&caps, steps)?;
    }

    #[test]
    fn a_refused_call_fits_when_its_time_has_come_and_not_before(
        cap in 1..6_u32,
        gaps_ms in vec(0..20_000_u64, 1..60),
    ) {
        let caps = caps(|caps| caps.requests_per_minute = Some(cap));
        let limiter = Limiter::new();
        let mut now_ms = NOW_MS;
        for gap_ms in gaps_ms {
            now_ms += gap_ms;
            if let Err(exceeded) = reserve(&limiter, "key", &caps, 0, now_ms).map(drop) {
                let wait_ms = exceeded.retry_after_ms.expect("a minute rolls");
                prop_assert!((1..=61_000).contains(&wait_ms));
                prop_assert!(reserve(&limiter, "key", &caps, 0, now_ms + wait_ms - 1).is_err());
                prop_assert!(reserve(&limiter, "key", &caps, 0, now_ms + wait_ms).is_ok());
                now_ms += wait_ms;
            }
        }
    }
}
