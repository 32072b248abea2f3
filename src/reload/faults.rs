//! Failures on purpose, told when they begin, change and end: a journal entry, an event, and a line in the log.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Reloader;
use super::turn::Author;
use crate::compile::{Fault, Route, Snapshot};
use crate::gate::NewEntry;
use crate::live::Held;
use crate::migration::Side;
use crate::migration::dial::{Action, By};

impl Reloader {
    /// Says what is new in `after`. `before`: the file that was in force, none at the start.
    pub(super) fn tell_faults(&self, generation: u64, before: Option<&Snapshot>, after: &Snapshot) {
        let faulty = |snapshot: Option<&Snapshot>| -> HashMap<String, Fault> {
            let routes = snapshot.into_iter().flat_map(|snapshot| &snapshot.routes);
            routes.filter_map(|route| Some((route.name.to_string(), route.fault?))).collect()
        };
        let before = faulty(before);
        if before.is_empty() && after.routes.iter().all(|route| route.fault.is_none()) {
            return;
        }
        for route in &after.routes {
            let reason = match (before.get(&*route.name), route.fault) {
                (None, Some(fault)) => format!("failures on purpose begin: {}", in_words(route, fault)),
                (Some(was), Some(fault)) if *was != fault => {
                    format!("failures on purpose change: {}", in_words(route, fault))
                }
                (Some(_), None) => "failures on purpose end".to_owned(),
                _ => continue,
            };
            self.tell_fault(generation, route, &reason);
        }
    }

    fn tell_fault(&self, generation: u64, route: &Route, reason: &str) {
        tracing::warn!(route = &*route.name, "{reason}");
        self.app.telemetry.events.publish("fault", &route.name, || {
            let event = serde_json::json!({
                "timestamp": Timestamp::now().to_string(),
                "route": &*route.name,
                "reason": reason,
            });
            event.to_string()
        });
        let live = self.app.live.route(&route.name);
        let held = live.held().unwrap_or_else(|| Held::of_file(route.policy.dial));
        let who = format!("{} #{generation}", self.source.name());
        let author = Author { by: By::File, who: &who, reason, verdict: None };
        let version: &str = route.policy.gate.as_deref().map_or("", |gate| &gate.version);
        let standing = held.standing.dial;
        if self.app.fleet.is_some() {
            // Each replica has its own file: it is said here, and moves nothing for the others.
            let new = NewEntry {
                route: &route.name,
                action: Action::Fault,
                by: By::File,
                who: &who,
                from: held.standing.dial,
                to: held.standing.dial,
                file: held.file,
                version: route.policy.gate.as_deref().map_or("", |gate| &gate.version),
                generation,
                reason,
                verdict: None,
            };
            if self.journal.append_here(&new, Action::Fault.as_str(), &held.standing).is_err() {
                self.app.telemetry.metrics.edge().journal_error();
            }
            return;
        }
        // A failure to write is in the log, with the reason.
        if let Ok((held, _)) = self.write(&route.name, &author, &held, (Action::Fault, standing), (version, generation))
        {
            live.hold(held);
        }
    }
}

/// `1% of service: 200ms late, then 503`.
fn in_words(route: &Route, fault: Fault) -> String {
    let side = fault.side.name(&route.policy);
    let side = if fault.side == Side::Service { "the service's requests" } else { side };
    let what = match (fault.delay, fault.status) {
        (Some(delay), Some(status)) => format!("{delay:?} late, then {status}"),
        (Some(delay), None) => format!("{delay:?} late"),
        (None, Some(status)) => status.to_string(),
        (None, None) => "nothing".to_owned(),
    };
    format!("{} of {side}: {what}", fault.share)
}
