//! Durations in buckets, allocated with the first one, and the quantiles read from them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus::proto;

/// Upper bounds in seconds: from 200 µs, where the proxy itself is visible, to 60 s, the longest wait for an answer.
/// None but the last three are whole numbers, whose text differs between exposition formats.
pub const DEFAULT_BUCKETS: [f64; 18] =
    [0.000_2, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.2, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

/// A day. Nothing takes longer, and nothing may make the sum run over.
const LONGEST: f64 = 86_400.0;

/// The bounds are kept once, outside: a route that was never asked has a histogram of sixteen bytes.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    counts: OnceLock<Box<Counts>>,
}

#[derive(Debug)]
struct Counts {
    /// One more than there are bounds: the last is above all of them.
    buckets: Box<[AtomicU64]>,
    /// 584 years until it runs over.
    nanoseconds: AtomicU64,
}

impl Histogram {
    /// Two relaxed additions. A scrape between them sees a sum that lacks one request, which no rate can notice.
    pub(crate) fn observe(&self, bounds: &[f64], seconds: f64) {
        let counts = self.counts.get_or_init(|| {
            let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
            Box::new(Counts { buckets, nanoseconds: AtomicU64::new(0) })
        });
        let place = bounds.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = counts.buckets.get(place) {
            bucket.fetch_add(1, Relaxed);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate")]
        counts.nanoseconds.fetch_add((seconds.min(LONGEST) * 1e9) as u64, Relaxed);
    }

    /// `None` before the first observation.
    pub(crate) fn to_proto(&self, bounds: &[f64]) -> Option<proto::Histogram> {
        let counts = self.counts.get()?;
        let mut sum = 0;
        let mut buckets = Vec::with_capacity(bounds.len());
        for (bound, count) in bounds.iter().zip(&counts.buckets) {
            sum += count.load(Relaxed);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(sum);
            buckets.push(bucket);
        }
        sum += counts.buckets.last().map_or(0, |above| above.load(Relaxed));
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(sum);
        #[expect(clippy::cast_precision_loss, reason = "a sum of seconds is exact to a microsecond for 285 years")]
        histogram.set_sample_sum(counts.nanoseconds.load(Relaxed) as f64 / 1e9);
        Some(histogram)
    }

    /// The counts of the buckets, the last above all bounds; `None` before the first observation.
    pub(crate) fn counts(&self) -> Option<impl Iterator<Item = u64> + '_> {
        Some(self.counts.get()?.buckets.iter().map(|count| count.load(Relaxed)))
    }
}

/// The quantile, 0.0 to 1.0, by linear interpolation within its bucket, as Prometheus reads it. Above the last bound nothing
/// is known: the last bound is given. `counts`: one more than there are bounds. `None` without an observation.
pub(crate) fn quantile(bounds: &[f64], counts: &[u64], quantile: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 do not occur")]
    let (rank, float) = (quantile * total as f64, |count: u64| count as f64);
    let (mut below, mut lower) = (0, 0.0);
    for (upper, count) in bounds.iter().zip(counts) {
        if *count > 0 && float(below + count) >= rank {
            return Some(lower + (upper - lower) * ((rank - float(below)) / float(*count)).clamp(0.0, 1.0));
        }
        below += count;
        lower = *upper;
    }
    bounds.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let bounds = [0.1, 0.2, 0.4];
        for (observed, quantile, wanted) in [
            (vec![0.05; 10], 0.5, 0.05),
            (vec![0.15; 10], 0.5, 0.15),
            (vec![0.05, 0.05, 0.15, 0.15], 0.5, 0.1),
            (vec![0.05, 0.15, 0.3, 0.3], 0.75, 0.3),
            (vec![9.0; 3], 0.99, 0.4),
            (vec![0.3], 1.0, 0.4),
        ] {
            let histogram = Histogram::default();
            for seconds in &observed {
                histogram.observe(&bounds, *seconds);
            }
            let counts: Vec<u64> = histogram.counts().unwrap().collect();
            let got = super::quantile(&bounds, &counts, quantile).unwrap();
            assert!((got - wanted).abs() < 1e-9, "{observed:?} at {quantile}: {got}, not {wanted}");
        }
    }

    #[test]
    fn nothing_observed_has_no_quantile_and_no_series() {
        let histogram = Histogram::default();
        assert!(histogram.counts().is_none());
        assert_eq!(quantile(&[1.0], &[0, 0], 0.5), None);
        assert!(histogram.to_proto(&[1.0]).is_none());
        assert_eq!(size_of::<Histogram>(), 16);
    }

    #[test]
    fn a_value_on_a_bound_belongs_to_it_and_buckets_are_cumulative() {
        let histogram = Histogram::default();
        for seconds in [0.1, 0.2, 0.3, 7.0] {
            histogram.observe(&[0.1, 0.2, 0.4], seconds);
        }
        let proto = histogram.to_proto(&[0.1, 0.2, 0.4]).unwrap();
        let counts: Vec<u64> = proto.get_bucket().iter().map(proto::Bucket::cumulative_count).collect();
        assert_eq!((counts, proto.get_sample_count()), (vec![1, 2, 3], 4));
        assert!((proto.get_sample_sum() - 7.6).abs() < 1e-6);
    }

    #[test]
    fn nonsense_values_do_no_harm() {
        let histogram = Histogram::default();
        for seconds in [f64::NAN, f64::INFINITY, -1.0] {
            histogram.observe(&[0.1], seconds);
        }
        assert_eq!(histogram.to_proto(&[0.1]).unwrap().get_sample_count(), 3);
    }

    #[test]
    fn the_default_buckets_rise_from_200_microseconds_to_a_minute() {
        assert!(DEFAULT_BUCKETS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((DEFAULT_BUCKETS[0] - 0.0002).abs() < 1e-12 && (DEFAULT_BUCKETS[17] - 60.0).abs() < 1e-12);
    }
}
