//! How the replicas share the rate of a route: each may spend the part of it that it was asked for lately. Pure.
//!
//! That is right for a client whose requests a balancer spreads as it spreads all others, and too little for one whose requests
//! all reach the same replica. A request never asks etcd for it: between two reports the shares stay as they are, also while
//! etcd is away.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Fleet;
use super::record::MemberRecord;

/// Requests of this age count half.
const HALF_LIFE: Duration = Duration::from_secs(5);
/// Of each budget this is split evenly, so that a replica which was asked nothing yet has something to spend.
const EVEN: f64 = 0.05;

/// How often a route is asked for, smoothed.
#[derive(Debug, Default)]
pub struct AskedRate {
    asked: u64,
    per_minute: f64,
}

impl AskedRate {
    /// Takes the requests so far, `since` after the look before.
    #[expect(clippy::cast_precision_loss, reason = "requests of a few seconds")]
    pub fn look(&mut self, asked: u64, since: Duration) {
        let new = asked.saturating_sub(std::mem::replace(&mut self.asked, asked));
        let seconds = since.as_secs_f64().max(0.001);
        let kept = 0.5_f64.powf(seconds / HALF_LIFE.as_secs_f64());
        self.per_minute = self.per_minute * kept + new as f64 * 60.0 / seconds * (1.0 - kept);
    }

    /// Whole requests a minute.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, and far below 2^64")]
    pub fn per_minute(&self) -> u64 {
        self.per_minute.round() as u64
    }
}

/// The share of 1 that a replica may spend: `own` is the number of its requests, `others` are those of the replicas that know
/// the route.
#[expect(clippy::cast_precision_loss, reason = "a share of one")]
fn share(own: u64, others: impl Iterator<Item = u64>) -> f64 {
    let (mut all, mut replicas) = (own, 1_u32);
    for asked in others {
        all = all.saturating_add(asked);
        replicas += 1;
    }
    let even = 1.0 / f64::from(replicas);
    let by_requests = if all == 0 { even } else { own as f64 / all as f64 };
    EVEN * even + (1.0 - EVEN) * by_requests
}

/// Whether it is worth telling: a tenth more or less.
fn differs(new: &BTreeMap<String, u64>, told: &BTreeMap<String, u64>) -> bool {
    let far = |(route, new): (&String, &u64)| {
        told.get(route).is_none_or(|told| new.abs_diff(*told).saturating_mul(10) > *new.max(told))
    };
    new.len() != told.len() || new.iter().any(far)
}

impl Fleet {
    /// Tells the others how often this replica is asked for the routes whose rates are shared, in requests a minute.
    pub fn say_asked(&self, asked: BTreeMap<String, u64>) {
        let mut own = self.shared.own.lock();
        if differs(&asked, &own.asked) {
            own.asked = asked;
            drop(own);
            self.shared.publish.notify_one();
        }
    }

    /// The share of a route's rate that this replica may spend, by the last reports of all.
    pub fn share_of(&self, route: &str, own: u64) -> f64 {
        let seen = self.shared.seen.lock();
        let others = seen.members.iter().filter(|(name, _)| **name != self.shared.name);
        share(own, others.filter_map(|(_, MemberRecord { asked, .. })| asked.get(route).copied()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pace_follows_what_is_asked_and_forgets_it() {
        let mut pace = AskedRate::default();
        for second in 1..=60 {
            pace.look(second * 10, Duration::from_secs(1));
        }
        assert!((585..=600).contains(&pace.per_minute()), "{pace:?}");
        pace.look(600, HALF_LIFE);
        assert!((290..=300).contains(&pace.per_minute()), "{pace:?}");
        pace.look(600, HALF_LIFE * 20);
        assert_eq!(pace.per_minute(), 0);
    }

    #[test]
    fn who_is_asked_for_everything_has_almost_everything_and_nobody_has_nothing() {
        let close = |share: f64, to: f64| assert!((share - to).abs() < 1e-9, "{share} and not {to}");
        close(share(0, std::iter::empty()), 1.0);
        close(share(7, std::iter::empty()), 1.0);
        close(share(0, [0].into_iter()), 0.5);
        close(share(600, [0].into_iter()), 0.975);
        close(share(0, [600].into_iter()), 0.025);
    }

    #[test]
    fn a_tenth_is_told_and_less_is_not() {
        let one = |asked| BTreeMap::from([("users".to_owned(), asked)]);
        assert!(differs(&one(0), &BTreeMap::new()));
        assert!(!differs(&one(100), &one(105)));
        assert!(differs(&one(100), &one(120)));
        assert!(differs(&one(1), &one(0)));
        assert!(differs(&BTreeMap::new(), &one(0)));
    }

    proptest! {
        #[test]
        fn the_shares_of_all_replicas_are_the_whole(asked in prop::collection::vec(0_u64..100_000, 1..50)) {
            let each = (0..asked.len()).map(|at| {
                let others = asked.iter().enumerate().filter(|(other, _)| *other != at);
                share(asked[at], others.map(|(_, asked)| *asked))
            });
            prop_assert!((each.sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }
}
