//! Two compiled files as a difference: routes that were added, removed, altered, by which keys, and the tables beside them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::snapshot::Snapshot;
use crate::compile::Route;
use crate::endpoint::{Timeouts, UpstreamId, UpstreamSpec};
use crate::migration::{Fallback, Policy, Variant};
use crate::route::{ConditionOn, IdentityRules, Rule};

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
                    if !altered_keys((old, was), (new, route)).is_empty() {
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

/// The keys of a route that mean something else, as the file calls them. Upstreams count by name, since their numbers change when
/// another is added.
#[must_use]
pub fn altered_keys((old, was): (&Snapshot, &Route), (new, is): (&Snapshot, &Route)) -> Vec<&'static str> {
    // Without `..`: a new field of a route has to say which key it is of.
    let Route {
        name: _,
        rule,
        policy,
        rewrite,
        answer,
        body_limit,
        buffer,
        timeouts,
        redirect,
        call,
        allow,
        fault,
        rate_limit,
        jwt,
        identity,
    } = was;
    let mut keys = altered_in_rule(rule, &is.rule);
    keys.extend(altered_in_policy((old, policy), (new, &is.policy)));
    let checks = [
        (*rewrite != is.rewrite, "rewrite"),
        (*answer != is.answer, "answer"),
        (*body_limit != is.body_limit, "body_limit"),
        (*buffer != is.buffer, "buffer"),
        (*timeouts != is.timeouts, "timeouts"),
        (*redirect != is.redirect, "redirect"),
        (*call != is.call, "call"),
        (*allow != is.allow, "allow"),
        (*fault != is.fault, "fault"),
        (*rate_limit != is.rate_limit, "rate_limit"),
        (*jwt != is.jwt, "auth.jwt"),
    ];
    keys.extend(those_that_differ(checks));
    let IdentityRules { forward, exchange, for_copies, reserved } = identity;
    let checks = [
        (*forward != is.identity.forward, "auth.forward"),
        (*exchange != is.identity.exchange, "auth.exchange"),
        (*for_copies != is.identity.for_copies, "shadow.credentials"),
    ];
    keys.extend(those_that_differ(checks));
    let is_own = keys.iter().any(|key| key.starts_with("auth.") || *key == "shadow.credentials");
    keys.extend((*reserved != is.identity.reserved && !is_own).then_some("auth of another route"));
    keys
}

fn altered_in_rule(was: &Rule, is: &Rule) -> Vec<&'static str> {
    let Rule { host, paths, methods, conditions: _, priority } = was;
    let differ = |on: &ConditionOn| !was.conditions_on(*on).eq(is.conditions_on(*on));
    let mut keys: Vec<_> = those_that_differ([
        (*host != is.host, "host"),
        (*paths != is.paths, "path"),
        (*methods != is.methods, "methods"),
    ])
    .collect();
    keys.extend(ConditionOn::ALL.into_iter().filter(differ).map(ConditionOn::key));
    keys.extend((*priority != is.priority).then_some("priority"));
    keys
}

fn altered_in_policy((old, was): (&Snapshot, &Policy), (new, is): (&Snapshot, &Policy)) -> Vec<&'static str> {
    let Policy {
        dial,
        service,
        variants,
        sticky,
        issue_cookie,
        cohort,
        pin,
        fallback,
        shadow,
        safe_calls,
        balanced_by_unit,
        shared_cache,
        gate,
    } = was;
    let name =
        |snapshot: &Snapshot, id: UpstreamId| snapshot.upstreams.get(id.index()).map(|spec| Arc::clone(&spec.name));
    let same_service = service.map(|id| name(old, id)) == is.service.map(|id| name(new, id));
    let variant = |snapshot: &Snapshot, variant: &Variant| {
        let Variant { name: own, upstream, weight, headers } = variant.clone();
        (own, name(snapshot, upstream), weight, headers)
    };
    let same_variants =
        variants.iter().map(|own| variant(old, own)).eq(is.variants.iter().map(|other| variant(new, other)));
    let (same_fallback, same_breaker) = match (fallback, &is.fallback) {
        (Some(was), Some(is)) => {
            let Fallback { methods, statuses, breaker_failures, breaker_open } = was;
            (
                *methods == is.methods && *statuses == is.statuses,
                (breaker_failures, breaker_open) == (&is.breaker_failures, &is.breaker_open),
            )
        }
        (was, is) => (was.is_some() == is.is_some(), true),
    };
    those_that_differ([
        (dial.stage != is.dial.stage, "stage"),
        (dial.weight != is.dial.weight && dial.stage == is.dial.stage, "weight"),
        (!same_service, "service"),
        (!same_variants, "variants"),
        (*sticky != is.sticky, "sticky"),
        (*issue_cookie != is.issue_cookie, "issue_cookie"),
        (*cohort != is.cohort, "cohort"),
        (*pin != is.pin, "pin"),
        (!same_fallback, "fallback"),
        (!same_breaker, "breaker"),
        (*shadow != is.shadow, "shadow"),
        (*safe_calls != is.safe_calls, "safe_methods"),
        (*balanced_by_unit != is.balanced_by_unit && same_service && same_variants, "balance of its service"),
        (*shared_cache != is.shared_cache, "shared_cache"),
        (*gate != is.gate, "gate"),
    ])
    .collect()
}

