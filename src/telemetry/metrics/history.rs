//! Recent counts: the counters of one series, kept as steps of time, so that a board can show its last minutes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The longest window that can be asked for.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(3600);
/// Counts of one step are not told apart.
const FINE: Duration = Duration::from_secs(5);
/// Steps older than `FINE_FOR` are joined to steps of this length.
const COARSE: Duration = Duration::from_secs(60);
const FINE_FOR: Duration = Duration::from_secs(360);

/// The counters of one series over the last hour. Filled when it is read, never by a request; a quiet series has no step.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The counters at the last look.
    seen: Box<[u64]>,
    /// The oldest first.
    steps: VecDeque<Step>,
}

/// The counts from `began` on, by the counter's index; counters that did not move are left out.
#[derive(Debug)]
struct Step {
    began: Instant,
    counts: Vec<(u16, u32)>,
}

impl History {
    /// Takes the counters as they are now. Counters only rise; one that is new began at 0.
    pub(crate) fn look(&mut self, now: Instant, counters: &[u64]) {
        let before = |at: usize| self.seen.get(at).copied().unwrap_or(0);
        let moved = counters.iter().enumerate().filter_map(|(at, count)| {
            let more = u32::try_from(count.saturating_sub(before(at))).unwrap_or(u32::MAX);
            (more > 0).then_some((u16::try_from(at).ok()?, more))
        });
        let moved: Vec<_> = moved.collect();
        self.forget(now);
        if moved.is_empty() {
            return;
        }
        self.seen = counters.into();
        match self.steps.back_mut() {
            Some(step) if now.saturating_duration_since(step.began) < FINE => step.add(&moved),
            _ => self.steps.push_back(Step { began: now, counts: moved }),
        }
        self.join(now);
    }

    /// Adds to `sums`, by index, what was counted within this time before `now`. The step in which the window begins counts
    /// whole.
    pub(crate) fn sum(&self, now: Instant, window: Duration, sums: &mut [u64]) {
        let inside = |step: &&Step| now.saturating_duration_since(step.began) <= window;
        for (at, count) in self.steps.iter().filter(inside).flat_map(|step| &step.counts) {
            if let Some(sum) = sums.get_mut(usize::from(*at)) {
                *sum += u64::from(*count);
            }
        }
    }

