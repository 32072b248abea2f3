//! The counts of both sides: totals since a route has its gate, and the differences of one tick.

use super::overdispersion::GROUPS;
use super::pairs::Discordant;

/// Times are counted in 32 equal parts of each doubling from 66 µs to 69 s.
pub const LATE_BUCKETS: usize = 640;
const FIRST_EXPONENT: u32 = 16;
const PARTS: u64 = 32;

/// The quantiles that are compared.
pub const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// The bucket of a time: no logarithm, two shifts.
#[must_use]
pub fn late_bucket(nanoseconds: u64) -> usize {
    let exponent = (nanoseconds | 1).ilog2();
    if exponent < FIRST_EXPONENT {
        return 0;
    }
    let part = (nanoseconds >> (exponent - 5)) & (PARTS - 1);
    let index = u64::from(exponent - FIRST_EXPONENT) * PARTS + part;
    usize::try_from(index).map_or(LATE_BUCKETS - 1, |index| index.min(LATE_BUCKETS - 1))
}

/// The upper bound of a bucket, in nanoseconds.
#[must_use]
pub fn late_bound(bucket: usize) -> f64 {
    let (doubling, part) = (bucket / 32, bucket % 32);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "below 640"
    )]
    let (doubling, part) = (doubling as i32, part as f64);
    f64::from(1_u32 << FIRST_EXPONENT) * 2_f64.powi(doubling) * (1.0 + (part + 1.0) / 32.0)
}

/// The bucket that the time `factor` times the bound of another one lies in: its bound is the next at or above, or the next
/// at or below.
#[must_use]
pub fn shifted(bucket: usize, factor: f64, up: bool) -> usize {
    let wanted = late_bound(bucket) * factor;
    let above =
        (bucket..LATE_BUCKETS).find(|bucket| late_bound(*bucket) >= wanted * (1.0 - 1e-12)).unwrap_or(LATE_BUCKETS - 1);
    if up || late_bound(above) <= wanted * (1.0 + 1e-12) { above } else { above.saturating_sub(1) }
}

/// The counts of one side: per group of clients, and per bucket of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideCounts {
    pub asked: [u32; GROUPS],
    /// A status of 500 and above, no answer, or the monolith had to answer instead.
    pub failed: [u32; GROUPS],
    /// A status of 400 to 499.
    pub refused: [u32; GROUPS],
    /// Time to the first byte of the answers below 500.
    pub late: Box<[u32; LATE_BUCKETS]>,
    /// The answers that came later than the limits which were in force when they came: per quantile, per group.
    pub beyond: Box<[[u32; GROUPS]; QUANTILES.len()]>,
}

impl Default for SideCounts {
    fn default() -> Self {
        Self {
            asked: [0; GROUPS],
            failed: [0; GROUPS],
            refused: [0; GROUPS],
            late: Box::new([0; LATE_BUCKETS]),
            beyond: Box::new([[0; GROUPS]; QUANTILES.len()]),
        }
    }
}

fn subtract(now: &[u32], before: &[u32], difference: &mut [u32]) {
    for ((slot, now), before) in difference.iter_mut().zip(now).zip(before) {
        *slot = now.wrapping_sub(*before);
    }
}

fn add(sum: &mut [u32], more: &[u32]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.wrapping_add(*more);
    }
}

fn sum(counts: &[u32]) -> u64 {
    counts.iter().map(|count| u64::from(*count)).sum()
}

