//! Messages to the people and programs of `[notify]` about an entry of the journal.

use jiff::Timestamp;
use serde_json::Value;

use crate::config::Notice;
use crate::gate::NewEntry;
use crate::migration::dial::{Action, Standing};
use crate::migration::{Dial, Stage};
use crate::notify::Message;

pub(super) fn told(new: &NewEntry<'_>, after: &Standing, entry: Option<Value>) -> Message {
    let kind = match new.action {
        Action::RollBack => Some(Notice::RolledBack),
        _ if new.from == new.to => None,
        _ => Some(Notice::Move),
    };
    let command = match kind {
        Some(Notice::RolledBack) => format!("multilith gate {}", new.route),
        Some(_) => format!("multilith rollback {}", new.route),
        None => String::new(),
    };
    let reason = if new.reason.is_empty() { String::new() } else { format!(": {}", new.reason) };
    // A gate's notices about a step are over with the step.
    let resolves: &[Notice] = match (new.action, after.latched) {
        (Action::Pause { .. } | Action::Resume | Action::Agrees | Action::Fault | Action::Rule, _) => &[],
        (_, true) => &[Notice::Waiting, Notice::Slow],
        (_, false) => &[Notice::RolledBack, Notice::Waiting, Notice::Slow],
    };
    Message {
        kind,
        route: new.route.into(),
        text: format!("{} {}: {} -> {} by {}{reason}", new.route, new.action.as_str(), new.from, new.to, new.who),
        command,
        by: new.by.as_str().into(),
        entry,
        resolves,
        at: Timestamp::now(),
        link: String::new(),
    }
}

/// Why a person has to agree to a promotion.
pub(super) const fn wants_a_word(to: Dial) -> &'static str {
    match to.stage {
        Stage::Retired => "the route would be retired: the monolith is then never asked, not even as fallback",
        _ => "the route would go to a stage that `approve` of its gate leaves to a person",
    }
}
