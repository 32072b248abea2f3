//! Limits how often one client may ask for one route: token buckets in a table of fixed size.
//!
//! A bucket is one number, the time at which it will be full again (the generic cell rate algorithm), so that a table of
//! 131 072 buckets takes 2 MiB, whether a hundred clients come or a million. When a set of eight is full, the bucket that is
//! fullest, or will be first, gives way: forgetting it gives its client the least. A client that is being limited is
//! the last to be forgotten.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Buckets that the table of a whole server holds: 2 MiB.
pub const CAPACITY: usize = 131_072;

/// Locks; more than threads, so that they seldom meet.
const SHARDS: usize = 64;
/// Buckets among which one gives way: two cache lines.
const WAYS: usize = 8;

/// A number of requests in a time, and how many may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketRate {
    /// Nanoseconds in which one token grows.
    interval: u64,
    burst: u32,
}

impl BucketRate {
    /// `None` for a rate or a burst of nothing.
    #[must_use]
    pub fn new(requests: u32, per: Duration, burst: u32) -> Option<Self> {
        let interval = nanos(per) / u64::from(requests.max(1));
        (requests > 0 && burst > 0 && interval > 0).then_some(Self { interval, burst })
    }

    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// The time in which an empty bucket fills.
    const fn depth(self) -> u64 {
        self.interval.saturating_mul(self.burst as u64)
    }

    /// A share of it, in parts of `WHOLE`. The burst is at least one request, or no request would pass.
    fn part(self, share: u32) -> Self {
        let (whole, share) = (u64::from(WHOLE), u64::from(share.max(1)));
        let burst = (u64::from(self.burst) * share).div_ceil(whole).max(1);
        Self { interval: self.interval.saturating_mul(whole) / share, burst: u32::try_from(burst).unwrap_or(u32::MAX) }
    }
}

/// All of a budget.
const WHOLE: u32 = 1 << 16;

/// This replica's share of a rate that several replicas keep together.
#[derive(Debug)]
pub struct SharedBudget {
    /// Requests so far.
    asked: AtomicU64,
    /// In parts of [`WHOLE`].
    share: AtomicU32,
}

impl Default for SharedBudget {
    /// No other replica is known.
    fn default() -> Self {
        Self { asked: AtomicU64::new(0), share: AtomicU32::new(WHOLE) }
    }
}

impl SharedBudget {
    /// Counts a request, and says what of `rate` this replica may spend.
    pub fn take(&self, rate: BucketRate) -> BucketRate {
        self.asked.fetch_add(1, Relaxed);
        match self.share.load(Relaxed) {
            WHOLE => rate,
            share => rate.part(share),
        }
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Relaxed)
    }

    /// Sets the share of the budget that this replica may spend from now on, 0.0 to 1.0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1")]
    pub fn set_share(&self, share: f64) {
        self.share.store((share.clamp(0.0, 1.0) * f64::from(WHOLE)).round() as u32, Relaxed);
    }
}

/// Whether a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The tokens left in the bucket, and the time until it is full.
    Allowed { remaining: u32, reset: Duration },
    /// When the next token will have grown.
    Limited { retry_after: Duration },
}

/// The buckets of all routes and clients.
#[derive(Debug)]
pub struct Limiter {
    seed: u64,
    shards: Box<[Mutex<Box<[Set]>>]>,
}

type Set = [Bucket; WAYS];

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// 0: the slot is free.
    key: u64,
    /// Nanoseconds since the limiter's origin at which the bucket is full.
    full_at: u64,
}

