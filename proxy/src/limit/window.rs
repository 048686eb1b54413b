//! What was used in a period, and what is held of it.

use super::Amount;

/// Tokens and money of one period, or of all time.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) tokens: Sum,
    pub(super) money: Sum,
}

/// Of one unit: what is settled, and what is set aside for calls in flight.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) settled: u64,
    /// Wider than an amount, so that holds without a cap cannot overflow it.
    pub(super) held: u128,
}

/// Periods whose sums are kept: a week of days, and one more for a clock that stood at 1970 before it was set.
pub(super) const PERIODS_MAX: usize = 8;

/// The sums of the periods that the wall clock read last, [`PERIODS_MAX`] at most.
///
/// So a clock that steps over the end of a period and back, or to and fro over several, finds the sums that it left.
#[derive(Debug, Default)]
pub(super) struct Periods {
    current: Window,
    /// The one that was current last comes first.
    others: Vec<Window>,
    /// How many windows were made.
    made: u32,
}

/// One day or month.
#[derive(Debug, Default)]
struct Window {
    id: WindowId,
    sums: Sums,
}

/// Which window of which period: one that was forgotten and is entered again begins anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WindowId {
    pub(super) period: u32,
    serial: u32,
}

impl Periods {
    /// Makes `period` the current one.
    pub(super) fn enter(&mut self, period: u32) {
        if self.current.id.period == period {
            return;
        }
        let window = match self.others.iter().position(|window| window.id.period == period) {
            Some(at) => self.others.remove(at),
            None => {
                self.made = self.made.wrapping_add(1);
                self.others.truncate(PERIODS_MAX - 2);
                Window { id: WindowId { period, serial: self.made }, sums: Sums::default() }
            }
        };
        self.others.insert(0, std::mem::replace(&mut self.current, window));
    }

    /// Which window is the current one.
    pub(super) fn current(&self) -> WindowId {
        self.current.id
    }

    /// The sums of a window; `None` where they are forgotten.
    pub(super) fn of(&self, id: WindowId) -> Option<&Sums> {
        let mut windows = std::iter::once(&self.current).chain(&self.others);
        windows.find(|window| window.id == id).map(|window| &window.sums)
    }

    pub(super) fn of_mut(&mut self, id: WindowId) -> Option<&mut Sums> {
        let mut windows = std::iter::once(&mut self.current).chain(&mut self.others);
        windows.find(|window| window.id == id).map(|window| &mut window.sums)
    }

    /// The sums of the current window.
    pub(super) fn current_mut(&mut self) -> &mut Sums {
        &mut self.current.sums
    }
}

impl Sums {
    pub(super) fn hold(&mut self, amount: Amount) {
        self.tokens.held += u128::from(amount.tokens);
        self.money.held += u128::from(amount.money_nanos);
    }

    pub(super) fn settle(&mut self, held: Amount, used: Amount) {
        self.tokens.settle(held.tokens, used.tokens);
        self.money.settle(held.money_nanos, used.money_nanos);
    }

    pub(super) fn set_settled(&mut self, used: Amount) {
        (self.tokens.settled, self.money.settled) = (used.tokens, used.money_nanos);
    }

    pub(super) fn settled(&self) -> Amount {
        Amount { tokens: self.tokens.settled, money_nanos: self.money.settled }
    }

    pub(super) fn held(&self) -> Amount {
        let bounded = |held| u64::try_from(held).unwrap_or(u64::MAX);
        Amount { tokens: bounded(self.tokens.held), money_nanos: bounded(self.money.held) }
    }
}

impl Sum {
    pub(super) fn fits(&self, cap: u64, wanted: u64) -> bool {
        u128::from(self.settled) + self.held + u128::from(wanted) <= u128::from(cap)
    }

    pub(super) fn remaining(&self, cap: u64) -> u64 {
        let used = u128::from(self.settled) + self.held;
        u64::try_from(u128::from(cap).saturating_sub(used)).unwrap_or(u64::MAX)
    }

    fn settle(&mut self, held: u64, used: u64) {
        self.held -= u128::from(held);
        self.settled = self.settled.saturating_add(used);
    }
}
