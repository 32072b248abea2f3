//! Decides which side answers a request: a pure function of a route's policy, what is known of the request, and the dial.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod bucket;
mod decision;
pub mod dial;
pub mod gate;
mod policy;
mod safe_calls;
mod stage;
mod sticky;

#[cfg(test)]
mod tests;

pub use bucket::{BUCKETS, Bucket, bucket};
pub use decision::{BreakerState, CopyDecision, Decision, DecisionInput, Pinning, Reason, Side, decide, issued_unit};
pub use policy::{
    CompareSettings, Dial, Examples, Fallback, Follow, Percent, Pin, Policy, Shadow, StatusSet, Variant, WriteCopies,
    is_safe,
};
pub use safe_calls::{CallPattern, CallPatternError, SafeCalls};
pub use stage::{Answers, CopiesTo, FallsBack, Stage};
pub use sticky::{ISSUED_COOKIE, Unit, UnitSource};
