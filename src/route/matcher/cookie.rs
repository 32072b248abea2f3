//! A condition on a cookie.

use std::borrow::Cow;

use super::Condition;
use crate::route::Facts;

/// A CORS preflight never has cookies, and nothing is known of those of its request: every condition on them is met.
pub(super) fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    facts.preflight.is_some() || condition.kind.holds(value(&condition.name, facts).as_deref())
}

pub(super) fn value<'f>(name: &str, facts: &'f Facts<'_>) -> Option<Cow<'f, [u8]>> {
    facts.cookie(name).map(|value| value.as_bytes().into())
}