impl SideCounts {
    /// The counts since `before`. Counters run round at 2³², which a tick never counts.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut difference = Self::default();
        subtract(&self.asked, &before.asked, &mut difference.asked);
        subtract(&self.failed, &before.failed, &mut difference.failed);
        subtract(&self.refused, &before.refused, &mut difference.refused);
        subtract(&self.late[..], &before.late[..], &mut difference.late[..]);
        for ((slot, now), before) in difference.beyond.iter_mut().zip(self.beyond.iter()).zip(before.beyond.iter()) {
            subtract(now, before, slot);
        }
        difference
    }

    /// Takes what another replica counted to it.
    fn add(&mut self, more: &Self) {
        add(&mut self.asked, &more.asked);
        add(&mut self.failed, &more.failed);
        add(&mut self.refused, &more.refused);
        add(&mut self.late[..], &more.late[..]);
        for (sum, more) in self.beyond.iter_mut().zip(more.beyond.iter()) {
            add(sum, more);
        }
    }

    /// Takes the times of more answers to its own.
    pub(super) fn add_times(&mut self, more: &Self) {
        for (sum, more) in self.late.iter_mut().zip(more.late.iter()) {
            *sum = sum.saturating_add(*more);
        }
    }

    pub(super) fn halve_times(&mut self) {
        self.late.iter_mut().for_each(|count| *count /= 2);
    }

    #[must_use]
    pub fn requests(&self) -> u64 {
        sum(&self.asked)
    }

    #[must_use]
    pub fn failures(&self) -> u64 {
        sum(&self.failed)
    }

    #[must_use]
    pub fn refusals(&self) -> u64 {
        sum(&self.refused)
    }

    /// Answers below 500.
    #[must_use]
    pub fn answered(&self) -> u64 {
        sum(&self.late[..])
    }

    /// Answers that took longer than the bound of a bucket.
    #[must_use]
    pub fn later_than(&self, bucket: usize) -> u64 {
        sum(self.late.get(bucket + 1..).unwrap_or_default())
    }

    /// The bucket in which a quantile lies; `None` without answers.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<usize> {
        let all = self.answered();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let wanted = ((all as f64 * quantile).ceil() as u64).max(1);
        let mut below = 0;
        (all > 0).then(|| {
            self.late.iter().position(|count| {
                below += u64::from(*count);
                below >= wanted
            })
        })?
    }
}

/// Copies that were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    pub compared: u64,
    pub mismatched: u64,
}

/// All that was counted in one tick.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tick {
    pub monolith: SideCounts,
    pub service: SideCounts,
    pub copies: Compared,
    /// Failures, then each of `QUANTILES`.
    pub pairs: [Discordant; 1 + QUANTILES.len()],
}

impl Tick {
    /// Takes what another replica counted to it: sums of independent replicas are those of one that had all of the traffic.
    pub fn add(&mut self, more: &Self) {
        self.monolith.add(&more.monolith);
        self.service.add(&more.service);
        self.copies.compared += more.copies.compared;
        self.copies.mismatched += more.copies.mismatched;
        for (sum, more) in self.pairs.iter_mut().zip(more.pairs) {
            sum.add(more);
        }
    }

    /// The counts since `before`, where both are totals.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut difference = Self {
            monolith: self.monolith.since(&before.monolith),
            service: self.service.since(&before.service),
            copies: Compared {
                compared: self.copies.compared.saturating_sub(before.copies.compared),
                mismatched: self.copies.mismatched.saturating_sub(before.copies.mismatched),
            },
            ..Self::default()
        };
        for ((slot, now), before) in difference.pairs.iter_mut().zip(self.pairs).zip(before.pairs) {
            *slot = now.since(before);
        }
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_below_its_bound_and_above_the_one_before() {
        for nanoseconds in (0..60).flat_map(|power| [1_u64 << power, (1_u64 << power) + 1, (1_u64 << power) * 3 / 2]) {
            let bucket = late_bucket(nanoseconds);
            #[expect(clippy::cast_precision_loss, reason = "a test")]
            let time = nanoseconds as f64;
            assert!(bucket == LATE_BUCKETS - 1 || time < late_bound(bucket), "{nanoseconds}");
            assert!(bucket == 0 || time >= late_bound(bucket - 1), "{nanoseconds}");
        }
    }

    #[test]
    fn a_shifted_limit_is_rounded_away_from_what_is_to_be_proved() {
        for bucket in 0..500 {
            let (up, down) = (shifted(bucket, 1.2, true), shifted(bucket, 1.2, false));
            let exactly = late_bound(bucket) * 1.2;
            assert!(late_bound(up) >= exactly * (1.0 - 1e-9), "{bucket}");
            assert!(late_bound(down) <= exactly * (1.0 + 1e-9), "{bucket}");
            assert!(up - down <= 1, "{bucket}");
        }
    }

    #[test]
    fn quantiles_are_found_in_the_buckets() {
        let mut side = SideCounts::default();
        assert_eq!(side.quantile(0.5), None);
        side.late[10] = 50;
        side.late[20] = 45;
        side.late[30] = 5;
        assert_eq!(side.quantile(0.5), Some(10));
        assert_eq!(side.quantile(0.95), Some(20));
        assert_eq!(side.quantile(0.99), Some(30));
        assert_eq!(side.later_than(20), 5);
    }
}
