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
pub enum Failure {
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

impl Failure {
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
pub(super) struct Vitals {
    pub(super) key: EndpointKey,
    pub(super) in_flight: AtomicU32,
    /// Failures in a row.
    pub(super) failures: AtomicU32,
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
    pub(super) last_failure: Option<(Failure, u64)>,
    /// When it was last said why there is no connection.
    pub(super) complained: Option<u64>,
    /// It joined others that were there before it.
    pub(super) late: bool,
    pub(super) state: EndpointState,
    pub(super) why: String,
    /// The state that was last told to the observer.
    pub(super) reported: Option<EndpointState>,
}

impl Vitals {
    pub(super) fn new(now: u64) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            key: EndpointKey(NEXT.fetch_add(1, Relaxed)),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            eligible: AtomicBool::new(true),
            seen: AtomicU64::new(now),
            doubted: Notify::new(),
            closes: Arc::default(),
            condition: Mutex::default(),
        })
    }

    /// Whether it is time to say again why there is no connection.
    pub(super) fn may_complain(&self, now: u64) -> bool {
        let complained = &mut self.condition.lock().complained;
        let due = complained.is_none_or(|last| now.saturating_sub(last) >= COMPLAIN_EVERY);
        if due {
            *complained = Some(now);
        }
        due
    }
}
