//! A condition on a value of the query.

use std::borrow::Cow;

use super::Condition;
use crate::route::Facts;

/// A CORS preflight has the query of its request.
pub(super) fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    condition.kind.holds(value(&condition.name, facts).as_deref())
}

pub(super) fn value<'f>(name: &str, facts: &'f Facts<'_>) -> Option<Cow<'f, [u8]>> {
    facts.query_value(name).map(|value| match value {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    })
}
