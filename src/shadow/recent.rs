//! The results of the newest comparisons, request by request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::compare::{ComparisonResult, Difference, Outcome};
use crate::telemetry::RequestId;

/// Comparisons that are kept, over all routes.
const MOST: usize = 256;

/// Differences of one of them.
const MOST_DIFFERENCES: usize = 10;

/// The result of the copy of one request.
#[derive(Debug, Clone)]
pub struct RecentCopy {
    pub ending: Ending,
    /// As `ResultCode::number` gives them.
    pub statuses: Option<[u16; 2]>,
    /// Until the monolith's and the service's head.
    pub took: Option<[Duration; 2]>,
    pub differences: Vec<Difference>,
    /// Differences that have no place here.
    pub more: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Judged(ComparisonResult),
    /// Noise is not known yet.
    Waits,
    /// The copy got none.
    NoAnswer,
}

struct Kept {
    route: Arc<str>,
    request_id: RequestId,
    compared: RecentCopy,
}

#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Kept>>);

impl Recent {
    pub(super) fn compared(
        &self,
        (route, request_id): (&Arc<str>, RequestId),
        outcome: &Outcome,
        took: [Duration; 2],
        settled: &[ComparisonResult],
    ) {
        // This comparison is the last one that it settled; of those that wait only older ones are dropped.
        let ending = settled.last().filter(|verdict| **verdict != ComparisonResult::Dropped);
        let differences: Vec<_> =
            outcome.differences.iter().take(MOST_DIFFERENCES).map(|found| found.with_examples(1)).collect();
        self.keep(
            (route, request_id),
            RecentCopy {
                ending: ending.map_or(Ending::Waits, |verdict| Ending::Judged(*verdict)),
                statuses: outcome.statuses,
                took: Some(took),
                more: outcome.differences.len() - differences.len(),
                differences,
            },
        );
    }

    pub(super) fn unanswered(&self, of: (&Arc<str>, RequestId)) {
        let (ending, differences) = (Ending::NoAnswer, Vec::new());
        self.keep(of, RecentCopy { ending, statuses: None, took: None, differences, more: 0 });
    }

    fn keep(&self, (route, request_id): (&Arc<str>, RequestId), compared: RecentCopy) {
        let mut kept = self.0.lock();
        if kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back(Kept { route: Arc::clone(route), request_id, compared });
    }

    pub(super) fn find(&self, route: &str, request_id: &str) -> Option<RecentCopy> {
        let kept = self.0.lock();
        let is = |kept: &&Kept| &*kept.route == route && kept.request_id.as_str() == request_id;
        kept.iter().rev().find(is).map(|kept| kept.compared.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comparison_of_a_request_is_found_and_the_oldest_make_room() {
        let (recent, route): (_, Arc<str>) = (Recent::default(), "users".into());
        let id = |number: u128| (&route, RequestId::made(number));
        let outcome = Outcome { statuses: Some([200, 404]), ..Outcome::default() };
        recent.unanswered(id(1));
        recent.compared(id(1), &outcome, [Duration::ZERO; 2], &[ComparisonResult::Match, ComparisonResult::Mismatch]);
        recent.compared(id(2), &outcome, [Duration::ZERO; 2], &[ComparisonResult::Dropped]);
        let of = |number: u128| recent.find("users", RequestId::made(number).as_str()).map(|found| found.ending);
        assert_eq!((of(1), of(2)), (Some(Ending::Judged(ComparisonResult::Mismatch)), Some(Ending::Waits)));
        assert!(recent.find("orders", RequestId::made(1).as_str()).is_none());
        for number in 3..3 + MOST as u128 {
            recent.unanswered(id(number));
        }
        assert_eq!((of(2), of(3)), (None, Some(Ending::NoAnswer)));
    }
}
