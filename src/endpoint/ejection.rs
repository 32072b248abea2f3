//! Passive ejection: an endpoint that keeps failing is left alone for a time that grows.

use std::time::Duration;

use super::Ejection;

/// The ejections of one endpoint. Times are milliseconds of a clock that never runs backwards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EjectionRecord {
    /// Ejections that still count; each doubles the time of the next.
    times: u32,
    /// While it is ejected: when it ends. Afterwards: when it ended.
    until: u64,
    out: bool,
}

impl EjectionRecord {
    pub fn is_out(&self) -> bool {
        self.out
    }

    /// Ejects it and says for how long: `base`, doubled for each ejection that still counts, at most `max`.
    /// A time of `max` without an ejection makes the earlier ones forgotten one by one.
    pub fn eject(&mut self, now: u64, rule: &Ejection) -> Duration {
        let calm = now.saturating_sub(self.until);
        let forgotten = calm.checked_div(milliseconds(rule.max)).unwrap_or(0);
        self.times = self.times.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        let length = rule.base.saturating_mul(1_u32.checked_shl(self.times).unwrap_or(u32::MAX)).min(rule.max);
        self.times = self.times.saturating_add(1).min(31);
        self.until = now.saturating_add(milliseconds(length));
        self.out = true;
        length
    }

    /// True once, when its time is over.
    pub fn readmit(&mut self, now: u64) -> bool {
        let over = self.out && now >= self.until;
        if over {
            self.out = false;
        }
        over
    }

    /// Ends an ejection early: an active check found it well, or no other endpoint is left.
    pub fn pardon(&mut self, now: u64) {
        if self.out {
            self.out = false;
            self.until = now;
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Ejection =
        Ejection { failures: 5, base: Duration::from_secs(30), max: Duration::from_secs(300), last: false };

    #[test]
    fn each_ejection_lasts_twice_as_long_up_to_the_cap() {
        let mut record = EjectionRecord::default();
        let mut now = 0;
        for seconds in [30, 60, 120, 240, 300, 300] {
            let length = record.eject(now, &RULE);
            assert_eq!(length, Duration::from_secs(seconds));
            assert!(!record.readmit(now + seconds * 1000 - 1), "it came back early");
            now += seconds * 1000;
            assert!(record.readmit(now));
            assert!(!record.readmit(now), "it came back twice");
        }
    }

    #[test]
    fn a_long_calm_makes_earlier_ejections_forgotten() {
        let mut record = EjectionRecord::default();
        record.eject(0, &RULE);
        record.readmit(30_000);
        assert_eq!(record.eject(31_000, &RULE), Duration::from_secs(60));
        record.readmit(91_000);
        assert_eq!(record.eject(91_000 + 2 * 300_000, &RULE), Duration::from_secs(30));
    }

    #[test]
    fn an_ejection_can_end_early() {
        let mut record = EjectionRecord::default();
        record.eject(0, &RULE);
        record.pardon(10);
        assert!(!record.is_out());
        assert!(!record.readmit(1_000_000));
    }
}
