//! Counts of each request on a route with a gate: by the side that was assigned, whichever side answered in the end.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::migration::gate::{
    Discordant, GROUPS, LATE_BUCKETS, QUANTILES, QuantileLimit, SideCounts, Tick, late_bucket,
};
use crate::migration::{Bucket, Side};

/// The outcome of one request, for its assigned side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// A status of 500 and above, no answer, or the monolith had to answer instead.
    Failed,
    /// A status below 500, and the time to its first byte.
    Answered { refused: bool, first_byte: Duration },
}

/// One side of a pair: both sides answered one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairSide {
    pub failed: bool,
    pub took: Duration,
    /// Of that, the most that this program, and not the side, kept the answer waiting.
    pub waited: Duration,
}

impl PairSide {
    /// Whether it came beyond a limit, or not at all.
    fn is_late(&self, limit: u16) -> bool {
        self.failed || late_bucket(nanoseconds(self.took)) > usize::from(limit)
    }

    /// The same without what it waited.
    fn is_surely_late(&self, limit: u16) -> bool {
        Self { took: self.took.saturating_sub(self.waited), ..*self }.is_late(limit)
    }
}

/// Pairs of which one side alone was late, or failed: [`Discordant`] while it grows.
#[derive(Debug, Default)]
struct PairCounters {
    service_alone: AtomicU64,
    kept_waiting: AtomicU64,
    monolith_alone: AtomicU64,
    pairs: AtomicU64,
}

/// The counters of one route, over all generations in which it has a gate.
#[derive(Debug)]
pub struct GateCounters {
    monolith: SideCounters,
    service: SideCounters,
    compared: AtomicU64,
    mismatched: AtomicU64,
    /// Failures, then each quantile: the service alone, the monolith alone, all.
    pairs: [PairCounters; 1 + QUANTILES.len()],
    /// Times beyond these buckets are late: the monolith's, the service's. `NO_LIMIT`: not known yet.
    limits: [[AtomicU16; QUANTILES.len()]; 2],
    /// The last second in which an open breaker was counted.
    breaker_second: AtomicU64,
}

const NO_LIMIT: u16 = u16::MAX;

#[derive(Debug)]
struct SideCounters {
    asked: [AtomicU32; GROUPS],
    failed: [AtomicU32; GROUPS],
    refused: [AtomicU32; GROUPS],
    late: [AtomicU32; LATE_BUCKETS],
    beyond: [[AtomicU32; GROUPS]; QUANTILES.len()],
}

const fn zeros<const N: usize>() -> [AtomicU32; N] {
    [const { AtomicU32::new(0) }; N]
}

impl Default for SideCounters {
    fn default() -> Self {
        Self {
            asked: zeros(),
            failed: zeros(),
            refused: zeros(),
            late: zeros(),
            beyond: [const { zeros() }; QUANTILES.len()],
        }
    }
}

