//! Routes of one cohort put a client on one side: for that they must agree.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::draft::Draft;
use crate::compile::Route;
use crate::config::{self, NamedEntry};
use crate::diagnostic::{Code, Diagnostic, Span};

pub(super) fn check(written: &[&NamedEntry<config::Route>], routes: &[Arc<Route>], draft: &mut Draft<'_>) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (index, route) in routes.iter().enumerate() {
        // Only routes that divide their clients can disagree.
        if !route.policy.dial.stage.divides() {
            continue;
        }
        let before = *first.entry(&route.policy.cohort).or_insert(index);
        if before != index {
            compare((written[before], &routes[before]), (written[index], route), draft);
        }
    }
}

type Member<'a> = (&'a NamedEntry<config::Route>, &'a Route);

fn compare(one: Member<'_>, other: Member<'_>, draft: &mut Draft<'_>) {
    let (a, b) = (&one.1.policy, &other.1.policy);
    if a.sticky != b.sticky {
        let place = |member: Member<'_>| member.0.value.sticky.span().unwrap_or_else(|| member.0.key.clone());
        let message = format!("`{}` and `{}` share a cohort but not their units", one.0.name, other.0.name);
        differs(
            message,
            place(one),
            place(other),
            "give both the same `sticky`: else one client may be on two sides",
            draft,
        );
    }
    let shares = |policy: &crate::migration::Policy| -> Vec<_> {
        let variants = policy.variants.iter().map(|variant| (variant.name.clone(), variant.weight));
        variants.chain([("".into(), policy.dial.weight)]).collect()
    };
    if a.dial.stage != b.dial.stage || shares(a) != shares(b) {
        let place = |member: Member<'_>| {
            let route = &member.0.value;
            route.weight.span().or_else(|| route.variants.key()).unwrap_or_else(|| member.0.key.clone())
        };
        let message = format!("`{}` and `{}` share a cohort but not their weights", one.0.name, other.0.name);
        let help = "give both the same weight: clients between the two are on one side here and on the other there";
        differs(message, place(one), place(other), help, draft);
    }
}

fn differs(message: String, first: Span, second: Span, help: &str, draft: &mut Draft<'_>) {
    draft.push(
        Diagnostic::new(Code::CohortDiffers, message)
            .at(second)
            .label("differs")
            .related(first, "from this")
            .help(help),
    );
}
