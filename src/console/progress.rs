//! The progress of the last thirty days, for the line above the board.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::store::{ProgressRow, Store};

const DAYS: u32 = 30;
/// A younger history is no line.
const FEWEST: usize = 3;
/// Rows are written by the hour.
const READ_AGAIN: Duration = Duration::from_secs(600);

/// By day the thousandths of the requests that the monolith did not answer, one more than there are: nothing is no point of a line.
type Days = Arc<[u64]>;

/// The days in the store, as they were read last. A page never waits for the disk.
#[derive(Default)]
pub struct ProgressLine {
    known: Mutex<(Option<Instant>, Days)>,
}

impl ProgressLine {
    pub fn days(self: &Arc<Self>, store: &Arc<Store>, now: Instant) -> Days {
        let mut known = self.known.lock();
        if known.0.is_none_or(|read| now.saturating_duration_since(read) >= READ_AGAIN) {
            known.0 = Some(now);
            let (line, store) = (Arc::clone(self), Arc::clone(store));
            tokio::task::spawn_blocking(move || {
                let hour = u32::try_from(jiff::Timestamp::now().as_second() / 3600).unwrap_or(0);
                if let Ok(rows) = store.progress_since(hour.saturating_sub(DAYS * 24)) {
                    line.known.lock().1 = by_day(&rows).into();
                }
            });
        }
        Arc::clone(&known.1)
    }
}

/// Days without requests are left out.
fn by_day(rows: &[ProgressRow]) -> Vec<u64> {
    let mut days = BTreeMap::<u32, (u64, u64)>::new();
    for row in rows {
        let day = days.entry(row.hour / 24).or_default();
        *day = (day.0 + row.moved_requests, day.1 + row.requests);
    }
    let shares =
        days.into_values().filter(|(_, all)| *all > 0).map(|(moved, all)| moved.saturating_mul(1000) / all + 1);
    let shares: Vec<u64> = shares.collect();
    if shares.len() < FEWEST { Vec::new() } else { shares }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hour: u32, moved_requests: u64, requests: u64) -> ProgressRow {
        ProgressRow { hour, requests, moved_requests, ..ProgressRow::default() }
    }

    #[test]
    fn hours_are_joined_to_days_and_a_young_history_is_no_line() {
        let rows = [row(24, 0, 10), row(47, 5, 10), row(48, 0, 0), row(72, 10, 10), row(96, 1, 4)];
        assert_eq!(by_day(&rows), [251, 1001, 251]);
        assert!(by_day(&rows[..4]).is_empty());
    }
}
