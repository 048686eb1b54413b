//! Holds over sets of accounts: all of them, or none.

use std::sync::Arc;

use parking_lot::MutexGuard;
use smallvec::SmallVec;

use super::{
    Amount, Caps, LimitError, Time,
    account::{Account, At, State},
};

/// Accounts that a hold takes without allocating.
const INLINE: usize = 4;

/// What a call asks of one account.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub account: &'a Arc<Account>,
    pub caps: &'a Caps,
    /// The most that the call may use, in the account's currency.
    pub amount: Amount,
}

/// Quota set aside for one call, in every account that it touches.
///
/// Settle it with what was really used, also when the client has left. Dropped unsettled it is charged in full while
/// something is on its way upstream: what we failed to count, the provider did not. Otherwise it is charged what was used
/// before, which is nothing if nothing was sent. The request itself stays counted for its minute in any case, and a call that outlives its day or month is charged to the one it
/// began in.
#[must_use = "a hold that is dropped at once lets the call go unlimited"]
#[derive(Debug)]
pub struct Hold {
    /// In the order in which accounts are locked.
    parts: SmallVec<[Part; INLINE]>,
    sent: bool,
}

/// The hold on one account.
#[derive(Debug)]
struct Part {
    account: Arc<Account>,
    amount: Amount,
    at: At,
    /// What is charged if the hold is dropped while nothing is on its way upstream.
    used: Amount,
}

/// A settled call's place among the calls in flight of its accounts, until dropped.
#[derive(Debug)]
pub struct Place(SmallVec<[Arc<Account>; INLINE]>);

/// Counts one request and one call in flight in each account, and sets the amounts aside: all of it, or nothing.
///
/// Of two claims on one account the caps of both count, and the larger amount is held.
///
/// # Errors
/// The cap, of those in the way, that is in the way for longest.
pub fn hold(claims: &[Claim<'_>], time: Time) -> Result<Hold, LimitError> {
    let mut hold = Hold { parts: SmallVec::new(), sent: false };
    hold.extend(claims, time)?;
    Ok(hold)
}

impl Hold {
    /// Sets more aside: all of it, or nothing. In an account that is held on already the amounts add up, and the
    /// request is not counted again.
    ///
    /// So a call can be held to its requests before its body is read, and to its tokens after.
    ///
    /// # Errors
    /// As [`hold`]. What was held before still is.
    pub fn extend(&mut self, claims: &[Claim<'_>], time: Time) -> Result<(), LimitError> {
        // One order for all calls: no two of them can wait for each other.
        let mut sorted: SmallVec<[&Claim<'_>; INLINE]> = claims.iter().collect();
        sorted.sort_by_key(|claim| place(claim.account));
        let mut locked: SmallVec<[Locked<'_>; INLINE]> = SmallVec::new();
        let mut refusal: Option<LimitError> = None;
        for claim in sorted {
            if locked.last().is_none_or(|last| !Arc::ptr_eq(last.account, claim.account)) {
                locked.push(self.lock(claims, claim.account, time));
            }
            let Some(Locked { state, amount, at, joins, .. }) = locked.last() else { continue };
            if !state.fits(claim.caps, *amount, *at, *joins) {
                let other = state.refusal(claim.account.id(), claim.caps, *amount, *at, *joins, time);
                refusal = Some(match refusal {
                    Some(first) if first.opens_after(&other) => first,
                    _ => other,
                });
            }
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None => {
                locked.into_iter().for_each(|locked| self.take(locked));
                Ok(())
            }
        }
    }

    fn lock<'a>(&self, claims: &[Claim<'a>], account: &'a Arc<Account>, time: Time) -> Locked<'a> {
        let mut state = account.lock();
        state.advance(time);
        let held = self.parts.iter().find(|part| Arc::ptr_eq(&part.account, account));
        let at = held.map_or_else(|| state.at(), |part| part.at);
        let claims = claims.iter().filter(|claim| Arc::ptr_eq(claim.account, account));
        let amount = claims.fold(Amount::default(), |amount, claim| amount.or_larger(claim.amount));
        Locked { account, state, amount, at, joins: held.is_none() }
    }

    fn take(&mut self, locked: Locked<'_>) {
        let Locked { account, mut state, amount, at, joins } = locked;
        let part = match self.parts.binary_search_by_key(&place(account), |part| place(&part.account)) {
            Ok(held) => held,
            Err(after) => {
                self.parts.insert(
                    after,
                    Part { account: account.clone(), amount: Amount::default(), at, used: Amount::default() },
                );
                after
            }
        };
        let part = &mut self.parts[part];
        let before = part.amount;
        part.amount = before.plus(amount);
        state.hold(part.amount.minus(before), at, joins);
    }

    /// The call is on its way upstream; from here on it costs something.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// Nothing is on its way upstream any more, and all that was has cost what was `used` of each account.
    pub fn came_back(&mut self, used: impl Fn(&Account) -> Amount) {
        self.sent = false;
        self.parts.iter_mut().for_each(|part| part.used = used(&part.account));
    }

    /// Ends the hold with what was used of each account: the difference is free at once, an excess is counted. The call
    /// itself counts as in flight until its place is dropped.
    pub fn settle(mut self, used: impl Fn(&Account) -> Amount) -> Place {
        let mut place = Place(SmallVec::new());
        for part in self.parts.drain(..) {
            part.account.end(part.amount, used(&part.account), part.at);
            place.0.push(part.account);
        }
        place
    }

    /// Gives everything back, the request as well: the call was refused after all.
    pub fn cancel(mut self) {
        for part in self.parts.drain(..) {
            part.account.cancel(part.amount, part.at);
            part.account.leave();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for part in self.parts.drain(..) {
            let used = if self.sent { part.amount } else { part.used };
            part.account.end(part.amount, used, part.at);
            part.account.leave();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.iter().for_each(|account| account.leave());
    }
}

/// An account under its lock, with what it is asked for.
struct Locked<'a> {
    account: &'a Arc<Account>,
    state: MutexGuard<'a, State>,
    amount: Amount,
    at: At,
    /// The account is not held on yet.
    joins: bool,
}

/// Where an account stands in the order of locking: its address, which is its own while anyone holds it.
fn place(account: &Arc<Account>) -> usize {
    Arc::as_ptr(account) as usize
}

impl Amount {
    fn or_larger(self, other: Amount) -> Amount {
        self.with(other, u64::max)
    }

    fn plus(self, other: Amount) -> Amount {
        self.with(other, u64::saturating_add)
    }

    fn minus(self, other: Amount) -> Amount {
        self.with(other, u64::saturating_sub)
    }

    fn with(self, other: Amount, each: fn(u64, u64) -> u64) -> Amount {
        Amount { tokens: each(self.tokens, other.tokens), money_nanos: each(self.money_nanos, other.money_nanos) }
    }
}

impl LimitError {
    /// Whether waiting helps against this one no sooner than against `other`.
    fn opens_after(&self, other: &LimitError) -> bool {
        let wait = |error: &LimitError| error.retry_after_ms.unwrap_or(u64::MAX);
        wait(self) >= wait(other)
    }
}
