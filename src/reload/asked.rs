//! Requests of a person or a gate about one route.

use std::borrow::Cow;

use crate::migration::Dial;
use crate::migration::dial::{Action, Wish};

/// The acts of a person and of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedMove {
    Promote(Wish),
    RollBack(Wish),
    /// With `all` its roll-backs, too.
    Pause {
        all: bool,
    },
    Resume {
        from_start: bool,
    },
    Approve,
    /// Forgets the evidence of comparisons; the gate begins anew, too.
    Reset,
    /// A gate: only if the dial that it judged is still in force.
    Gate {
        action: Action,
        from: Dial,
        to: Dial,
    },
}

/// The evidence begins anew although nothing may move.
pub(super) const fn begins_anew(asked: RequestedMove) -> bool {
    matches!(asked, RequestedMove::Resume { from_start: true } | RequestedMove::Reset)
}

/// The words before the reason of such a pause in the journal.
pub const ROLL_BACKS_TOO: &str = "roll-backs, too";

/// The reason in the journal: the part that its action does not say stands before a person's words.
pub(super) fn in_the_journal(action: Action, reason: &str) -> Cow<'_, str> {
    match (action, reason) {
        (Action::Pause { all: true }, "") => ROLL_BACKS_TOO.into(),
        (Action::Pause { all: true }, why) => format!("{ROLL_BACKS_TOO}: {why}").into(),
        (_, why) => why.into(),
    }
}
