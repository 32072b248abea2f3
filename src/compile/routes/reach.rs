//! Routes that no request can reach, as far as that can be told at little cost.
//!
//! Between routes whose hosts, paths and numbers of conditions are equally specific, `priority` decides; the one below is
//! out of reach if the one above takes all that it takes. Other overlaps leave something to both.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::draft::Draft;
use crate::config::{self, Entry};
use crate::diagnostic::{Code, Diagnostic};
use crate::route::{Condition, ConditionKind, HostPattern, Route};

pub(super) fn check(written: &[&Entry<config::Route>], routes: &[Arc<Route>], draft: &mut Draft<'_>) {
    // Most routes have no priority of their own, and then nothing can be hidden.
    let mut above: HashMap<Key, Vec<usize>> = HashMap::new();
    for (index, route) in routes.iter().enumerate().filter(|(_, route)| route.rule.priority != 0) {
        for key in keys(route) {
            above.entry(key).or_default().push(index);
        }
    }
    for (index, route) in routes.iter().enumerate().filter(|_| !above.is_empty()) {
        let mut hidden_by = None;
        let hidden = keys(route).all(|key| {
            let others = above.get(&key).map(Vec::as_slice).unwrap_or_default();
            let found = others.iter().find(|other| hides(&routes[**other], route));
            hidden_by = hidden_by.or(found.copied());
            found.is_some()
        });
        // Routes below 0 hide nothing above them, but routes at 0 hide those.
        let by = if hidden { hidden_by } else { None };
        if let Some(other) = by {
            report(written[other], written[index], draft);
        }
    }
    check_below_zero(written, routes, draft);
}

/// What must be equal before priority decides.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    host: HostPattern,
    /// The template with its parameters' names left out.
    path: String,
    conditions: Vec<String>,
}

fn keys(route: &Route) -> impl Iterator<Item = Key> {
    let rule = &route.rule;
    let mut conditions: Vec<String> = Vec::new();
    for (kind, list) in [("header", &rule.headers), ("cookie", &rule.cookies), ("query", &rule.query)] {
        conditions.extend(list.iter().map(|condition| written(kind, condition)));
    }
    conditions.sort();
    rule.paths.iter().map(move |path| Key {
        host: rule.host.clone(),
        path: shape(path.as_str()),
        conditions: conditions.clone(),
    })
}

fn written(kind: &str, condition: &Condition) -> String {
    let name = &condition.name;
    match &condition.kind {
        ConditionKind::Equal(value) => format!("{kind} {name} = {value}"),
        ConditionKind::Present => format!("{kind} {name} present"),
        ConditionKind::Absent => format!("{kind} {name} absent"),
        ConditionKind::Regex(regex) => format!("{kind} {name} ~ {regex}"),
    }
}

fn shape(template: &str) -> String {
    let mut shape = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        shape.push_str(literal);
        shape.push_str(if after.starts_with('*') { "{*}" } else { "{}" });
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    shape.push_str(rest);
    shape
}

/// `other` wins over `route` on every request that they share under one key, and takes all of its methods.
fn hides(other: &Route, route: &Route) -> bool {
    if other.rule.priority <= route.rule.priority {
        return false;
    }
    match (&other.rule.methods, &route.rule.methods) {
        (None, None) => true,
        (Some(other), Some(route)) => {
            !route.is_all()
                && route
                    .names()
                    .iter()
                    .all(|name| http::Method::from_bytes(name.as_bytes()).is_ok_and(|method| other.contains(&method)))
        }
        // Naming methods comes before priority: the two are not compared by it.
        _ => false,
    }
}

fn check_below_zero(written: &[&Entry<config::Route>], routes: &[Arc<Route>], draft: &mut Draft<'_>) {
    let mut at_zero: HashMap<Key, usize> = HashMap::new();
    if routes.iter().all(|route| route.rule.priority >= 0) {
        return;
    }
    for (index, route) in routes.iter().enumerate().filter(|(_, route)| route.rule.priority == 0) {
        at_zero.extend(keys(route).map(|key| (key, index)));
    }
    for (index, route) in routes.iter().enumerate().filter(|(_, route)| route.rule.priority < 0) {
        let found: Option<Vec<usize>> =
            keys(route).map(|key| at_zero.get(&key).copied().filter(|other| hides(&routes[*other], route))).collect();
        if let Some(other) = found.and_then(|found| found.first().copied()) {
            report(written[other], written[index], draft);
        }
    }
}

fn report(above: &Entry<config::Route>, below: &Entry<config::Route>, draft: &mut Draft<'_>) {
    let place = |entry: &Entry<config::Route>| entry.value.path.span().unwrap_or_else(|| entry.key.clone());
    draft.push(
        Diagnostic::new(
            Code::UnreachableRoute,
            format!("no request reaches `{}`: `{}` takes them all by its priority", below.name, above.name),
        )
        .at(place(below))
        .label("never reached")
        .related(place(above), format!("`{}` takes them", above.name))
        .help(format!("remove `{}`, or give it a condition that `{}` lacks", below.name, above.name)),
    );
}