    /// Adds what was counted in each of the last spans before `now`, the oldest first, one sum for each counter. A step that
    /// lies in several spans is spread over them: steps are longer than spans, or no whole part of them, and a steady rate
    /// would look like waves.
    pub(crate) fn spans(&self, now: Instant, span: Duration, sums: &mut [Vec<u64>]) {
        let span = span.as_nanos().max(1);
        for (at, step) in self.steps.iter().enumerate() {
            let age = now.saturating_duration_since(step.began);
            let longest = if age > FINE_FOR { COARSE } else { FINE };
            let next = self.steps.get(at + 1).map_or(longest, |next| next.began.saturating_duration_since(step.began));
            let length = next.min(longest).as_nanos().max(1);
            // The first counts of a step came since the look before it.
            let oldest = (age + FINE).as_nanos();
            let newest = oldest.saturating_sub(length);
            let length = oldest - newest;
            for back in newest / span..=(oldest - 1) / span {
                let place = usize::try_from(back).ok().and_then(|back| sums.len().checked_sub(back + 1));
                let Some(sums) = place.and_then(|place| sums.get_mut(place)) else { continue };
                let (from, until) = ((back * span).max(newest) - newest, ((back + 1) * span).min(oldest) - newest);
                for (counter, count) in &step.counts {
                    let part = |nanos: u128| u128::from(*count) * nanos / length;
                    if let Some(sum) = sums.get_mut(usize::from(*counter)) {
                        *sum += u64::try_from(part(until) - part(from)).unwrap_or(0);
                    }
                }
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        let old = |step: &Step| now.saturating_duration_since(step.began) > LONGEST_WINDOW + COARSE;
        while self.steps.front().is_some_and(old) {
            self.steps.pop_front();
        }
    }

    /// Joins the steps that are no longer looked at finely, each to the one before it. Few cross that age at each look.
    fn join(&mut self, now: Instant) {
        let old = self.steps.partition_point(|step| now.saturating_duration_since(step.began) > FINE_FOR);
        for at in (1..old).rev().take(2) {
            let began = self.steps[at].began;
            if began.saturating_duration_since(self.steps[at - 1].began) < COARSE
                && let Some(step) = self.steps.remove(at)
            {
                self.steps[at - 1].add(&step.counts);
            }
        }
    }
}

impl Step {
    fn add(&mut self, counts: &[(u16, u32)]) {
        for (at, count) in counts {
            match self.counts.iter_mut().find(|(known, _)| known == at) {
                Some((_, sum)) => *sum = sum.saturating_add(*count),
                None => self.counts.push((*at, *count)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(history: &History, now: Instant, seconds: u64) -> u64 {
        let mut sums = [0];
        history.sum(now, Duration::from_secs(seconds), &mut sums);
        sums[0]
    }

    #[test]
    fn a_window_has_what_was_counted_in_it_and_nothing_older() {
        let (mut history, start) = (History::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        history.look(at(0), &[10]);
        history.look(at(100), &[13]);
        history.look(at(400), &[20]);
        assert_eq!(
            (sum(&history, at(401), 300), sum(&history, at(401), 301), sum(&history, at(401), 401)),
            (7, 10, 20)
        );
        assert_eq!(sum(&history, at(401), 3600), 20);
        assert_eq!(sum(&history, at(1000), 300), 0, "nothing happened lately");
    }

    #[test]
    fn an_hour_of_a_busy_series_takes_few_steps_and_loses_no_count() {
        let (mut history, start) = (History::default(), Instant::now());
        let hour = 3600;
        for second in 0..hour {
            history.look(start + Duration::from_secs(second), &[second + 1]);
        }
        let now = start + Duration::from_secs(hour);
        assert!(history.steps.len() < 140, "{}", history.steps.len());
        assert_eq!(sum(&history, now, hour), hour);
        let minutes = sum(&history, now, 300);
        assert!((295..=306).contains(&minutes), "{minutes}");
        // The oldest are forgotten in the end.
        history.look(now + Duration::from_secs(2 * hour), &[hour]);
        assert!(history.steps.is_empty());
    }

    #[test]
    fn spans_lie_side_by_side_the_oldest_first() {
        let (mut history, start) = (History::default(), Instant::now());
        for (second, count) in [(0, 2), (70, 5), (130, 9)] {
            history.look(start + Duration::from_secs(second), &[count]);
        }
        let mut sums = vec![vec![0]; 3];
        history.spans(start + Duration::from_secs(130), Duration::from_secs(60), &mut sums);
        assert_eq!(sums, [[2], [3], [4]]);
    }

    #[test]
    fn a_steady_rate_is_a_level_line_whatever_the_span() {
        let (mut history, start) = (History::default(), Instant::now());
        for tick in 1..=240 {
            history.look(start + Duration::from_secs(tick * 5), &[tick * 500]);
        }
        let now = start + Duration::from_secs(1200);
        for span in [7, 13, 30, 60] {
            let mut sums = vec![vec![0]; 900 / usize::try_from(span).unwrap()];
            history.spans(now, Duration::from_secs(span), &mut sums);
            let expected = span * 100;
            let level = sums.iter().all(|sum| sum[0].abs_diff(expected) <= expected / 8);
            assert!(level, "{span} s: {sums:?}");
        }
    }

    #[test]
    fn a_counter_that_appears_later_began_at_nothing() {
        let (mut history, now) = (History::default(), Instant::now());
        history.look(now, &[1]);
        history.look(now, &[1, 5]);
        let mut sums = [0, 0];
        history.sum(now, Duration::from_secs(5), &mut sums);
        assert_eq!(sums, [1, 5]);
    }
}
