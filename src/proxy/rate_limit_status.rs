//! Headers that tell a rate-limited client the state of its bucket.

use std::time::Duration;

use crate::message::ResponseHead;

/// A client's bucket, where its route limits rates.
#[derive(Debug, Clone, Copy)]
pub struct RateLimitStatus {
    pub burst: u32,
    pub remaining: u32,
    pub reset: Duration,
    pub limited: bool,
}

impl RateLimitStatus {
    /// Whole seconds, rounded up: after them a request passes.
    pub fn seconds(&self) -> u64 {
        self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)
    }

    /// `RateLimit-Limit`, `-Remaining` and `-Reset` (draft-ietf-httpapi-ratelimit-headers-06, the form that clients read).
    pub fn write(&self, head: &mut ResponseHead) {
        head.fields.set("RateLimit-Limit", self.burst.to_string().as_bytes());
        head.fields.set("RateLimit-Remaining", self.remaining.to_string().as_bytes());
        head.fields.set("RateLimit-Reset", self.seconds().to_string().as_bytes());
    }
}