fn those_that_differ<const N: usize>(checks: [(bool, &'static str); N]) -> impl Iterator<Item = &'static str> {
    checks.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key)
}

/// The tables outside the routes that mean something else, as the file calls them.
fn tables(old: &Snapshot, new: &Snapshot) -> Vec<&'static str> {
    // Without `..`: a new field of the snapshot has to say which table it is of.
    let Snapshot {
        sources: _,
        server,
        matching,
        limits,
        timeouts,
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
    let others = |was: &[Arc<UpstreamSpec>], is: &[Arc<UpstreamSpec>]| {
        was.len() != is.len() || was.iter().zip(is).any(|(was, is)| is_another((old, was), (new, is)))
    };
    let checks = [
        (*server != new.server, "server"),
        (*matching != new.matching, "matching"),
        (*limits != new.limits, "limits"),
        (*timeouts != new.timeouts, "timeouts"),
        (*logs != new.logs, "logs"),
        (*tracing != new.tracing, "tracing"),
        (*inventory != new.inventory, "inventory"),
        (*copy_cpu != new.copy_cpu, "shadow"),
        (*buckets != new.buckets || *metrics_otlp != new.metrics_otlp, "metrics"),
        (*pages != new.pages, "pages"),
        (others(monolith, new_monolith) || *monolith_retired != new.monolith_retired, "monolith"),
        (others(services, new_services), "services"),
        (*gate_defaults != new.gate_defaults, "gate"),
        (*notify != new.notify, "notify"),
        (*events != new.events, "events"),
        (*fleet != new.fleet, "fleet"),
    ];
    those_that_differ(checks).collect()
}

/// Whether its own table makes an upstream another. Changes that it takes from `[timeouts]` are told once, of that table.
#[must_use]
pub fn is_another((old, was): (&Snapshot, &UpstreamSpec), (new, is): (&Snapshot, &UpstreamSpec)) -> bool {
    was != is
        && (has_other_timeouts((old, was), (new, is)) || UpstreamSpec { timeouts: is.timeouts, ..was.clone() } != *is)
}

/// The same of its `timeouts` alone.
#[must_use]
pub fn has_other_timeouts((old, was): (&Snapshot, &UpstreamSpec), (new, is): (&Snapshot, &UpstreamSpec)) -> bool {
    let differs = |of: fn(&Timeouts) -> Option<Duration>| {
        let own = (of(&was.timeouts), of(&is.timeouts));
        own.0 != own.1 && own != (of(&old.timeouts), of(&new.timeouts))
    };
    differs(|times| times.connect)
        || differs(|times| times.answer)
        || differs(|times| times.idle)
        || differs(|times| times.total)
}

/// The monolith and the services.
fn split(upstreams: &[Arc<UpstreamSpec>]) -> (&[Arc<UpstreamSpec>], &[Arc<UpstreamSpec>]) {
    upstreams.split_at(upstreams.len().min(1))
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
    fn the_keys_that_mean_something_else_are_named() {
        let with = |more: &str| snapshot(&format!("{READ}{more}{LIST}"));
        let before = with("");
        for (more, keys) in [
            ("", vec![]),
            ("allow = [\"10.9.0.0/16\"]\ntimeouts = { answer = \"1s\" }\n", vec!["timeouts", "allow"]),
            ("fault = { share = \"1%\", status = 503 }\n", vec!["fault"]),
            ("auth.forward = { url = \"http://127.0.0.1:4/who\" }\n", vec!["auth.forward"]),
            ("breaker = { failures = 9 }\nissue_cookie = false\n", vec!["issue_cookie", "breaker"]),
            ("gate = {}\npin = \"1m\"\nshared_cache = true\n", vec!["pin", "shared_cache", "gate"]),
        ] {
            let after = with(more);
            let route = |snapshot: &Snapshot| {
                Arc::clone(snapshot.routes.iter().find(|route| &*route.name == "read").expect("it is there"))
            };
            assert_eq!(altered_keys((&before, &route(&before)), (&after, &route(&after))), keys, "{more}");
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
                "the times of every upstream, which are told of the table",
                format!("{READ}{LIST}{hook}[timeouts]\nanswer = \"9s\"\n"),
                vec!["timeouts"],
                "no route changed, [timeouts] did",
            ),
            (
                "the same, and the times of one",
                format!("timeouts = {{ idle = \"8s\" }}\n{READ}{LIST}{hook}[timeouts]\nanswer = \"9s\"\n"),
                vec!["timeouts", "services"],
                "no route changed, [timeouts], [services] did",
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
