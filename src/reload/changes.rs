//! A reload as a difference: what was added, removed, altered, moved.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::compile::Snapshot;
use crate::diagnostic::{Code, Diagnostic};
use crate::route::Route;

/// The routes that differ between two files, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub added: Vec<Arc<str>>,
    pub removed: Vec<Arc<str>>,
    pub altered: Vec<Arc<str>>,
    /// Something outside the routes differs.
    pub settings: bool,
}

impl Changes {
    /// Both lists are in the order of their names, so one pass finds every difference.
    pub fn between(old: &Snapshot, new: &Snapshot) -> Self {
        let before: BTreeMap<&str, &Arc<Route>> = old.routes.iter().map(|route| (&*route.name, route)).collect();
        let after: BTreeMap<&str, &Arc<Route>> = new.routes.iter().map(|route| (&*route.name, route)).collect();
        let mut changes = Self { settings: settings(old) != settings(new), ..Self::default() };
        for (name, route) in &after {
            match before.get(name) {
                None => changes.added.push(Arc::clone(&route.name)),
                Some(was) if fingerprint(old, was) != fingerprint(new, route) => {
                    changes.altered.push(Arc::clone(&route.name));
                }
                Some(_) => {}
            }
        }
        changes
            .removed
            .extend(before.values().filter(|was| !after.contains_key(&*was.name)).map(|was| Arc::clone(&was.name)));
        changes
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        let mut first = true;
        for (word, names) in [("added", &self.added), ("removed", &self.removed), ("altered", &self.altered)] {
            if names.is_empty() {
                continue;
            }
            let shown = names.iter().take(SHOWN).map(|name| &**name).collect::<Vec<_>>().join(", ");
            let more = names.len().saturating_sub(SHOWN);
            write!(f, "{}{} {word} ({shown}", if first { "" } else { "; " }, names.len())?;
            if more > 0 {
                write!(f, " and {more} more")?;
            }
            f.write_str(")")?;
            first = false;
        }
        match (first, self.settings) {
            (true, true) => f.write_str("no route changed, settings did"),
            (true, false) => f.write_str("nothing but comments or order changed"),
            (false, true) => f.write_str("; settings changed too"),
            (false, false) => Ok(()),
        }
    }
}

/// A route's meaning as text: upstreams by name, since their numbers change when another is added.
fn fingerprint(snapshot: &Snapshot, route: &Route) -> String {
    let names: Vec<&str> = route
        .policy
        .service
        .into_iter()
        .chain(route.policy.variants.iter().map(|variant| variant.upstream))
        .filter_map(|id| snapshot.upstreams.get(id.index()).map(|spec| &*spec.name))
        .collect();
    let mut policy = route.policy.clone();
    policy.service = None;
    for variant in &mut policy.variants {
        variant.upstream = crate::endpoint::UpstreamId::MONOLITH;
    }
    format!("{names:?}{:?}", Route { policy, ..route.clone() })
}

fn settings(snapshot: &Snapshot) -> String {
    let Snapshot { server, matching, limits, logs, tracing, buckets, upstreams, monolith_retired, .. } = snapshot;
    format!("{server:?}{matching:?}{limits:?}{logs:?}{tracing:?}{buckets:?}{upstreams:?}{monolith_retired}")
}

/// The keys that are read once, when the program starts.
pub fn need_restart(old: &Snapshot, new: &Snapshot) -> Vec<&'static str> {
    let (was, is) = (&old.server, &new.server);
    let checks = [
        (was.listen != is.listen, "listen"),
        (was.admin != is.admin, "admin"),
        (was.metrics != is.metrics, "metrics"),
        (was.threads != is.threads, "threads"),
        (was.token != is.token, "token"),
        (was.state_dir != is.state_dir, "state_dir"),
        (was.tls.listen != is.tls.listen, "tls.listen"),
        (old.buckets != new.buckets, "buckets"),
    ];
    checks.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key).collect()
}

pub fn restart_warning(key: &str) -> Diagnostic {
    Diagnostic::new(Code::NeedsRestart, format!("`{key}` changed, but is read only when multilith starts"))
        .help("everything else of this file is in force; restart multilith for this key")
}