impl Limiter {
    /// A table for at least this many buckets. The seed is a secret random number: a client that knows it could choose
    /// names that fall into one set.
    #[must_use]
    pub fn new(capacity: usize, seed: u64) -> Self {
        let sets = capacity.div_ceil(SHARDS * WAYS).next_power_of_two();
        let shard = || Mutex::new(vec![[Bucket::default(); WAYS]; sets].into_boxed_slice());
        Self { seed, shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    /// The bucket of a client on a route.
    #[must_use]
    pub fn key(&self, route: &str, unit: &[u8]) -> u64 {
        xxh3_64_with_seed(unit, xxh3_64_with_seed(route.as_bytes(), self.seed)).max(1)
    }

    /// Takes one token, if there is one. `now` counts from an origin of the caller's and never goes back.
    pub fn check(&self, key: u64, rate: BucketRate, now: Duration) -> Admission {
        let now = nanos(now);
        let mut sets = self.shards[low(key) % SHARDS].lock();
        let place = low(key >> 32) & (sets.len() - 1);
        let bucket = find(&mut sets[place], key);
        let full_at = bucket.full_at.max(now).saturating_add(rate.interval);
        let (taken, depth) = (full_at - now, rate.depth());
        if taken > depth {
            return Admission::Limited { retry_after: Duration::from_nanos(taken - depth) };
        }
        bucket.full_at = full_at;
        let remaining = u32::try_from((depth - taken) / rate.interval).unwrap_or(u32::MAX);
        Admission::Allowed { remaining, reset: Duration::from_nanos(taken) }
    }

    /// Bytes that the table takes, now and always.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.shards.iter().map(|shard| size_of_val(&**shard.lock())).sum()
    }
}

/// The bucket of this key, in the place of the fullest one if it has none yet.
fn find(set: &mut Set, key: u64) -> &mut Bucket {
    let mut place = 0;
    for (index, bucket) in set.iter().enumerate() {
        if bucket.key == key {
            place = index;
            break;
        }
        // A free slot counts as a full bucket.
        if bucket.full_at < set[place].full_at {
            place = index;
        }
    }
    let bucket = &mut set[place];
    if bucket.key != key {
        *bucket = Bucket { key, full_at: 0 };
    }
    bucket
}

/// The part of an address that stands for one client: all of IPv4, the network half of IPv6, of which every customer has
/// 2^64 addresses to ask from.
#[must_use]
pub fn client_unit(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            octets
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A part of the hash as an index; which bits are lost on a small machine does not matter.
#[allow(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
const fn low(hash: u64) -> usize {
    (hash & 0xffff_ffff) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter() -> Limiter {
        Limiter::new(1024, 7)
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_token_at_a_time() {
        let (limiter, rate) = (limiter(), BucketRate::new(10, SECOND, 3).unwrap());
        let at = |millis| limiter.check(1, rate, Duration::from_millis(millis));
        let allowed = |remaining, millis| Admission::Allowed { remaining, reset: Duration::from_millis(millis) };
        assert_eq!(at(0), allowed(2, 100));
        assert_eq!(at(0), allowed(1, 200));
        assert_eq!(at(0), allowed(0, 300));
        assert_eq!(at(0), Admission::Limited { retry_after: Duration::from_millis(100) });
        assert_eq!(at(40), Admission::Limited { retry_after: Duration::from_millis(60) });
        assert_eq!(at(100), allowed(0, 300));
        assert_eq!(at(10_000), allowed(2, 100));
    }

    #[test]
    fn routes_and_clients_do_not_share_a_bucket() {
        let limiter = limiter();
        let keys = [limiter.key("a", b"x"), limiter.key("a", b"y"), limiter.key("b", b"x"), limiter.key("ab", b"")];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key));
        }
    }

    #[test]
    fn shares_of_a_rate_make_the_whole_and_leave_nobody_without() {
        let rate = BucketRate::new(100, SECOND, 50).unwrap();
        assert_eq!(rate.part(WHOLE), rate);
        let half = BucketRate::new(50, SECOND, 25).unwrap();
        assert_eq!(rate.part(WHOLE / 2), half);
        assert_eq!(rate.part(0).burst(), 1);
        let budget = SharedBudget::default();
        assert_eq!(budget.take(rate), rate, "alone, a replica has all of it");
        budget.set_share(0.5);
        assert_eq!(budget.take(rate), half);
        assert_eq!(budget.asked(), 2);
    }

    #[test]
    fn a_rate_of_nothing_is_none() {
        assert_eq!(BucketRate::new(0, SECOND, 1), None);
        assert_eq!(BucketRate::new(1, SECOND, 0), None);
        assert_eq!(BucketRate::new(1, Duration::ZERO, 1), None);
    }

