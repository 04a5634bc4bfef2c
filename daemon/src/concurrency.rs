//! How many requests of each token are under way at once: the bound for those that no rate limits.
//!
//! Invariants:
//!
//! * At most [`MAX_PER_TOKEN`] places of one token are taken, at every instant.
//! * The table names tokens that have a place and no others: it is no larger than the number of connections.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// The most requests of one token at once: a dashboard asks for everything it shows at the same time, over six connections of a browser.
/// `http/error.rs` says the number.
pub(crate) const MAX_PER_TOKEN: u32 = 16;

/// The requests under way, by token.
#[derive(Debug, Default)]
pub(crate) struct Concurrency {
    taken: Mutex<HashMap<Uuid, u32>>,
}

/// A request that is under way until this is dropped, however it ends.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    concurrency: &'a Concurrency,
    token: Uuid,
}

impl Concurrency {
    /// A place for one more request of `token`; `None` if it has all it may have.
    pub(crate) fn enter(&self, token: Uuid) -> Option<Place<'_>> {
        let mut taken = self.lock();
        let count = taken.entry(token).or_default();
        if *count >= MAX_PER_TOKEN {
            return None;
        }
        *count += 1;
        Some(Place { concurrency: self, token })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, u32>> {
        // Nothing panics between two states of the table.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.concurrency.lock();
        match taken.get_mut(&self.token) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_places_and_takes_none_of_another() {
        let concurrency = Concurrency::default();
        let [one, other] = [1, 2].map(Uuid::from_u128);
        let mut places: Vec<_> = (0..MAX_PER_TOKEN).map(|_| concurrency.enter(one).expect("a free place")).collect();
        assert!(concurrency.enter(one).is_none());
        assert!(concurrency.enter(other).is_some());
        places.pop();
        let last = concurrency.enter(one);
        assert!(last.is_some() && concurrency.enter(one).is_none());
        drop((places, last));
        assert!(concurrency.lock().is_empty(), "a token without requests is forgotten");
    }
}
