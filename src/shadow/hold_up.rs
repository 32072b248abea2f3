//! How long copies were held up before they left: what leaves late leaves in a burst, and waits at its target for the burst to pass.
//!
//! A server that answers one after another is done with arrivals that were delayed by at most D at most D later than without
//! the delay. So a copy's answer is late by our own doing for at most the longest delay of the burst that it left in.

use std::time::{Duration, Instant};

/// A delay affects the target for up to this multiple of its length.
const PASSES: u32 = 4;

/// The longest delay of the copies that left lately.
#[derive(Debug, Default)]
pub(super) struct HoldUp(Option<(Instant, Duration)>);

impl HoldUp {
    /// A copy that could have left at `ready` leaves now. By how long its answer may be late for that.
    pub(super) fn leaves(&mut self, ready: Instant, now: Instant) -> Duration {
        let own = now.saturating_duration_since(ready);
        let lately = self.0.filter(|(left, longest)| now.saturating_duration_since(*left) <= *longest * PASSES);
        if let Some((_, longest)) = lately.filter(|(_, longest)| *longest > own) {
            return longest;
        }
        self.0 = Some((now, own));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_answers_for_the_longest_delay_of_its_burst_until_that_has_passed() {
        let mut hold_up = HoldUp::default();
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let ms = Duration::from_millis;
        assert_eq!(hold_up.leaves(at(0), at(1)), ms(1));
        // Three that came over 20 ms and leave together.
        assert_eq!(hold_up.leaves(at(10), at(30)), ms(20));
        assert_eq!(hold_up.leaves(at(20), at(30)), ms(20));
        assert_eq!(hold_up.leaves(at(29), at(30)), ms(20));
        // Behind them, as long as they may stand there.
        assert_eq!(hold_up.leaves(at(59), at(60)), ms(20));
        assert_eq!(hold_up.leaves(at(110), at(111)), ms(1));
    }
}