    #[test]
    fn an_address_of_version_6_stands_for_its_network() {
        let unit = |text: &str| client_unit(text.parse().unwrap());
        assert_eq!(unit("2001:db8::1"), unit("2001:db8::2"));
        assert_ne!(unit("2001:db8::1"), unit("2001:db8:0:1::1"));
        assert_ne!(unit("192.0.2.1"), unit("192.0.2.2"));
        assert_eq!(unit("192.0.2.1"), unit("::ffff:192.0.2.1"));
    }

    #[test]
    fn a_million_clients_take_no_more_memory_and_do_not_free_a_limited_one() {
        let (limiter, rate) = (Limiter::new(CAPACITY, 7), BucketRate::new(1, SECOND, 5).unwrap());
        assert_eq!(limiter.memory(), 2 * 1024 * 1024);
        let greedy = limiter.key("route", b"greedy");
        while matches!(limiter.check(greedy, rate, SECOND), Admission::Allowed { .. }) {}
        for client in 0_u32..1_000_000 {
            let key = limiter.key("route", &client.to_le_bytes());
            assert!(matches!(limiter.check(key, rate, SECOND), Admission::Allowed { remaining: 4, .. }));
        }
        assert!(matches!(limiter.check(greedy, rate, SECOND), Admission::Limited { .. }));
        assert_eq!(limiter.memory(), 2 * 1024 * 1024);
    }

    proptest! {
        #[test]
        fn no_more_pass_than_the_rate_and_the_burst_allow(
            requests in 1_u32..500, burst in 1_u32..50, pauses in prop::collection::vec(0_u64..20_000_000, 1..300),
        ) {
            let (limiter, rate) = (limiter(), BucketRate::new(requests, SECOND, burst).unwrap());
            let (mut now, mut passed) = (0, 0_u64);
            for pause in pauses {
                now += pause;
                let decision = limiter.check(1, rate, Duration::from_nanos(now));
                passed += u64::from(matches!(decision, Admission::Allowed { .. }));
                prop_assert!(passed <= u64::from(burst) + now / rate.interval);
            }
        }

        #[test]
        fn who_waits_as_long_as_was_said_passes_and_not_a_moment_sooner(
            requests in 1_u32..500, burst in 1_u32..50, pauses in prop::collection::vec(0_u64..5_000_000, 1..200),
        ) {
            let (limiter, rate) = (limiter(), BucketRate::new(requests, SECOND, burst).unwrap());
            let mut now = 0;
            for pause in pauses {
                now += pause;
                let Admission::Limited { retry_after } = limiter.check(1, rate, Duration::from_nanos(now)) else { continue };
                let then = Duration::from_nanos(now) + retry_after;
                let early = limiter.check(1, rate, then.saturating_sub(Duration::from_nanos(1)));
                prop_assert!(matches!(early, Admission::Limited { .. }), "{:?}", early);
                let in_time = limiter.check(1, rate, then);
                prop_assert!(matches!(in_time, Admission::Allowed { remaining: 0, .. }), "{:?}", in_time);
                now = nanos(then);
            }
        }

        #[test]
        fn what_is_said_to_remain_does_pass_and_no_more(requests in 1_u32..500, burst in 1_u32..50, used in 1_u32..50) {
            let (limiter, rate) = (limiter(), BucketRate::new(requests, SECOND, burst).unwrap());
            let mut left = None;
            for _ in 0..used.min(burst) {
                let Admission::Allowed { remaining, .. } = limiter.check(1, rate, SECOND) else { panic!("within the burst") };
                left = Some(remaining);
            }
            for _ in 0..left.unwrap() {
                let decision = limiter.check(1, rate, SECOND);
                prop_assert!(matches!(decision, Admission::Allowed { .. }), "{:?}", decision);
            }
            let decision = limiter.check(1, rate, SECOND);
            prop_assert!(matches!(decision, Admission::Limited { .. }), "{:?}", decision);
        }
    }
}
