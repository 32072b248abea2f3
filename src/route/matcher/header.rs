//! A condition on a header.

use super::{Condition, ConditionKind};
use crate::route::Facts;

/// A CORS preflight names headers that its request will have, and tells no values: a header that is announced meets every
/// condition but `absent`, one that is not is judged as the preflight has it.
pub(super) fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    match facts.preflight {
        Some(announced) if announces(announced, &condition.name) => !matches!(condition.kind, ConditionKind::Absent),
        _ => condition.kind.holds(facts.headers.get(&*condition.name)),
    }
}

pub(super) fn has(name: &str, facts: &Facts<'_>) -> bool {
    facts.headers.has(name)
}

fn announces(announced: &str, name: &str) -> bool {
    announced.split(',').any(|own| own.trim().eq_ignore_ascii_case(name))
}
