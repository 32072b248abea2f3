//! The wall clock of evidence: what is kept must mean something after a restart.

use std::time::SystemTime;

use crate::compare::Millis;

/// Milliseconds since 1970.
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
