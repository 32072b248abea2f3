//! A reload as a difference: routes and upstreams that were added, removed, altered, moved.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::compile::Snapshot;
use crate::diagnostic::{Code, Diagnostic};
use crate::endpoint::UpstreamSpec;
use crate::migration::Policy;
use crate::route::Route;

/// The routes that differ between two files, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub added: Vec<Arc<str>>,
    pub removed: Vec<Arc<str>>,
    pub altered: Vec<Arc<str>>,
    /// Something outside the routes differs.
    pub settings: bool,
    /// The tables in which it does, such as `notify`.
    pub tables: Vec<&'static str>,
}

impl Changes {
    pub fn between(old: &Snapshot, new: &Snapshot) -> Self {
        let before: HashMap<&str, &Route> = old.routes.iter().map(|route| (&*route.name, &**route)).collect();
        let tables = tables(old, new);
        let mut changes = Self { settings: !tables.is_empty(), tables, ..Self::default() };
        let mut stayed = HashSet::new();
        for route in &new.routes {
            match before.get(&*route.name) {
                None => changes.added.push(Arc::clone(&route.name)),
                Some(was) => {
                    stayed.insert(&*route.name);
                    if !is_same(old, was, new, route) {
                        changes.altered.push(Arc::clone(&route.name));
                    }
                }
            }
        }
        let left = old.routes.iter().filter(|was| !stayed.contains(&*was.name));
        changes.removed.extend(left.map(|was| Arc::clone(&was.name)));
        for names in [&mut changes.added, &mut changes.removed, &mut changes.altered] {
            names.sort_unstable();
        }
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
        let tables = self.tables.iter().map(|table| format!("[{table}]")).collect::<Vec<_>>().join(", ");
        match (first, self.settings) {
            (true, true) => write!(f, "no route changed, {tables} did"),
            (true, false) => f.write_str("nothing but comments or order changed"),
            (false, true) => write!(f, "; {tables} changed too"),
            (false, false) => Ok(()),
        }
    }
}

/// Whether a route means the same: upstreams count by name, since their numbers change when another is added.
fn is_same(old: &Snapshot, was: &Route, new: &Snapshot, is: &Route) -> bool {
    let same_names = upstreams(old, &was.policy).eq(upstreams(new, &is.policy));
    same_names && (was == is || was.policy != is.policy && *was == in_numbers_of(&was.policy, is))
}

fn upstreams<'a>(snapshot: &'a Snapshot, policy: &'a Policy) -> impl Iterator<Item = Option<&'a str>> {
    policy.upstreams().map(|id| snapshot.upstreams.get(id.index()).map(|spec| &*spec.name))
}

/// The route with the numbers of another's upstreams, which have the same names.
fn in_numbers_of(other: &Policy, route: &Route) -> Route {
    let mut route = route.clone();
    route.policy.service = route.policy.service.and(other.service);
    for (variant, other) in route.policy.variants.iter_mut().zip(&other.variants) {
        variant.upstream = other.upstream;
    }
    route
}

/// The tables outside the routes that mean something else, as the file calls them.
fn tables(old: &Snapshot, new: &Snapshot) -> Vec<&'static str> {
    // Without `..`: a new field of the snapshot has to say which table it is of.
    let Snapshot {
        sources: _,
        server,
        matching,
        limits,
        logs,
        tracing,
        inventory,
        copy_cpu,
        buckets,
        metrics_otlp,
        pages,
        upstreams,
        monolith_retired,
        routes: _,
        table: _,
        gate_defaults,
        notify,
        events,
        fleet,
    } = old;
    let (monolith, services) = split(upstreams);
    let (new_monolith, new_services) = split(&new.upstreams);
    let checks = [
        (*server != new.server, "server"),
        (*matching != new.matching, "matching"),
        (*limits != new.limits, "limits"),
        (*logs != new.logs, "logs"),
        (*tracing != new.tracing, "tracing"),
        (*inventory != new.inventory, "inventory"),
        (*copy_cpu != new.copy_cpu, "shadow"),
        (*buckets != new.buckets || *metrics_otlp != new.metrics_otlp, "metrics"),
        (*pages != new.pages, "pages"),
        (monolith != new_monolith || *monolith_retired != new.monolith_retired, "monolith"),
        (services != new_services, "services"),
        (*gate_defaults != new.gate_defaults, "gate"),
        (*notify != new.notify, "notify"),
        (*events != new.events, "events"),
        (*fleet != new.fleet, "fleet"),
    ];
    checks.into_iter().filter(|(differs, _)| *differs).map(|(_, table)| table).collect()
}

