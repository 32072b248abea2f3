//! A condition on a header.

use std::borrow::Cow;

use super::{Condition, ConditionKind};
use crate::route::Facts;

/// A CORS preflight names headers that its request will have, and tells no values: a header that is announced meets every
/// condition but `absent`, one that is not is judged as the preflight has it.
pub(super) fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    match facts.preflight {
        Some(announced) if announces(announced, &condition.name) => !matches!(condition.kind, ConditionKind::Absent),
        _ => condition.kind.holds(value(&condition.name, facts).as_deref()),
    }
}

pub(super) fn value<'f>(name: &str, facts: &'f Facts<'_>) -> Option<Cow<'f, [u8]>> {
    facts.headers.get(name).map(Cow::from)
}

fn announces(announced: &str, name: &str) -> bool {
    announced.split(',').any(|own| own.trim().eq_ignore_ascii_case(name))
}
