//! Random interleavings, held against a limiter that keeps every call for ever and adds up anew each time.

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Reserve {
        caps: usize,
        tokens: u64,
    },
    Sent(usize),
    /// Settles with a share of the hold, in percent; above 100 is an excess.
    Settle(usize, u64),
    Drop(usize),
    Advance(u64),
}

/// One admitted call.
#[derive(Debug)]
struct Call {
    began_ms: u64,
    tokens: u64,
    sent: bool,
    /// `None` while in flight.
    charged: Option<u64>,
}

#[derive(Debug, Default)]
struct Model {
    now_ms: u64,
    calls: Vec<Call>,
}

impl Model {
    /// What is settled, and what is held, of the calls that `belongs` names.
    fn tokens(&self, belongs: impl Fn(&Call) -> bool) -> (u64, u64) {
        self.calls.iter().filter(|call| belongs(call)).fold((0, 0), |(settled, held), call| match call.charged {
            Some(charged) => (settled + charged, held),
            None => (settled, held + call.tokens),
        })
    }

    fn day(&self) -> (u64, u64) {
        self.tokens(|call| day_of(call.began_ms) == day_of(self.now_ms))
    }

    fn month(&self) -> (u64, u64) {
        self.tokens(|call| month_of(day_of(call.began_ms)) == month_of(day_of(self.now_ms)))
    }

    fn total(&self) -> (u64, u64) {
        self.tokens(|_| true)
    }

    fn requests(&self) -> u32 {
        let second = self.now_ms / 1000;
        self.calls.iter().filter(|call| second - call.began_ms / 1000 <= 60).count() as u32
    }

    fn concurrent(&self) -> u32 {
        self.calls.iter().filter(|call| call.charged.is_none()).count() as u32
    }

    fn fits(&self, caps: &Caps, tokens: u64) -> bool {
        let fits = |cap: Option<u64>, (settled, held): (u64, u64)| cap.is_none_or(|cap| settled + held + tokens <= cap);
        fits(caps.tokens_per_day, self.day())
            && fits(caps.tokens_per_month, self.month())
            && fits(caps.tokens_total, self.total())
            && caps.requests_per_minute.is_none_or(|cap| self.requests() < cap)
            && caps.concurrent.is_none_or(|cap| self.concurrent() < cap)
    }

    fn spent(&self) -> Spent {
        Spent {
            day: self.day().0,
            month: self.month().0,
            total: self.total().0,
            held: self.total().1,
            requests_last_minute: self.requests(),
            concurrent: self.concurrent(),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize, 0..60_u64).prop_map(|(caps, tokens)| Step::Reserve { caps, tokens }),
        2 => any::<usize>().prop_map(Step::Sent),
        4 => (any::<usize>(), 0..=100_u64).prop_map(|(call, percent)| Step::Settle(call, percent)),
        1 => (any::<usize>(), 100..300_u64).prop_map(|(call, percent)| Step::Settle(call, percent)),
        2 => any::<usize>().prop_map(Step::Drop),
        3 => prop_oneof![0..5_000_u64, 0..90_000_u64, 0..2 * DAY_MS, Just(31 * DAY_MS)].prop_map(Step::Advance),
    ]
}

fn some_caps() -> impl Strategy<Value = Caps> {
    let tokens = || proptest::option::of(0..300_u64);
    let calls = || proptest::option::of(0..8_u32);
    (tokens(), tokens(), tokens(), calls(), calls()).prop_map(|(day, month, total, minute, concurrent)| Caps {
        tokens_per_day: day,
        tokens_per_month: month,
        tokens_total: total,
        requests_per_minute: minute,
        concurrent,
    })
}

/// Whether the caps hold, for calls that never settled with more than they had reserved.
fn within(model: &Model, caps: &Caps) -> bool {
    let within = |cap: Option<u64>, (settled, held): (u64, u64)| cap.is_none_or(|cap| settled + held <= cap);
    within(caps.tokens_per_day, model.day())
        && within(caps.tokens_per_month, model.month())
        && within(caps.tokens_total, model.total())
        && caps.requests_per_minute.is_none_or(|cap| model.requests() <= cap)
        && caps.concurrent.is_none_or(|cap| model.concurrent() <= cap)
}

/// Runs the steps on both, and compares after each.
fn compare(all_caps: &[Caps], steps: Vec<Step>) -> Result<(), TestCaseError> {
    let limiter = Limiter::new();
    let mut model = Model { now_ms: NOW_MS, calls: Vec::new() };
    let mut holds: Vec<(usize, Hold)> = Vec::new();
    let mut excess = false;
    for step in steps {
        match step {
            Step::Reserve { caps, tokens } => {
                let caps = &all_caps[caps % all_caps.len()];
                let result = limiter.reserve("key", caps, tokens, model.now_ms);
                prop_assert_eq!(result.is_ok(), model.fits(caps, tokens), "{:?} {:?}", caps, result);
                if let Ok(hold) = result {
                    holds.push((model.calls.len(), hold));
                    model.calls.push(Call { began_ms: model.now_ms, tokens, sent: false, charged: None });
                }
            }
            Step::Sent(at) if !holds.is_empty() => {
                let at = at % holds.len();
                holds[at].1.sent();
                model.calls[holds[at].0].sent = true;
            }
            Step::Settle(at, percent) if !holds.is_empty() => {
                let (call, hold) = holds.swap_remove(at % holds.len());
                let used = hold.tokens() * percent / 100;
                excess |= used > hold.tokens();
                hold.settle(used);
                model.calls[call].charged = Some(used);
            }
            Step::Drop(at) if !holds.is_empty() => {
                let (call, hold) = holds.swap_remove(at % holds.len());
                drop(hold);
                let call = &mut model.calls[call];
                call.charged = Some(if call.sent { call.tokens } else { 0 });
            }
            Step::Advance(ms) => model.now_ms += ms,
            Step::Sent(_) | Step::Settle(..) | Step::Drop(_) => {}
        }
        prop_assert_eq!(limiter.spent("key", model.now_ms), model.spent());
        prop_assert!(excess || all_caps.len() > 1 || within(&model, &all_caps[0]), "{:?}", model);
    }
    holds.clear();
    let spent = limiter.spent("key", model.now_ms);
    prop_assert_eq!((spent.held, spent.concurrent), (0, 0), "every hold ends");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_interleaving_ends_as_the_model_says(caps in some_caps(), steps in vec(step(), 1..120)) {
        compare(&[caps], steps)?;
    }

    #[test]
    fn caps_may_change_between_calls(caps in vec(some_caps(), 2..4), steps in vec(step(), 1..120)) {
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
            if let Err(exceeded) = limiter.reserve("key", &caps, 0, now_ms).map(drop) {
                let wait_ms = exceeded.retry_after_ms.expect("a minute rolls");
                prop_assert!((1..=61_000).contains(&wait_ms));
                prop_assert!(limiter.reserve("key", &caps, 0, now_ms + wait_ms - 1).is_err());
                prop_assert!(limiter.reserve("key", &caps, 0, now_ms + wait_ms).is_ok());
                now_ms += wait_ms;
            }
        }
    }
}
