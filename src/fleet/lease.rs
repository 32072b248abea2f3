//! Whether this replica may still act as the leader, by its own monotonic clock. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// The lease on which this replica's keys hang, as far as its own clock tells.
#[derive(Debug, Clone, Copy)]
pub struct LeaderLease {
    ttl: Duration,
    /// When the last request that prolonged it was *sent*.
    kept: Option<Instant>,
    /// The revision that made `leader` under this lease.
    term: Option<i64>,
}

impl LeaderLease {
    pub const fn new(ttl: Duration) -> Self {
        Self { ttl, kept: None, term: None }
    }

    /// etcd granted or prolonged it; the request was sent at this time.
    pub fn prolonged(&mut self, sent: Instant) {
        self.kept = Some(self.kept.map_or(sent, |kept| kept.max(sent)));
    }

    /// It is over, and with it every key that hung on it.
    pub const fn ended(&mut self) {
        self.kept = None;
        self.term = None;
    }

    pub const fn won(&mut self, term: i64) {
        self.term = Some(term);
    }

    /// Another one leads.
    pub const fn lost(&mut self) {
        self.term = None;
    }

    /// The term of this replica, whether or not it may act.
    pub const fn term(&self) -> Option<i64> {
        self.term
    }

    /// It was prolonged so recently that no other replica can lead: the key vanishes after the whole time, so two never act at once.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.kept.is_some_and(|kept| now.saturating_duration_since(kept) < self.ttl * 2 / 3)
    }

    /// The term in which this replica may act now.
    pub fn acts_in(&self, now: Instant) -> Option<i64> {
        self.term.filter(|_| self.is_fresh(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_stops_by_its_own_clock_before_its_key_can_vanish() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let mut lease = LeaderLease::new(Duration::from_secs(9));
        assert_eq!(lease.acts_in(began), None);
        lease.prolonged(began);
        lease.won(7);
        assert_eq!(lease.acts_in(at(5_999)), Some(7));
        assert_eq!(lease.acts_in(at(6_000)), None);
        assert_eq!(lease.term(), Some(7), "it may come back");
        lease.prolonged(at(6_100));
        // An answer that was late says nothing new.
        lease.prolonged(at(3_000));
        assert_eq!(lease.acts_in(at(12_000)), Some(7));
        lease.ended();
        assert_eq!((lease.term(), lease.acts_in(at(6_200))), (None, None));
    }
}
