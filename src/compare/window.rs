//! Counts by time: by the minute for an hour, by the hour for thirty days.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Millis;

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// Minutes that are told apart.
const MINUTES: usize = 60;

/// Hours that are kept.
const HOURS: usize = 24 * 30;

/// Three counts of one minute or one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Slot(u64, [u32; 3]);

/// Three counts over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    minutes: VecDeque<Slot>,
    hours: VecDeque<Slot>,
}

impl Window {
    pub(super) fn add(&mut self, counts: [u32; 3], now: Millis) {
        put(&mut self.minutes, now / MINUTE, counts, MINUTES);
        put(&mut self.hours, now / HOUR, counts, HOURS);
    }

    /// The sums since a time: to the minute within the last hour, to the hour before that.
    pub(super) fn since(&self, from: Millis, now: Millis) -> [u64; 3] {
        let within_the_hour = now.saturating_sub(from) < HOUR;
        let (slots, first) = if within_the_hour { (&self.minutes, from / MINUTE) } else { (&self.hours, from / HOUR) };
        let recent = slots.iter().filter(|slot| slot.0 >= first);
        recent.fold([0; 3], |[a, b, c], Slot(_, [x, y, z])| [a + u64::from(*x), b + u64::from(*y), c + u64::from(*z)])
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for Slot(at, counts) in &other.minutes {
            put(&mut self.minutes, *at, *counts, MINUTES);
        }
        for Slot(at, counts) in &other.hours {
            put(&mut self.hours, *at, *counts, HOURS);
        }
    }
}

fn put(slots: &mut VecDeque<Slot>, at: u64, counts: [u32; 3], most: usize) {
    // Nearly always the last one; a clock that was set back finds an older one.
    let place = slots.iter().rposition(|slot| slot.0 <= at);
    match place.and_then(|place| slots.get_mut(place)).filter(|slot| slot.0 == at) {
        Some(Slot(_, known)) => {
            known.iter_mut().zip(counts).for_each(|(known, count)| *known = known.saturating_add(count));
        }
        None => slots.insert(place.map_or(0, |place| place + 1), Slot(at, counts)),
    }
    while slots.len() > most {
        slots.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minutes_and_the_last_days() {
        let mut window = Window::default();
        let now = 100 * HOUR;
        for (at, count) in
            [(now - 50 * HOUR, 1), (now - 2 * HOUR, 10), (now - 30 * MINUTE, 100), (now - 1, 1000), (now, 1)]
        {
            window.add([count, 0, 1], at);
        }
        assert_eq!(window.since(now - 5 * MINUTE, now), [1001, 0, 2]);
        assert_eq!(window.since(now - 40 * MINUTE, now)[0], 1101);
        assert_eq!(window.since(now - 3 * HOUR, now)[0], 1111);
        assert_eq!(window.since(0, now), [1112, 0, 5]);
        for minute in 0..200_000 {
            window.add([1, 0, 0], now + minute * MINUTE);
        }
        assert_eq!((window.minutes.len(), window.hours.len()), (MINUTES, HOURS));
    }
}
