//! What a move of a route means for its clients, in a sentence.

use crate::admin::RouteStatus;
use crate::compile::Route;
use crate::migration::{Dial, Fallback, Percent, Stage};

/// What a pause of the roll-backs means.
pub const NOT_TAKEN_BACK: &str =
    "Whatever its gate finds, nothing but a person takes the route back before it is resumed.";

/// Where an approval lets a route go: its steps within a stage need none.
pub const fn approved(from: Stage) -> Stage {
    match from {
        Stage::Monolith => Stage::Shadow,
        Stage::Shadow => Stage::Canary,
        _ => Stage::Migrated,
    }
}

/// A gate that is resumed from its first step.
pub const ANEW: &str = "resume --from-start";

/// The meaning of a move for the clients.
pub fn meaning((verb, under): (&str, &Route), row: &RouteStatus, from: Dial, to: Dial) -> String {
    let service = row.service.as_deref().unwrap_or("the service");
    let (was, is) = (words(from), words(to));
    match (verb, to.stage) {
        ("pause", _) => format!("It stays at {was}. Its gate still takes it back when the service is worse."),
        (ANEW, _) if is == was => format!("Its gate forgets what it has counted, and judges anew at {was}."),
        (ANEW, _) => format!(
            "From {was} back to {is}: its gate forgets what it has counted and begins anew. Clients that were added since go back to the monolith with their next request."
        ),
        ("resume", _) => format!("Its gate decides again whether it goes on from {was}."),
        ("approve", _) => {
            let next = approved(from.stage);
            let is_sure = row.gate.as_ref().is_some_and(|gate| gate.state == "waiting");
            let when = if is_sure { "now: its gate is sure and waits for you" } else { "as soon as its gate is sure" };
            format!("It stands at {was}. Approved, it goes to {next} {when}.")
        }
        (_, Stage::Monolith) => format!(
            "From {was}: the monolith answers everybody again, from the next request on, and nothing is copied."
        ),
        (_, Stage::Shadow) => match copies_nothing(under) {
            Some(why) => format!("From {was}: the monolith answers everybody, and no request is copied: {why}."),
            None => format!(
                "From {was}: the monolith answers everybody, and {service} gets copies. No client waits for them."
            ),
        },
        (_, Stage::Canary) if to.weight == Percent::NOBODY => {
            format!("From {was}: the monolith answers everybody again, from the next request on.")
        }
        ("rollback", Stage::Canary) => {
            format!(
                "From {was} to {is} of the clients: those that were added last go back to the monolith with their next request."
            )
        }
        (_, Stage::Canary) => {
            format!(
                "From {was} to {is} of the clients, always the same ones: clients are added, none changes back. {}",
                if_it_fails(service, under.policy.fallback.as_ref())
            )
        }
        (_, Stage::Migrated) => {
            format!("From {was}: {service} answers everybody. Back again takes one press and the next request.")
        }
        (_, Stage::Retired) => format!(
            "From {was}: {service} answers everybody, and the monolith is never asked, not even when {service} fails. Its code can go."
        ),
        _ => format!("From {was} to {is}."),
    }
}

fn copies_nothing(under: &Route) -> Option<String> {
    under.policy.shadow.as_ref()?.copies_nothing(under.rule.methods.as_ref(), &under.policy.safe_calls)
}

fn if_it_fails(service: &str, fallback: Option<&Fallback>) -> String {
    match fallback {
        None => {
            format!(
                "If {service} fails, these clients get its failure: without a fallback the monolith does not answer."
            )
        }
        Some(fallback) if fallback.methods.is_all() => format!("If {service} fails, the monolith answers."),
        Some(fallback) => {
            format!(
                "If {service} fails, the monolith answers {}, and nothing else.",
                fallback.methods.names().join(", ")
            )
        }
    }
}

/// A dial with its unit kept together.
pub fn words(dial: Dial) -> String {
    dial.to_string().replace('%', "\u{a0}%")
}
