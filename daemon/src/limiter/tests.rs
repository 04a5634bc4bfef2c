#![allow(clippy::unwrap_used)]
use std::net::{Ipv4Addr, Ipv6Addr};

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;

fn limiter(rate: f64, burst: u32, sources: usize) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limiter::with_clock(rate, burst, sources, clock.clone()), clock)
}

fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

/// The `n`th /64 of a large network, with a host part that must not matter.
fn network(n: u32, host: u16) -> IpAddr {
    let [a, b, c, d] = n.to_be_bytes();
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), 0, 0, 0, host))
}

#[test]
fn forty_pass_at_once_and_then_one_every_fifty_milliseconds() {
    let (limiter, clock) = limiter(20.0, 40, API_SOURCES);
    for _ in 0..40 {
        assert_eq!(limiter.admit(|| v4(7)), Ok(()));
    }
    assert_eq!(limiter.admit(|| v4(7)), Err(1));
    clock.advance(Duration::from_millis(49));
    assert_eq!(limiter.admit(|| v4(7)), Err(1));
    clock.advance(Duration::from_millis(1));
    assert_eq!(limiter.admit(|| v4(7)), Ok(()));
    assert_eq!(limiter.admit(|| v4(7)), Err(1));
    assert_eq!(limiter.admit(|| v4(8)), Ok(()), "another client has a bucket of its own");
}

#[test]
fn a_refusal_says_after_how_many_whole_seconds_to_come_back() {
    let (limiter, clock) = limiter(0.1, 1, API_SOURCES);
    assert_eq!(limiter.admit(|| v4(7)), Ok(()));
    assert_eq!(limiter.admit(|| v4(7)), Err(10));
    clock.advance(Duration::from_millis(1_001));
    assert_eq!(limiter.admit(|| v4(7)), Err(9));
    clock.advance(Duration::from_millis(8_998));
    assert_eq!(limiter.admit(|| v4(7)), Err(1));
}

#[test]
fn rate_0_asks_for_no_address_and_refuses_nobody() {
    let limiter = Limiter::new(0.0, 1, INGEST_SOURCES);
    for _ in 0..1000 {
        assert_eq!(limiter.admit(|| unreachable!("nobody asks")), Ok(()));
    }
}

#[test]
fn rates_at_the_ends_of_the_scale_are_limits_too() {
    let (slow, _) = limiter(f64::MIN_POSITIVE, 1, API_SOURCES);
    assert_eq!(slow.admit(|| v4(1)), Ok(()));
    assert_eq!(slow.admit(|| v4(1)), Err(86_400));
    let (fast, clock) = limiter(1e300, 1, API_SOURCES);
    for _ in 0..3 {
        assert_eq!(fast.admit(|| v4(1)), Ok(()));
        clock.advance(Duration::from_nanos(1));
    }
}

#[test]
fn a_client_is_an_ipv4_address_or_the_64_of_an_ipv6_address() {
    let (limiter, _) = limiter(1.0, 1, API_SOURCES);
    assert_eq!(limiter.admit(|| v4(7)), Ok(()));
    assert_eq!(limiter.admit(|| IpAddr::V6(Ipv4Addr::new(198, 51, 100, 7).to_ipv6_mapped())), Err(1));
    assert_eq!(limiter.admit(|| network(1, 1)), Ok(()));
    assert_eq!(limiter.admit(|| network(1, 2)), Err(1));
    assert_eq!(limiter.admit(|| network(2, 1)), Ok(()));
}

#[test]
fn a_million_networks_cost_the_memory_that_was_set_aside() {
    let (limiter, clock) = limiter(20.0, 40, INGEST_SOURCES);
    let mut refused = 0;
    for n in 0..1_000_000 {
        refused += u32::from(limiter.admit(|| network(n, 0)).is_err());
    }
    assert_eq!(refused, 0, "a bucket that is shared by few is never empty");
    // Each is still known: the burst of a client is what it was.
    clock.advance(Duration::from_millis(10));
    for _ in 0..39 {
        let _ = limiter.admit(|| network(999_999, 0));
    }
    assert_eq!(limiter.admit(|| network(999_999, 0)), Err(1));
    assert!(limiter.buckets.unwrap().into_state_store().len_bytes() <= 16 << 20);
}

#[test]
fn a_full_bucket_makes_room_and_a_busy_one_is_shared() {
    // One set to a stripe, and all clients in the same: everybody meets everybody.
    let table = Table::new(WAYS * STRIPES);
    let clock = FakeRelativeClock::default();
    let buckets: RateLimiter<u64, Table, _, NoOpMiddleware<Nanos>> = RateLimiter::new(quota(1.0, 2).unwrap(), table, clock.clone());
    clock.advance(Duration::from_secs(1));
    let client = |n: u64| n << 32 | (n << 61);
    for n in 1..=8 {
        assert!(buckets.check_key(&client(n)).is_ok() && buckets.check_key(&client(n)).is_ok());
        assert!(buckets.check_key(&client(n)).is_err());
    }
    assert!(buckets.check_key(&client(9)).is_err(), "the set is busy: the ninth shares an empty bucket");
    clock.advance(Duration::from_millis(1_500));
    assert!(buckets.check_key(&client(1)).is_ok(), "nobody's bucket was taken away");
    assert!(buckets.check_key(&client(1)).is_err());
    clock.advance(Duration::from_secs(1));
    assert!(buckets.check_key(&client(9)).is_ok(), "a bucket that has become full is forgotten for a newcomer");
}

/// The reference: tokens counted in nanoseconds, one bucket per client.
struct Model {
    period: u64,
    burst: u64,
    clients: std::collections::HashMap<u8, (u64, u64)>,
}

impl Model {
    fn admit(&mut self, client: u8, now: u64) -> bool {
        let full = self.period * self.burst;
        let (tokens, at) = self.clients.entry(client).or_insert((full, now));
        *tokens = (*tokens + (now - *at)).min(full);
        *at = now;
        let passes = *tokens >= self.period;
        if passes {
            *tokens -= self.period;
        }
        passes
    }
}

proptest! {
    #[test]
    fn decisions_are_those_of_a_plain_token_bucket(
        period_ms in 1u64..200,
        burst in 1u32..50,
        steps in prop::collection::vec((0u8..4, 0u64..400_000_000), 1..300),
    ) {
        let (limiter, clock) = limiter(1000.0 / period_ms as f64, burst, API_SOURCES);
        // What the rate comes to in whole nanoseconds, as `quota` has it.
        let period = u64::try_from(Duration::from_secs_f64(1.0 / (1000.0 / period_ms as f64)).as_nanos()).unwrap();
        let mut model = Model { period, burst: u64::from(burst), clients: Default::default() };
        let mut now = 0;
        for (client, pause) in steps {
            // Most pauses are short against the period, or nothing would ever be refused.
            let pause = if pause % 4 == 0 { pause } else { pause % 1_000_000 };
            clock.advance(Duration::from_nanos(pause));
            now += pause;
            prop_assert_eq!(limiter.admit(|| v4(client)).is_ok(), model.admit(client, now));
        }
    }
}