/// The monolith and the services.
fn split(upstreams: &[Arc<UpstreamSpec>]) -> (&[Arc<UpstreamSpec>], &[Arc<UpstreamSpec>]) {
    upstreams.split_at(upstreams.len().min(1))
}

pub fn restart_warning(key: &str) -> Diagnostic {
    Diagnostic::new(Code::NeedsRestart, format!("`{key}` changed, but is read only when multilith starts"))
        .help("everything else of this file is in force; restart multilith for this key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;

    const FILE: &str = "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.users]\nurl = \"http://127.0.0.1:2\"\n";

    fn snapshot(more: &str) -> Snapshot {
        let compiled = compile(&format!("{FILE}{more}"), "routes.toml", &|_| None);
        compiled.snapshot.expect("the file is right")
    }

    fn names(names: &[Arc<str>]) -> Vec<&str> {
        names.iter().map(|name| &**name).collect()
    }

    const READ: &str = "[routes.read]\npath = \"/u/{id}\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"10%\"\n\
        headers = { accept = { regex = \"json$\" } }\n";
    const LIST: &str = "[routes.list]\npath = \"/u\"\nservice = \"users\"\nstage = \"migrated\"\n";

    #[test]
    fn a_route_counts_as_altered_when_it_means_something_else() {
        let before = snapshot(&format!("{READ}{LIST}"));
        let table = [
            ("nothing but the order", format!("{LIST}{READ}"), vec![]),
            ("the weight", format!("{}{LIST}", READ.replace("10%", "11%")), vec!["read"]),
            ("a condition", format!("{}{LIST}", READ.replace("json$", "json")), vec!["read"]),
            ("the path", format!("{READ}{}", LIST.replace("\"/u\"", "\"/v\"")), vec!["list"]),
            (
                "another service before it, which changes its number",
                format!("[services.a]\nurl = \"http://127.0.0.1:3\"\n{READ}{LIST}"),
                vec![],
            ),
            (
                "another service before it, and a weight",
                format!("[services.a]\nurl = \"http://127.0.0.1:3\"\n{}{LIST}", READ.replace("10%", "11%")),
                vec!["read"],
            ),
            (
                "another service",
                format!("[services.z]\nurl = \"http://127.0.0.1:3\"\n{READ}{}", LIST.replace("users", "z")),
                vec!["list"],
            ),
        ];
        for (what, after, altered) in table {
            let changes = Changes::between(&before, &snapshot(&after));
            assert_eq!(names(&changes.altered), altered, "{what}");
            assert!(changes.added.is_empty() && changes.removed.is_empty(), "{what}");
        }
    }

    #[test]
    fn routes_that_come_and_go_are_named_in_order() {
        let before = snapshot(&format!("{READ}{LIST}"));
        let after = snapshot(&READ.replace("routes.read", "routes.b").replace("/u/", "/b/"));
        let changes = Changes::between(&before, &after);
        assert_eq!((names(&changes.added), names(&changes.removed)), (vec!["b"], vec!["list", "read"]));
        assert!(!changes.settings);
    }
    #[test]
    fn tables_outside_the_routes_are_named() {
        let hook = "[notify.ops]\nurl = \"http://127.0.0.1:9/a\"\nformat = \"json\"\n";
        let before = snapshot(&format!("{READ}{LIST}{hook}"));
        let table = [
            ("nothing", format!("{READ}{LIST}{hook}"), vec![], "nothing but comments or order changed"),
            // Where the secret goes is never printed, and counts.
            (
                "the secret in a URL",
                format!("{READ}{LIST}{}", hook.replace("/a", "/b")),
                vec!["notify"],
                "no route changed, [notify] did",
            ),
            (
                "a gate's default and a limit",
                format!("{READ}{LIST}{hook}[gate]\nmin_requests = 7\n[limits]\nheaders = 7\n"),
                vec!["limits", "gate"],
                "no route changed, [limits], [gate] did",
            ),
            (
                "a service, and a weight",
                format!("{}{LIST}{hook}[services.z]\nurl = \"http://127.0.0.1:3\"\n", READ.replace("10%", "11%")),
                vec!["services"],
                "1 altered (read); [services] changed too",
            ),
        ];
        for (what, after, tables, words) in table {
            let changes = Changes::between(&before, &snapshot(&after));
            assert_eq!(changes.tables, tables, "{what}");
            assert_eq!(changes.settings, !tables.is_empty(), "{what}");
            assert_eq!(changes.to_string(), words, "{what}");
        }
    }
}
