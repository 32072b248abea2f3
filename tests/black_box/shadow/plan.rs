//! The file that these tests start from: one route in stage `shadow` that takes everything.

use std::net::SocketAddr;

use crate::harness::{Edge, Origin, PATIENCE, within};

/// A copy that is waited for would outlast every test's patience.
pub(crate) const PATIENT: &str = "timeout = \"1h\"\n";

/// Copies let everything else go first, so on a full machine they take long.
pub(crate) fn in_the_end<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(6 * PATIENCE, ask).unwrap_or_else(|| panic!("waited {:?} in vain: {what}", 6 * PATIENCE))
}

/// Copies of reads and writes, with more lines for the route's `shadow` table.
pub(crate) fn shadowing(monolith: &Origin, service: SocketAddr, lines: &str) -> Edge {
    staged(monolith, service, "stage = \"shadow\"", &format!("{WRITES}{lines}"))
}

const WRITES: &str = "methods = [\"GET\", \"HEAD\", \"POST\"]\nwrites = \"sandbox\"\n";

/// Any stage, and exactly these lines in the `shadow` table.
pub(crate) fn staged(monolith: &Origin, service: SocketAddr, stage: &str, lines: &str) -> Edge {
    // A test of copies alone is not to be disturbed by requests that noise is learned from.
    let quiet = if lines.contains("compare") { "" } else { "compare = false\n" };
    let tables = format!(
        "[services.new]\nurl = \"http://{service}\"\nsandbox = true\n\
         [routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\n{stage}\n[routes.all.shadow]\n{quiet}{lines}"
    );
    Edge::before(monolith).with(&tables).start()
}

impl Edge {
    /// Copies that were sent, by what became of them.
    pub(crate) fn sent(&self, outcome: &str) -> f64 {
        self.metric("multilith_shadow_requests_total", &[("route", "all"), ("outcome", outcome)])
    }

    pub(crate) fn skipped(&self, reason: &str) -> f64 {
        self.metric("multilith_shadow_skipped_total", &[("route", "all"), ("reason", reason)])
    }

    pub(crate) fn await_sent(&self, outcome: &str, count: usize) {
        in_the_end(&format!("{count} copies that end as `{outcome}`"), || at_least(self.sent(outcome), count));
    }

    pub(crate) fn await_skipped(&self, reason: &str, count: usize) {
        in_the_end(&format!("{count} copies skipped for `{reason}`"), || at_least(self.skipped(reason), count));
    }

    /// The report of the route.
    pub(crate) fn comparisons(&self) -> serde_json::Value {
        let (status, report) = self.admin_json("GET", "/api/v1/routes/all/comparisons");
        assert_eq!(status, 200, "{report}");
        report
    }

    /// Waits until so many pairs of answers were looked at, whatever the verdict.
    pub(crate) fn await_compared(&self, count: u64) -> serde_json::Value {
        in_the_end(&format!("{count} comparisons"), || {
            let report = self.comparisons();
            let words = ["match", "mismatch", "undecided", "incomparable", "dropped"];
            let verdicts = words.map(|word| report["verdicts"][word].as_u64());
            let looked_at = verdicts.into_iter().chain([report["waiting"].as_u64()]).flatten().sum::<u64>();
            (looked_at >= count).then_some(report)
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "tests count to a few thousand")]
fn at_least(seen: f64, count: usize) -> Option<()> {
    (seen >= count as f64).then_some(())
}
