//! A condition on a value of the query.

use super::Condition;
use crate::route::Facts;

/// A CORS preflight has the query of its request.
pub(super) fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    condition.kind.holds(facts.query_value(&condition.name).as_deref().map(str::as_bytes))
}

pub(super) fn has(name: &str, facts: &Facts<'_>) -> bool {
    facts.query_value(name).is_some()
}
