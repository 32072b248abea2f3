//! When the monolith answers instead of a service that failed.

use std::time::Duration;

use super::super::draft::Draft;
use super::Site;
use super::service::compiled;
use crate::config::{self, Field, Stage, Switch};
use crate::diagnostic::Code;
use crate::migration::{Fallback, FallsBack, StatusSet};
use crate::route::MethodSet;

/// Where a fallback is switched on elsewhere.
const DEFAULT_STATUSES: [u16; 3] = [502, 503, 504];
/// A canary is a trial: what the service breaks there, the monolith answers.
const CANARY_STATUSES: [u16; 4] = [500, 502, 503, 504];
const DEFAULT_FAILURES: u32 = 5;
const DEFAULT_OPEN: Duration = Duration::from_secs(30);

pub(super) fn compile(site: Site<'_>, stage: Stage, draft: &mut Draft<'_>) -> Option<Fallback> {
    let route = site.route;
    if matches!(stage, Stage::Split | Stage::Retired) {
        unexpected(site, stage, draft);
        return None;
    }
    let table = match route.fallback.get() {
        None if compiled(stage).falls_back() == FallsBack::ByDefault && route.fallback.is_absent() => None,
        None | Some(Switch::Off) => {
            useless_breaker(site, stage, draft);
            return None;
        }
        Some(Switch::On) => None,
        Some(Switch::Table(table)) => Some(&**table),
    };
    let breaker = route.breaker.get().map(|breaker| &**breaker);
    Some(Fallback {
        methods: methods(table),
        statuses: statuses(table, stage, draft),
        breaker_failures: failures(breaker, draft),
        breaker_open: breaker.map_or(DEFAULT_OPEN, |breaker| breaker.open.or(DEFAULT_OPEN)),
    })
}

fn unexpected(site: Site<'_>, stage: Stage, draft: &mut Draft<'_>) {
    if let Some(key) = site.route.fallback.key() {
        let why = match stage {
            Stage::Retired => "the monolith is never asked",
            _ => "each variant answers for itself",
        };
        draft.say(
            Code::UnexpectedFallback,
            key,
            format!("`{}` is in stage `{}`, which has no fallback", site.name(), stage.word()),
            why,
            if stage == Stage::Retired {
                "remove it, or write `stage = \"migrated\"` while the monolith can still answer"
            } else {
                "remove it"
            },
        );
    }
    useless_breaker(site, stage, draft);
}

/// In the stages before a canary the setting waits for what comes.
fn useless_breaker(site: Site<'_>, stage: Stage, draft: &mut Draft<'_>) {
    let Some(key) = site.route.breaker.key() else { return };
    if matches!(stage, Stage::Monolith | Stage::Shadow) {
        return;
    }
    draft.say(
        Code::UselessFallback,
        key,
        format!("the breaker of `{}` has no effect without a fallback", site.name()),
        "no effect",
        if matches!(stage, Stage::Split | Stage::Retired) {
            "remove it"
        } else {
            "add `fallback = true` (the monolith answers for a service that does not, or that answers 502, 503 or 504), or remove it"
        },
    );
}

fn methods(table: Option<&config::Fallback>) -> MethodSet {
    let Some(list) = table.and_then(|table| table.methods.get()) else { return MethodSet::all() };
    let methods: Vec<_> = list.0.iter().map(|item| item.value.clone()).collect();
    let mut set = MethodSet::of(&methods);
    if set.contains(&http::Method::GET) {
        set.insert(http::Method::HEAD);
    }
    set
}

fn statuses(table: Option<&config::Fallback>, stage: Stage, draft: &mut Draft<'_>) -> StatusSet {
    let mut set = StatusSet::default();
    let Some(Field::Given(given)) = table.map(|table| &table.statuses) else {
        let default = if stage == Stage::Canary { &CANARY_STATUSES[..] } else { &DEFAULT_STATUSES };
        for status in default {
            set.insert(*status);
        }
        return set;
    };
    for item in &given.value {
        if !(400..600).contains(&item.value) {
            let message = format!("the answer {} is not a failure", item.value);
            let help =
                "name statuses from 400 to 599; without `statuses` they are 502, 503, 504, and 500 besides in `canary`";
            draft.say(Code::OutOfRange, item.span.clone(), message, "not a failure", help);
        }
        set.insert(item.value);
    }
    set
}

fn failures(breaker: Option<&config::Breaker>, draft: &mut Draft<'_>) -> u32 {
    let Some(given) = breaker.and_then(|breaker| breaker.failures.given()) else { return DEFAULT_FAILURES };
    if given.value == 0 {
        let help = "write it like `breaker = { failures = 5, open = \"30s\" }`";
        draft.say(
            Code::OutOfRange,
            given.span.clone(),
            "a breaker that opens without a failure",
            "must be above 0",
            help,
        );
    }
    given.value
}
