//! What a person or a gate asks of one route.

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
    /// What comparisons have shown is forgotten, and the gate begins anew with them.
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

/// What the journal says before the reason of such a pause.
pub const ROLL_BACKS_TOO: &str = "roll-backs, too";

/// Why, as the journal has it: what its word does not say stands before what a person says.
pub(super) fn in_the_journal(action: Action, reason: &str) -> Cow<'_, str> {
    match (action, reason) {
        (Action::Pause { all: true }, "") => ROLL_BACKS_TOO.into(),
        (Action::Pause { all: true }, why) => format!("{ROLL_BACKS_TOO}: {why}").into(),
        (_, why) => why.into(),
    }
}
