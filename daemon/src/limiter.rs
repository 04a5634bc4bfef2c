//! The rate limiter: one bucket per client, in a table of fixed size.
//!
//! governor decides (GCRA, a token bucket that stores one instant); the table here is what it stores in. A client is an IPv4 address or
//! the /64 of an IPv6 address, because a single subscriber has a whole /64 to choose from.
//!
//! Invariants:
//!
//! * The table never grows: an attacker with a million addresses costs the memory of a million addresses, once.
//! * A lookup looks at one set of 8 slots, whatever the table holds.
//! * Only a full bucket is ever forgotten, which changes no decision. When a set holds no full bucket, the newcomer shares one.
//!
//! Which set a client falls into depends on a random key: nobody can aim at the bucket of somebody else.

use std::hash::Hasher;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use siphasher::sip::SipHasher13;

/// How many clients the ingest limiter tells apart: 12 MiB.
pub(crate) const INGEST_SOURCES: usize = 1 << 20;

/// How many clients the limiter of `/api` tells apart; identified ones are not counted, so few come here: 768 KiB.
pub(crate) const API_SOURCES: usize = 1 << 16;

const _: () = assert!((INGEST_SOURCES + API_SOURCES) * SLOT_BYTES <= 16 << 20, "both tables fit into 16 MiB");

/// Slots that a client may use.
const WAYS: usize = 8;

/// A tag and an instant.
const SLOT_BYTES: usize = size_of::<u32>() + size_of::<u64>();

/// Locks that the sets are spread over, so that threads seldom meet.
const STRIPES: usize = 64;

/// A token bucket per client; see the module.
pub(crate) struct Limiter<C: Clock = DefaultClock> {
    /// `None` when the rate is 0: no limit, and no table.
    buckets: Option<RateLimiter<u64, Table, C, NoOpMiddleware<C::Instant>>>,
    key: (u64, u64),
}

impl Limiter {
    /// A limiter that lets `burst` requests through at once and `rate` a second in the long run; rate 0 is no limit.
    pub(crate) fn new(rate: f64, burst: u32, sources: usize) -> Limiter {
        Limiter::with_clock(rate, burst, sources, DefaultClock::default())
    }
}

impl<C: Clock> Limiter<C> {
    fn with_clock(rate: f64, burst: u32, sources: usize, clock: C) -> Limiter<C> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("the system has random bytes");
        let (low, high) = key.split_at(8);
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let buckets = quota(rate, burst).map(|quota| RateLimiter::new(quota, Table::new(sources), clock));
        Limiter { buckets, key: (word(low), word(high)) }
    }

    /// Takes one token from the client's bucket. The address is asked for only if there is a limit.
    ///
    /// # Errors
    ///
    /// After how many whole seconds, at least 1, there will be a token again.
    pub(crate) fn admit(&self, client: impl FnOnce() -> IpAddr) -> Result<(), u64> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        buckets.check_key(&self.hash(client())).map_err(|refusal| {
            let wait = refusal.wait_time_from(buckets.clock().now());
            wait.as_nanos().div_ceil(1_000_000_000).max(1).try_into().unwrap_or(u64::MAX)
        })
    }

    fn hash(&self, client: IpAddr) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        match client.to_canonical() {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()[..8]),
        }
        hasher.finish()
    }
}

/// `None` for no limit.
fn quota(rate: f64, burst: u32) -> Option<Quota> {
    if rate <= 0.0 {
        return None;
    }
    // A rate so small or so large that its period is no duration is held at the nearest one that is.
    let period = Duration::try_from_secs_f64(1.0 / rate)
        .unwrap_or(Duration::from_secs(86_400))
        .clamp(Duration::from_nanos(1), Duration::from_secs(86_400));
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    Some(Quota::with_period(period)?.allow_burst(burst))
}

/// When each bucket will be full, by a hash of its client: set-associative, [`WAYS`] slots to a set.
///
/// Pages of the table that no client has touched are never mapped, so that an idle daemon does not pay for it.
struct Table {
    stripes: Box<[Mutex<Stripe>]>,
    sets_per_stripe: usize,
}

/// Tags and instants apart, because a slot of both would be padded to 16 bytes.
struct Stripe {
    tags: Box<[u32]>,
    /// Nanoseconds since the limiter was made; 0 is a slot nobody uses.
    full_at: Box<[u64]>,
}

impl Table {
    fn new(sources: usize) -> Table {
        let sets_per_stripe = sources / WAYS / STRIPES;
        let slots = sets_per_stripe * WAYS;
        let stripe = || Mutex::new(Stripe { tags: vec![0; slots].into(), full_at: vec![0; slots].into() });
        Table { stripes: (0..STRIPES).map(|_| stripe()).collect(), sets_per_stripe }
    }

    #[cfg(test)]
    fn len_bytes(&self) -> usize {
        let of = |stripe: &Mutex<Stripe>| {
            let stripe = stripe.lock().expect("no test panics while it holds a stripe");
            size_of_val(&*stripe.tags) + size_of_val(&*stripe.full_at)
        };
        self.stripes.iter().map(of).sum()
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, hash: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // The low half chooses stripe and set, the high half is the tag; its top bits also choose the way that is shared, by clients
        // whose tag is not in the set.
        let bits = usize::try_from(*hash & 0xffff_ffff).expect("32 bits fit");
        let tag = u32::try_from(*hash >> 32).expect("32 bits are left");
        let mut stripe = self.stripes[bits % STRIPES].lock().unwrap_or_else(PoisonError::into_inner);
        let Stripe { tags, full_at } = &mut *stripe;
        let first = bits / STRIPES % self.sets_per_stripe * WAYS;
        let slot = find(&tags[first..first + WAYS], &full_at[first..first + WAYS], tag, &decide);
        let (slot, known) = match slot {
            Slot::Own(way) => (first + way, true),
            Slot::Free(way) => (first + way, false),
            Slot::None => (first + usize::try_from(*hash >> 61).expect("3 bits fit"), true),
        };
        let (answer, next) = decide(known.then(|| Nanos::from(full_at[slot])))?;
        if !known {
            tags[slot] = tag;
        }
        full_at[slot] = next.as_u64();
        Ok(answer)
    }
}

enum Slot {
    Own(usize),
    Free(usize),
    None,
}

/// Where a client's bucket is, or may be made.
fn find<T, E>(tags: &[u32], full_at: &[u64], tag: u32, decide: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>) -> Slot {
    if let Some(way) = (0..WAYS).find(|&way| full_at[way] != 0 && tags[way] == tag) {
        return Slot::Own(way);
    }
    // A full bucket decides as a new one does: that is how one is told without a clock.
    let next = |instant| decide(instant).ok().map(|(_, next)| next);
    let of_new = next(None);
    let is_full = |&way: &usize| full_at[way] == 0 || next(Some(Nanos::from(full_at[way]))) == of_new;
    (0..WAYS).find(is_full).map_or(Slot::None, Slot::Free)
}

#[cfg(test)]
mod tests;
