//! Reports on copies and their comparisons.

use std::time::Duration;

use super::deliver::ShadowTraffic;
use super::now;
use super::recent::RecentCopy;
use crate::compare::{Difference, Report};

impl ShadowTraffic {
    /// The report of a route, of all its time or of the last `since`; `None` if the route compares nothing.
    pub fn report(&self, route: &str, since: Option<Duration>) -> Option<Report> {
        let now = now();
        let since = since.map(|since| now.saturating_sub(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)));
        let mut report = self.archive().find(route)?.report(since, now);
        if let Some(state) = self.states().lock().get(route) {
            report.copies = state.counts.report(since, now);
        }
        Some(report)
    }

    /// Whether a route has evidence.
    pub fn knows(&self, route: &str) -> bool {
        self.archive().find(route).is_some()
    }

    /// The evidence of a route begins anew, and the counts of its copies with it.
    pub fn reset(&self, route: &str, by: &str, reason: &str) {
        if let Some(evidence) = self.archive().find(route) {
            evidence.reset(now(), &format!("{by}: {reason}"));
        }
        if let Some(state) = self.states().lock().get(route) {
            state.counts.reset();
        }
    }

    /// The kept requests of a route as a Hurl file; `None` if it compares nothing.
    pub fn hurl(&self, route: &str) -> Option<String> {
        self.archive().find(route).map(|evidence| evidence.hurl())
    }

    /// The same as curl commands.
    pub fn shell(&self, route: &str) -> Option<String> {
        self.archive().find(route).map(|evidence| evidence.shell())
    }

    /// Mismatch, of what was decided, and undecided, of what was judged; `None` before the first such comparison. How many were
    /// decided.
    pub fn rates(&self, route: &str) -> (Option<f64>, Option<f64>, u64) {
        self.archive().find(route).map_or((None, None, 0), |evidence| {
            let (mismatch, undecided) = evidence.rates();
            (mismatch, undecided, evidence.compared())
        })
    }

    /// The result of the copy of one request, as far as it is still known, with the fields that are noise.
    pub fn compared(&self, route: &str, request_id: &str) -> Option<(RecentCopy, Vec<String>)> {
        let compared = self.recent().find(route, request_id)?;
        let evidence = self.archive().find(route);
        let is_noise = |found: &&Difference| evidence.as_ref().is_some_and(|evidence| evidence.is_noise(found));
        let noise = compared.differences.iter().filter(is_noise).map(|found| found.field.clone()).collect();
        Some((compared, noise))
    }
}
