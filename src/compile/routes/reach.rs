//! Routes that no request can reach, as far as that can be told at little cost.
//!
//! Only routes of one host and one path are looked at, for elsewhere the more specific path wins. There a route is out of
//! reach if others that win over it take, method by method, all that it takes: those with conditions that its own imply and
//! a higher `priority`, and pairs that ask one more value to be present and to be absent.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use super::super::draft::Draft;
use crate::compile::Route;
use crate::config::{self, NamedEntry};
use crate::diagnostic::{Code, Diagnostic};
use crate::route::{Condition, ConditionKind, ConditionOn, HostPattern, MethodSet, Rule};

/// Of routes that might hide one, no more are looked at: the work stays linear in a file of thousands.
const FEW: usize = 64;

pub(super) fn check(written: &[&NamedEntry<config::Route>], routes: &[Arc<Route>], draft: &mut Draft<'_>) {
    let overviews: Vec<_> = routes.iter().map(|route| Overview::of(&route.rule)).collect();
    let index = Index::of(routes, &overviews);
    for (at, route) in routes.iter().enumerate() {
        let mut hiding = Vec::new();
        let hidden = places(&route.rule).all(|place| match index.hiding(at, &place, routes, &overviews) {
            Some(found) => {
                hiding.extend(found);
                true
            }
            None => false,
        });
        if hidden {
            hiding.sort_unstable();
            hiding.dedup();
            let others: Vec<_> = hiding.iter().map(|other| written[*other]).collect();
            report(&others, written[at], "", draft);
        }
    }
}

/// One host with one template, its parameters' names left out.
type Place = (HostPattern, String);

/// The conditions of a rule in one order.
struct Overview<'a> {
    asked: Vec<&'a Condition>,
}

impl<'a> Overview<'a> {
    fn of(rule: &'a Rule) -> Self {
        let mut asked: Vec<_> = rule.conditions.iter().collect();
        asked.sort_by_key(|condition| (condition.on, &condition.name));
        Self { asked }
    }

    /// The fields of the conditions, but for one; with the values where all are to be equal to something, for then only a rule with the
    /// same conditions can imply it.
    fn key(&self, but: Option<usize>, exact: bool) -> String {
        let asked = self.asked.iter().enumerate().filter(|(at, _)| Some(*at) != but);
        let written = asked.map(|(_, Condition { on, name, kind })| match kind {
            ConditionKind::Equal(value) if exact => format!("{on} {name:?} {value:?}\n"),
            _ => format!("{on} {name:?}\n"),
        });
        written.collect()
    }

    fn is_exact(&self) -> bool {
        self.asked.iter().all(|condition| matches!(condition.kind, ConditionKind::Equal(_)))
    }

    /// Every request that meets this meets the other but for one; both ask of the same fields.
    fn implies(&self, other: &Self, but: Option<usize>) -> bool {
        let rest = other.asked.iter().enumerate().filter(|(at, _)| Some(*at) != but);
        self.asked.iter().zip(rest).all(|(own, (_, other))| implies(&own.kind, &other.kind))
    }
}

fn implies(own: &ConditionKind, other: &ConditionKind) -> bool {
    match (own, other) {
        (ConditionKind::Equal(own), ConditionKind::Equal(other)) => own == other,
        (ConditionKind::Equal(_) | ConditionKind::Present | ConditionKind::Regex(_), ConditionKind::Present)
        | (ConditionKind::Absent, ConditionKind::Absent) => true,
        (ConditionKind::Regex(own), ConditionKind::Regex(other)) => own.to_string() == other.to_string(),
        _ => false,
    }
}

/// Which route may hide which.
#[derive(Default)]
struct Index {
    /// Routes by what they ask.
    whole: HashMap<(Place, String, bool), Vec<usize>>,
    /// Routes that ask one more value to be present or absent, by what they ask beside it; with the place of that one.
    halves: HashMap<(Place, String), Vec<(usize, usize)>>,
}

