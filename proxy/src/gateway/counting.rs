//! Who may have a prompt counted next: so many at one time, and one of a key, so that no key keeps the others waiting.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for counting prompts.
pub struct Counting {
    places: Arc<Semaphore>,
    /// One permit for each account that counts or waits.
    accounts: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// A place for counting one prompt, until dropped.
pub struct CountingPlace {
    _place: OwnedSemaphorePermit,
    _of_account: OwnedSemaphorePermit,
    _waiting: Waiting,
}

/// An account that counts or waits.
struct Waiting {
    counting: Arc<Counting>,
    account: Arc<str>,
}

impl Counting {
    /// `places` prompts are counted at one time.
    pub fn new(places: usize) -> Arc<Counting> {
        Arc::new(Counting { places: Arc::new(Semaphore::new(places)), accounts: Mutex::default() })
    }

    /// Waits for a place. Of one account's calls, one waits for it at a time; the accounts take turns. Safe to drop.
    pub async fn place(self: &Arc<Counting>, account: &Arc<str>) -> CountingPlace {
        let waiting = Waiting { counting: self.clone(), account: account.clone() };
        let alone = self.accounts.lock().entry(account.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone();
        let of_account = alone.acquire_owned().await.expect("nobody closes an account's semaphore");
        let place = self.places.clone().acquire_owned().await.expect("nobody closes the places");
        CountingPlace { _place: place, _of_account: of_account, _waiting: waiting }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut accounts = self.counting.accounts.lock();
        // Whoever else waits holds it as well.
        if accounts.get(&self.account).is_some_and(|alone| Arc::strong_count(alone) == 1) {
            accounts.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_ready<T>(future: impl Future<Output = T>) -> Option<T> {
        crate::upstream::ready(future).await
    }

    #[tokio::test]
    async fn one_account_leaves_places_to_others() {
        let counting = Counting::new(2);
        let (greedy, other): (Arc<str>, Arc<str>) = ("greedy".into(), "other".into());
        let first = is_ready(counting.place(&greedy)).await.unwrap();
        let mut second = Box::pin(counting.place(&greedy));
        assert!(is_ready(&mut second).await.is_none());
        let of_other = is_ready(counting.place(&other)).await.expect("a place is left to it");
        drop(first);
        let second = is_ready(&mut second).await.expect("its turn has come");
        assert!(is_ready(counting.place(&other)).await.is_none(), "one at a time");
        drop((second, of_other));
        assert!(counting.accounts.lock().is_empty(), "nobody is remembered");
    }
}
