//! When a field that differs counts: Diffy's rule against the noise of the monolith, and how sure a rate is.

/// Replays without which noise is not known, and every differing field counts.
pub const NOISE_KNOWN_AFTER: u64 = 50;

/// Of the sum of both rates.
const MIN_RELATIVE: f64 = 0.20;

/// Of all comparisons.
const MIN_ABSOLUTE: f64 = 0.0003;

/// Standard deviations beyond which two rates are not one: once in two thousand fields by chance.
const SURE: f64 = 3.3;

/// 95 % of a normal distribution lie within this many standard deviations.
const Z: f64 = 1.959_964;

/// How often a field differed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub raw: u64,
    pub compared: u64,
    pub noise: u64,
    pub replays: u64,
}

impl Counts {
    /// Per comparison.
    pub fn raw_rate(&self) -> f64 {
        rate(self.raw, self.compared)
    }

    /// Per replay.
    pub fn noise_rate(&self) -> f64 {
        rate(self.noise, self.replays)
    }

    /// The thresholds of Diffy's `DifferencesFilterFactory`, on rates because replays are fewer than comparisons. Where
    /// there is noise, chance alone must not explain how far the two rates are apart.
    pub fn is_regression(&self) -> bool {
        let (raw, noise) = (self.raw_rate(), self.noise_rate());
        let apart = raw - noise;
        let is_apart = apart > 0.0 && apart / (raw + noise) > MIN_RELATIVE && apart > MIN_ABSOLUTE;
        is_apart && (self.noise == 0 || apart > SURE * self.deviation())
    }

    /// The standard deviation of the distance of two rates that are one.
    #[expect(clippy::cast_precision_loss, reason = "see `rate`")]
    fn deviation(&self) -> f64 {
        let (compared, replays) = (self.compared.max(1) as f64, self.replays.max(1) as f64);
        let pooled = (self.raw + self.noise) as f64 / (compared + replays);
        (pooled * (1.0 - pooled) * (1.0 / compared + 1.0 / replays)).sqrt()
    }

    /// The least rate of a fault in this field that would have been seen, with 95 %.
    #[expect(clippy::cast_precision_loss, reason = "see `rate`")]
    pub fn blind_rate(&self) -> f64 {
        // Rule of three: what happens less often may not have happened at all.
        let unseen = 3.0 / self.compared.max(1) as f64;
        if self.noise == 0 {
            return unseen.clamp(MIN_ABSOLUTE, 1.0);
        }
        let noise = self.noise_rate();
        let relative = noise * 2.0 * MIN_RELATIVE / (1.0 - MIN_RELATIVE);
        let chance = SURE * (noise * (1.0 - noise) / self.replays.max(1) as f64).sqrt();
        let least = relative.max(chance).max(unseen);
        // A fault shows only in answers in which the field would have been equal.
        if noise >= 1.0 { 1.0 } else { (least / (1.0 - noise)).min(1.0) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate of more than 2^53 requests may be off in the 16th digit")]
pub(super) fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Wilson's 95 % interval of a share: honest near 0 and for few comparisons.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "see `rate`")]
pub fn interval(part: u64, whole: u64) -> (f64, f64) {
    if whole == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (whole as f64, rate(part, whole));
    let square = Z * Z;
    let middle = p + square / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
    let scale = 1.0 + square / n;
    // Nothing seen and everything seen are ends of the interval, not near them.
    let low = if part == 0 { 0.0 } else { ((middle - half) / scale).max(0.0) };
    let high = if part >= whole { 1.0 } else { ((middle + half) / scale).min(1.0) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_counts_when_it_differs_clearly_more_often_than_the_monolith_from_itself() {
        for (raw, compared, noise, replays, regression) in [
            (5000, 5000, 50, 50, false),
            (50, 5000, 0, 50, true),
            (0, 5000, 0, 50, false),
            (0, 5000, 5, 50, false),
            // 0.03 % of all is the least that counts.
            (3, 10_000, 0, 50, false),
            (4, 10_000, 0, 50, true),
            // 60 against 40: apart by exactly a fifth of the sum.
            (60, 100, 40, 100, false),
            (61, 100, 40, 100, false),
            (610, 1000, 400, 1000, true),
            (4100, 5000, 39, 50, false),
        ] {
            let counts = Counts { raw, compared, noise, replays };
            assert_eq!(counts.is_regression(), regression, "{counts:?}");
        }
    }

    #[test]
    fn the_interval_is_wilsons() {
        for (part, whole, low, high) in [
            (0, 0, 0.0, 1.0),
            (0, 10, 0.0, 0.2775),
            (10, 10, 0.7225, 1.0),
            (5, 10, 0.2366, 0.7634),
            (1, 100, 0.0018, 0.0545),
        ] {
            let (a, b) = interval(part, whole);
            assert!((a - low).abs() < 1e-4 && (b - high).abs() < 1e-4, "{part}/{whole}: {a} {b}");
        }
    }
}
