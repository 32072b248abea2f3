//! A count of the last thirty days.

const MINUTES: u32 = 24 * 60;
/// The day that has begun, and thirty before it.
pub const KEPT: usize = 31;

/// Each day's count; what is older is forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Days {
    /// The newest one, since 1970.
    last: u32,
    /// A ring: the last day stands at its number modulo its length.
    counts: [u32; KEPT],
}

impl Days {
    pub fn add(&mut self, minute: u32, count: u32) {
        let day = minute / MINUTES;
        if day + KEPT as u32 <= self.last {
            return;
        }
        self.go_on_to(day);
        let counted = &mut self.counts[day as usize % KEPT];
        *counted = counted.saturating_add(count);
    }

    /// Of the thirty days before this minute.
    #[must_use]
    pub fn until(mut self, minute: u32) -> u64 {
        self.go_on_to(minute / MINUTES);
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    fn go_on_to(&mut self, day: u32) {
        for passed in (self.last + 1..=day).take(KEPT) {
            self.counts[passed as usize % KEPT] = 0;
        }
        self.last = self.last.max(day);
    }

    /// The last day, and the counts as they stand in the ring.
    pub fn parts(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::once(self.last).chain(self.counts)
    }

    pub const fn of_parts(last: u32, counts: [u32; KEPT]) -> Self {
        Self { last, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_thirty_days_is_forgotten() {
        let mut days = Days::default();
        let at = |day: u32| (20_000 + day) * MINUTES;
        days.add(at(0), 5);
        days.add(at(0) + MINUTES - 1, 1);
        days.add(at(29), 7);
        days.add(at(27), 2);
        assert_eq!((days.until(at(29)), days.until(at(30)), days.until(at(31))), (15, 15, 9));
        assert_eq!((days.until(at(58)), days.until(at(60)), days.until(at(400))), (7, 0, 0));
        days.add(at(200), 1);
        days.add(at(29), 3);
        assert_eq!(days.until(at(200)), 1);
    }
}
