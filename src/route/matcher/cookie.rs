//! A condition on a cookie.

use super::Condition;
use crate::route::Facts;

/// A CORS preflight never has cookies, and nothing is known of those of its request: every condition on them is met.
pub(super) fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    facts.preflight.is_some() || condition.kind.holds(facts.cookie(&condition.name).map(str::as_bytes))
}

pub(super) fn has(name: &str, facts: &Facts<'_>) -> bool {
    facts.cookie(name).is_some()
}
