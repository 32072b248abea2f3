//! Warns of a route with conditions and a path that ends openly, from which a longer path of another route takes requests: the
//! path is looked at before headers, cookies and queries.

use std::sync::Arc;

use super::super::draft::Draft;
use crate::compile::Route;
use crate::config::{self, NamedEntry};
use crate::diagnostic::{Code, Diagnostic};
use crate::route::{Rule, Segment, Template};

/// Pairs of routes that are looked at: the work stays bounded in a file of thousands.
const MOST_PAIRS: usize = 1_000_000;
/// Paths that one warning names.
const SHOWN: usize = 4;

pub(super) fn check(written: &[&NamedEntry<config::Route>], routes: &[Arc<Route>], draft: &mut Draft<'_>) {
    let mut left = MOST_PAIRS;
    for (route, entry) in routes.iter().zip(written).filter(|(route, _)| conditions(&route.rule) > 0) {
        let Some(pairs) = left.checked_sub(routes.len()) else { return };
        left = pairs;
        let taken = routes.iter().zip(written).filter_map(|(other, by)| Some((*by, path_taken(route, other)?)));
        let taken: Vec<_> = taken.collect();
        if !taken.is_empty() {
            report(entry, &taken, draft);
        }
    }
}

/// The path of the other route under which requests that meet this one's conditions go to the other.
fn path_taken<'a>(route: &Route, other: &'a Route) -> Option<&'a Template> {
    let same_end = route.policy.dial == other.policy.dial && route.policy.service == other.policy.service;
    if same_end || Arc::ptr_eq(&route.name, &other.name) || conditions(&other.rule) > 0 {
        return None;
    }
    // Said in the file: it changes nothing, for the path decides, but it is meant so.
    if other.rule.priority > route.rule.priority {
        return None;
    }
    // Between different hosts the more specific host wins, whatever the path.
    if route.rule.host != other.rule.host || route.rule.excludes(&other.rule) {
        return None;
    }
    let longer = |theirs: &&Template| {
        let (theirs, own) = (theirs.segments(), &route.rule.paths);
        own.iter().any(|own| ends_open(own) && own.segments() != theirs && covers(own.segments(), theirs))
            && !own.iter().any(|own| own.segments() == theirs)
    };
    other.rule.paths.iter().find(longer)
}

/// `/api/{*rest}` looks as if it took everything below. That `/users/me` comes before `/users/{id}` is what people expect.
pub(super) fn ends_open(template: &Template) -> bool {
    matches!(template.segments().last(), Some(Segment::Rest(_)))
}

/// Every path that the one takes, the other takes as well, and is less specific about.
pub(super) fn covers(own: &[Segment], theirs: &[Segment]) -> bool {
    match (own.split_first(), theirs.split_first()) {
        (None, None) => true,
        (Some((Segment::Rest(_), _)), _) => !matches!(theirs, [Segment::Rest(_)]),
        (Some((own, rest)), Some((other, others))) => takes(own, other) && covers(rest, others),
        _ => false,
    }
}

/// Whether one segment takes whatever the other does.
pub(super) fn takes(own: &Segment, other: &Segment) -> bool {
    match (own, other) {
        (Segment::Literal(own), Segment::Literal(other)) => own == other,
        (Segment::Parameter(own), Segment::Literal(other)) => {
            own.prefix.is_empty() && own.suffix.is_empty() && !other.is_empty()
        }
        (Segment::Parameter(own), Segment::Parameter(other)) => {
            (own.prefix.is_empty() && own.suffix.is_empty())
                || (&own.prefix, &own.suffix) == (&other.prefix, &other.suffix)
        }
        _ => false,
    }
}

pub(super) fn conditions(rule: &Rule) -> usize {
    rule.conditions.len()
}

/// One warning names all that take some: a remedy for the first alone would leave the next.
fn report(route: &NamedEntry<config::Route>, taken: &[(&NamedEntry<config::Route>, &Template)], draft: &mut Draft<'_>) {
    let place = |entry: &NamedEntry<config::Route>, text: Option<&str>| {
        let paths = entry.value.path.get().map(|paths| paths.0.as_slice()).unwrap_or_default();
        let item = paths.iter().find(|item| text.is_none_or(|text| item.value == text)).or(paths.first());
        item.map_or_else(|| entry.key.clone(), |item| item.span.clone())
    };
    let name = &route.name;
    let shown = &taken[..taken.len().min(SHOWN)];
    let go: Vec<_> = shown.iter().map(|(by, path)| format!("to `{}` go to `{}`", path.as_str(), by.name)).collect();
    let more = match taken.len() - shown.len() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let message = format!("requests {}{more} also where the conditions of `{name}` hold", go.join(", "));
    let mut found = Diagnostic::new(Code::TakenByLongerPath, message)
        .at(place(route, None))
        .label("a more specific path comes before conditions");
    for (by, path) in shown {
        found = found.related(place(by, Some(path.as_str())), format!("`{}`", by.name));
    }
    let paths: Vec<_> = shown.iter().map(|(_, path)| format!("\"{}\"", path.as_str())).collect();
    let others: Vec<_> = shown.iter().map(|(by, _)| format!("`{}`", by.name)).collect();
    draft.push(found.help(format!(
        "if they are meant for `{name}`, add `{}` to its `path`; if it is meant so, `priority = 1` in {} says it",
        paths.join(", "),
        others.join(" and ")
    )));
}
