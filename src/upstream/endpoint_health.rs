//! The health of one endpoint: requests in flight, failures, checks, ejections.
//! It belongs to the address: a new weight, another timeout or a reload does not change it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::status::EndpointState;
use crate::endpoint::{Checkup, EjectionRecord, IdleCloses};

/// Milliseconds. A request a millisecond may fail for the same reason.
const COMPLAIN_EVERY: u64 = 10_000;

/// Names an endpoint for as long as it is known. Equal keys are the same endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey(u64);

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointFailure {
    /// No connection could be made.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// The answer's status says that the endpoint failed.
    Status,
    /// The response was not HTTP.
    Protocol,
}

impl EndpointFailure {
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Status => "status",
            Self::Protocol => "protocol",
        }
    }
}

/// Shared by every `Endpoint` that stands for the same address in one upstream, over all reloads.
#[derive(Debug)]
pub(super) struct EndpointHealth {
    pub(super) key: EndpointKey,
    pub(super) in_flight: AtomicU32,
    /// Failures in a row.
    pub(super) failures: AtomicU32,
    /// Something was answered, and nothing failed since: the usual case, read with every answer.
    pub(super) answers: AtomicBool,
    pub(super) learned: Learned,
    /// May get requests. Read on the request's path; written when the condition is judged anew.
    pub(super) eligible: AtomicBool,
    /// Milliseconds of the pool's clock when the source last named it.
    pub(super) seen: AtomicU64,
    /// Something makes its health doubtful: its check is due now.
    pub(super) doubted: Notify,
    /// When it closes idle connections.
    pub(super) closes: Arc<IdleCloses>,
    pub(super) condition: Mutex<Condition>,
}

/// The results of requests and copies, for endpoints without a check.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// It answered at least once.
    answered: AtomicBool,
    /// Attempts and copies since the last answer.
    requests: AtomicU32,
    copies: AtomicU32,
}

/// The fields that change rarely.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) checkup: Checkup,
    /// Why the last check failed.
    pub(super) complaint: String,
    pub(super) ejection: EjectionRecord,
    /// Why it was ejected.
    pub(super) ejected_for: String,
    /// When it came back, while it takes its share step by step.
    pub(super) returned: Option<u64>,
    pub(super) last_failure: Option<(EndpointFailure, u64)>,
    /// The faults that were said of it, and when each was last. There are as many as the program has rules.
    pub(super) complained: Vec<(&'static str, u64)>,
    /// It joined others that were there before it.
    pub(super) late: bool,
    pub(super) state: EndpointState,
    pub(super) why: String,
    /// The state that was last told to the observer.
    pub(super) reported: Option<EndpointState>,
}

impl EndpointHealth {
    pub(super) fn new(now: u64) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            key: EndpointKey(NEXT.fetch_add(1, Relaxed)),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            answers: AtomicBool::new(false),
            learned: Learned::default(),
            eligible: AtomicBool::new(true),
            seen: AtomicU64::new(now),
            doubted: Notify::new(),
            closes: Arc::default(),
            condition: Mutex::default(),
        })
    }

    /// Something was answered. True: that is news.
    pub(super) fn answered(&self) -> bool {
        if self.answers.load(Relaxed) {
            return false;
        }
        let Learned { answered, requests, copies } = &self.learned;
        answered.store(true, Relaxed);
        requests.store(0, Relaxed);
        copies.store(0, Relaxed);
        self.answers.store(true, Relaxed);
        true
    }

    /// A request, or a copy of one, was not answered.
    pub(super) fn unanswered(&self, copy: bool) {
        let Learned { requests, copies, .. } = &self.learned;
        (if copy { copies } else { requests }).fetch_add(1, Relaxed);
        self.answers.store(false, Relaxed);
    }

    /// The state without a check: `failures` in a row or a refused connection make it fail.
    pub(super) fn learned(&self, last: Option<EndpointFailure>, failures: u32) -> (EndpointState, String) {
        let Learned { answered, requests, copies } = &self.learned;
        let (requests, copies) = (requests.load(Relaxed), copies.load(Relaxed));
        let all = requests.saturating_add(copies);
        if let Some(kind) = last.filter(|kind| all > 0 && (*kind == EndpointFailure::Connect || all >= failures)) {
            let counted = [(requests, "request"), (copies, "copy")].map(|(count, word)| match (count, word) {
                (0, _) => String::new(),
                (1, word) => format!("1 {word}"),
                (count, "copy") => format!("{count} copies"),
                (count, word) => format!("{count} {word}s"),
            });
            let counted: Vec<_> = counted.into_iter().filter(|text| !text.is_empty()).collect();
            let counted = counted.join(" and ");
            let why = match kind {
                EndpointFailure::Connect => format!("refused {counted}"),
                EndpointFailure::Status => format!("answered {counted} with an error"),
                kind => format!("did not answer {counted} ({})", kind.name()),
            };
            return (EndpointState::Failing, why);
        }
        if answered.load(Relaxed) {
            (EndpointState::Healthy, String::new())
        } else {
            (EndpointState::Unchecked, String::new())
        }
    }

    /// Whether it is time to name this fault again. Another fault does not hide it.
    pub(super) fn may_complain(&self, fault: &'static str, now: u64) -> bool {
        let complained = &mut self.condition.lock().complained;
        let Some((_, last)) = complained.iter_mut().find(|(known, _)| *known == fault) else {
            complained.push((fault, now));
            return true;
        };
        let due = now.saturating_sub(*last) >= COMPLAIN_EVERY;
        if due {
            *last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_named_in_its_own_time() {
        let health = EndpointHealth::new(0);
        let said = [("a", 0), ("a", 9_999), ("b", 9_999), ("a", 10_000), ("b", 10_000), ("a", 10_001), ("b", 19_999)]
            .map(|(fault, now)| health.may_complain(fault, now));
        assert_eq!(said, [true, false, true, true, false, false, true]);
    }
}