impl Index {
    fn of(routes: &[Arc<Route>], overviews: &[Overview<'_>]) -> Self {
        let mut index = Self::default();
        for (at, (route, overview)) in routes.iter().zip(overviews).enumerate() {
            let exact = overview.is_exact();
            let key = overview.key(None, exact);
            for place in places(&route.rule) {
                index.whole.entry((place.clone(), key.clone(), exact)).or_default().push(at);
                for (half, condition) in overview.asked.iter().enumerate() {
                    if matches!(condition.kind, ConditionKind::Present | ConditionKind::Absent) {
                        let beside = overview.key(Some(half), false);
                        index.halves.entry((place.clone(), beside)).or_default().push((at, half));
                    }
                }
            }
        }
        // Of many the first in rank are the likeliest to hide others.
        for list in index.whole.values_mut() {
            list.sort_by_key(|at| std::cmp::Reverse(routes[*at].rule.priority));
        }
        index
    }

    /// The routes that take all that this one would take at this place.
    fn hiding(
        &self,
        at: usize,
        place: &Place,
        routes: &[Arc<Route>],
        overviews: &[Overview<'_>],
    ) -> Option<Vec<usize>> {
        let (rule, overview) = (&routes[at].rule, &overviews[at]);
        let mut found = Vec::new();
        for exact in [true, false] {
            let key = (place.clone(), overview.key(None, exact), exact);
            let others = self.whole.get(&key).map(Vec::as_slice).unwrap_or_default().iter().take(FEW);
            let above = others.filter(|other| routes[**other].rule.priority > rule.priority);
            found.extend(above.filter(|other| overview.implies(&overviews[**other], None)).map(|other| (*other, None)));
        }
        let key = (place.clone(), overview.key(None, false));
        let halves = self.halves.get(&key).map(Vec::as_slice).unwrap_or_default().iter().take(FEW);
        found.extend(
            halves
                .filter(|(other, half)| overview.implies(&overviews[*other], Some(*half)))
                .map(|(other, half)| (*other, Some(*half))),
        );
        let one = |method: Option<&Method>| {
            let takes = |other: usize| takes(&routes[other].rule, method);
            let whole = found.iter().find(|(other, half)| half.is_none() && takes(*other));
            whole.map(|(other, _)| vec![*other]).or_else(|| {
                let halves = found.iter().filter_map(|(other, half)| {
                    let Condition { on, name, kind } = overviews[*other].asked[(*half)?];
                    takes(*other).then_some((*other, (*on, &**name), kind))
                });
                pair(&halves.collect::<Vec<_>>())
            })
        };
        match &rule.methods {
            Some(methods) if !methods.is_all() => {
                let named: Vec<_> = methods.names().into_iter().map(str::to_owned).collect();
                let each = named.iter().map(|name| one(Method::from_bytes(name.as_bytes()).ok().as_ref()));
                Some(each.collect::<Option<Vec<_>>>()?.concat())
            }
            // Naming methods comes first in rank, and no list of them has all.
            methods => {
                if methods.is_none() {
                    one(None)
                } else {
                    None
                }
            }
        }
    }
}

/// A route with the one more value that it asks of, and how.
type Half<'a> = (usize, (ConditionOn, &'a str), &'a ConditionKind);

/// One that asks for presence and one that asks for absence of the same.
fn pair(halves: &[Half<'_>]) -> Option<Vec<usize>> {
    let asks = |wanted: fn(&ConditionKind) -> bool| halves.iter().filter(move |(_, _, kind)| wanted(kind));
    asks(|kind| matches!(kind, ConditionKind::Present)).find_map(|(present, of, _)| {
        let (absent, ..) = asks(|kind| matches!(kind, ConditionKind::Absent)).find(|(_, other, _)| other == of)?;
        Some(vec![*present, *absent])
    })
}

/// `None` is every method: only a rule that names none takes them, and only it is compared with one that names none.
pub(super) fn takes(rule: &Rule, method: Option<&Method>) -> bool {
    let has = |methods: &MethodSet, method: &Method| {
        methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET))
    };
    match (&rule.methods, method) {
        (None, None) => true,
        (Some(methods), Some(method)) => has(methods, method),
        _ => false,
    }
}

fn places(rule: &Rule) -> impl Iterator<Item = Place> {
    rule.paths.iter().map(|path| (rule.host.clone(), shape(path.as_str())))
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

/// `help`: what to do, where a condition would help it is empty.
pub(super) fn report(
    above: &[&NamedEntry<config::Route>],
    below: &NamedEntry<config::Route>,
    help: &str,
    draft: &mut Draft<'_>,
) {
    let place = |entry: &NamedEntry<config::Route>| entry.value.path.span().unwrap_or_else(|| entry.key.clone());
    let names: Vec<_> = above.iter().map(|entry| format!("`{}`", entry.name)).collect();
    let (take, lack) = if above.len() == 1 { ("takes", "lacks") } else { ("take", "lack") };
    let names = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    };
    let found = Diagnostic::new(
        Code::UnreachableRoute,
        format!("no request reaches `{}`: {names} {take} them all", below.name),
    );
    let found = above.iter().fold(found.at(place(below)).label("never reached"), |found, entry| {
        let some = if above.len() == 1 { "them" } else { "some" };
        found.related(place(entry), format!("`{}` takes {some}", entry.name))
    });
    let condition = || format!("remove `{}`, or give it a condition that {names} {lack}", below.name);
    draft.push(found.help(if help.is_empty() { condition() } else { help.to_owned() }));
}