impl Default for GateCounters {
    fn default() -> Self {
        Self {
            monolith: SideCounters::default(),
            service: SideCounters::default(),
            compared: AtomicU64::new(0),
            mismatched: AtomicU64::new(0),
            pairs: Default::default(),
            limits: [const { [const { AtomicU16::new(NO_LIMIT) }; QUANTILES.len()] }; 2],
            breaker_second: AtomicU64::new(u64::MAX),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn add(counts: &[AtomicU32], index: usize) {
    if let Some(count) = counts.get(index) {
        count.fetch_add(1, Relaxed);
    }
}

fn read<const N: usize>(counts: &[AtomicU32; N]) -> [u32; N] {
    std::array::from_fn(|index| counts[index].load(Relaxed))
}

impl GateCounters {
    /// A request that its bucket assigned to a side has ended.
    pub fn request(&self, side: Side, bucket: Bucket, outcome: RequestOutcome) {
        let (counters, limits) = match side {
            Side::Monolith => (&self.monolith, &self.limits[0]),
            Side::Service => (&self.service, &self.limits[1]),
            Side::Variant(_) => return,
        };
        let group = usize::from(bucket.0) % GROUPS;
        add(&counters.asked, group);
        match outcome {
            RequestOutcome::Failed => add(&counters.failed, group),
            RequestOutcome::Answered { refused, first_byte } => {
                if refused {
                    add(&counters.refused, group);
                }
                let bucket = late_bucket(nanoseconds(first_byte));
                add(&counters.late, bucket);
                for (limit, beyond) in limits.iter().zip(&counters.beyond) {
                    let limit = limit.load(Relaxed);
                    if limit != NO_LIMIT && bucket > usize::from(limit) {
                        add(beyond, group);
                    }
                }
            }
        }
    }

    /// A request found the breaker open: the service counts as failed, at most once a second.
    pub fn breaker_was_open(&self, second: u64) {
        if self.breaker_second.swap(second, Relaxed) != second {
            // No client is to blame: the seconds take the groups in turn.
            let group = usize::try_from(second).unwrap_or_default() % GROUPS;
            add(&self.service.asked, group);
            add(&self.service.failed, group);
        }
    }

    /// A comparison was judged, now or once the noise was known.
    pub fn judged(&self, mismatched: bool) {
        self.compared.fetch_add(1, Relaxed);
        self.mismatched.fetch_add(u64::from(mismatched), Relaxed);
    }

    /// Both sides answered the same request. Copies go behind requests: on a busy machine an answer may be late only because it waited
    /// for this program, which is counted apart.
    pub fn paired(&self, monolith: PairSide, service: PairSide) {
        self.pairs[0].add([service.failed, false, monolith.failed]);
        for (quantile, counters) in self.pairs[1..].iter().enumerate() {
            let (own, other) = (self.limits[0][quantile].load(Relaxed), self.limits[1][quantile].load(Relaxed));
            if own != NO_LIMIT && other != NO_LIMIT {
                let is_late = service.is_late(other);
                counters.add([is_late, is_late && !service.is_surely_late(other), monolith.is_late(own)]);
            }
        }
    }

    /// From now on, answers are late beyond these.
    pub fn set_limits(&self, limits: Option<&[QuantileLimit; QUANTILES.len()]>) {
        for quantile in 0..QUANTILES.len() {
            let (monolith, service) = match limits.and_then(|limits| limits.get(quantile)) {
                Some(limit) => (limit.monolith, limit.service),
                None => (usize::from(NO_LIMIT), usize::from(NO_LIMIT)),
            };
            self.limits[0][quantile].store(u16::try_from(monolith).unwrap_or(NO_LIMIT), Relaxed);
            self.limits[1][quantile].store(u16::try_from(service).unwrap_or(NO_LIMIT), Relaxed);
        }
    }

    /// Whether a request, a comparison or a pair was counted since these totals. Counts of their results follow these and are not read.
    pub fn counted_since(&self, totals: &Tick) -> bool {
        let asked = |counters: &SideCounters, before: &SideCounts| {
            counters.asked.iter().zip(before.asked).any(|(count, before)| count.load(Relaxed) != before)
        };
        asked(&self.monolith, &totals.monolith)
            || asked(&self.service, &totals.service)
            || self.compared.load(Relaxed) != totals.copies.compared
            || self.pairs[0].pairs.load(Relaxed) != totals.pairs[0].pairs
    }

    /// Everything so far. The counts are read one after another: a request that ends meanwhile is in the next tick.
    pub fn totals(&self) -> Tick {
        let mut tick = Tick { monolith: self.monolith.totals(), service: self.service.totals(), ..Tick::default() };
        tick.copies.compared = self.compared.load(Relaxed);
        tick.copies.mismatched = self.mismatched.load(Relaxed);
        for (totals, counts) in tick.pairs.iter_mut().zip(&self.pairs) {
            *totals = counts.totals();
        }
        tick
    }
}

impl PairCounters {
    /// Whether the service was late, that perhaps by this program's fault, and whether the monolith was.
    fn add(&self, [service, kept_waiting, monolith]: [bool; 3]) {
        self.pairs.fetch_add(1, Relaxed);
        match (service, monolith) {
            (true, false) => {
                self.service_alone.fetch_add(1, Relaxed);
                self.kept_waiting.fetch_add(u64::from(kept_waiting), Relaxed);
            }
            (false, true) => {
                self.monolith_alone.fetch_add(1, Relaxed);
            }
            (true, true) | (false, false) => {}
        }
    }

    fn totals(&self) -> Discordant {
        Discordant {
            kept_waiting: self.kept_waiting.load(Relaxed),
            service_alone: self.service_alone.load(Relaxed),
            monolith_alone: self.monolith_alone.load(Relaxed),
            pairs: self.pairs.load(Relaxed),
        }
    }
}

impl SideCounters {
    /// Counts that are written last are read first, so that no failure is seen without its request.
    fn totals(&self) -> SideCounts {
        let beyond = Box::new(std::array::from_fn(|quantile| read(&self.beyond[quantile])));
        let late = Box::new(read(&self.late));
        let (failed, refused) = (read(&self.failed), read(&self.refused));
        SideCounts { asked: read(&self.asked), failed, refused, late, beyond }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: RequestOutcome = RequestOutcome::Answered { refused: false, first_byte: Duration::from_millis(1) };

    #[test]
    fn a_request_counts_for_its_side_in_its_group() {
        let counters = GateCounters::default();
        counters.request(Side::Service, Bucket(65), RequestOutcome::Failed);
        counters.request(Side::Service, Bucket(1), QUICK);
        counters.request(Side::Monolith, Bucket(9999), QUICK);
        counters.request(Side::Variant(0), Bucket(1), QUICK);
        let tick = counters.totals();
        assert_eq!((tick.service.requests(), tick.service.failures(), tick.service.asked[1]), (2, 1, 2));
        assert_eq!((tick.monolith.requests(), tick.monolith.answered()), (1, 1));
    }

    #[test]
    fn whatever_is_counted_is_noticed() {
        let counters = GateCounters::default();
        let quick = PairSide { failed: false, took: Duration::from_millis(1), waited: Duration::ZERO };
        let counts: [&dyn Fn(); 5] = [
            &|| counters.request(Side::Monolith, Bucket(7), QUICK),
            &|| counters.request(Side::Service, Bucket(63), RequestOutcome::Failed),
            &|| counters.breaker_was_open(7),
            &|| counters.judged(false),
            &|| counters.paired(quick, quick),
        ];
        for count in counts {
            let before = counters.totals();
            assert!(!counters.counted_since(&before));
            count();
            assert!(counters.counted_since(&before));
        }
    }

    #[test]
    fn an_open_breaker_is_one_failure_a_second() {
        let counters = GateCounters::default();
        for second in [7, 7, 7, 8] {
            counters.breaker_was_open(second);
        }
        assert_eq!(counters.totals().service.failures(), 2);
    }

    #[test]
    fn late_answers_are_counted_by_group_once_there_is_a_limit() {
        let counters = GateCounters::default();
        counters.request(Side::Service, Bucket(3), QUICK);
        let limit = QuantileLimit { monolith: 0, service: 1, service_better: 1 };
        counters.set_limits(Some(&[limit; 3]));
        counters.request(Side::Service, Bucket(3), QUICK);
        assert_eq!(counters.totals().service.beyond[0][3], 1);
    }

    #[test]
    fn of_a_pair_counts_the_side_that_is_alone() {
        let counters = GateCounters::default();
        counters.set_limits(Some(&[QuantileLimit { monolith: 200, service: 210, service_better: 209 }; 3]));
        let side = |failed, millis| PairSide { failed, took: Duration::from_millis(millis), waited: Duration::ZERO };
        counters.judged(true);
        counters.paired(side(false, 1), side(true, 1));
        counters.judged(false);
        counters.paired(side(false, 1), side(false, 1));
        counters.judged(false);
        counters.paired(side(false, 60_000), side(false, 1));
        let tick = counters.totals();
        assert_eq!((tick.copies.compared, tick.copies.mismatched), (3, 1));
        assert_eq!((tick.pairs[0].service_alone, tick.pairs[0].monolith_alone, tick.pairs[0].pairs), (1, 0, 3));
        assert_eq!((tick.pairs[2].service_alone, tick.pairs[2].monolith_alone), (1, 1));
    }

    #[test]
    fn an_answer_that_this_program_kept_waiting_is_counted_apart() {
        let counters = GateCounters::default();
        // A little above 10 ms.
        counters.set_limits(Some(&[QuantileLimit { monolith: 231, service: 231, service_better: 231 }; 3]));
        let quick = PairSide { failed: false, took: Duration::from_millis(1), waited: Duration::ZERO };
        let side = |took, waited| PairSide {
            took: Duration::from_millis(took),
            waited: Duration::from_millis(waited),
            ..quick
        };
        // Late by our own fault, perhaps; late in any case; in time in any case.
        counters.paired(quick, side(14, 10));
        counters.paired(quick, side(40, 10));
        counters.paired(quick, side(9, 8));
        let tick = counters.totals();
        let expected = Discordant { service_alone: 2, kept_waiting: 1, monolith_alone: 0, pairs: 3 };
        assert_eq!(tick.pairs[1], expected);
        assert_eq!(tick.pairs[0], Discordant { pairs: 3, ..Discordant::default() }, "no answer failed by it");
    }
}
