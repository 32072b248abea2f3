//! Active checks and passive ejection.

use std::time::Duration;

use super::super::draft::Draft;
use crate::config::{self, Field};
use crate::diagnostic::Code;
use crate::endpoint::{Eject, Ejection, Health, HealthCheck};

const DEFAULT_STATUSES: (u16, u16) = (200, 399);

pub(super) fn check(field: &Field<config::Health>, draft: &mut Draft<'_>) -> Option<Health> {
    let given = field.given()?;
    let health = &given.value;
    let connect = health.connect.given().filter(|given| given.value);
    let check = match (&health.path, connect) {
        (Field::Given(path), None) if path.value.starts_with('/') => {
            HealthCheck::Http { path: path.value.as_str().into(), statuses: statuses(health, draft)? }
        }
        (Field::Given(path), None) => {
            let help = format!("write `path = \"/{}\"`", path.value);
            draft.say(Code::InvalidValue, path.span.clone(), "a health check's path begins with `/`", "no `/`", help);
            return None;
        }
        (Field::Absent, Some(_)) => HealthCheck::Connect,
        (Field::Wrong, _) => return None,
        _ => {
            draft.say(
                Code::InvalidValue,
                given.span.clone(),
                "a health check needs exactly one of `path` and `connect = true`",
                "one of the two",
                "write `health = { path = \"/healthz\" }` or `health = { connect = true }`",
            );
            return None;
        }
    };
    let interval = health.interval.or(Duration::from_secs(2));
    let timeout = health.timeout.or(Duration::from_secs(1));
    for (field, value) in [(&health.interval, interval), (&health.timeout, timeout)] {
        if let Some(given) = field.given().filter(|_| value.is_zero()) {
            let help = "write it like `interval = \"2s\", timeout = \"1s\"`";
            draft.say(Code::OutOfRange, given.span.clone(), "a health check takes time", "must be above 0", help);
        }
    }
    let count = |field: &Field<u32>, default: u32| field.or(default).max(1);
    let compiled =
        Health { check, interval, timeout, healthy: count(&health.healthy, 2), unhealthy: count(&health.unhealthy, 3) };
    Some(compiled)
}

fn statuses(health: &config::Health, draft: &mut Draft<'_>) -> Option<(u16, u16)> {
    let Some(given) = health.statuses.given() else { return Some(DEFAULT_STATUSES) };
    let numbers: Vec<u16> = given.value.iter().map(|item| item.value).collect();
    match numbers.as_slice() {
        [one] if (100..600).contains(one) => Some((*one, *one)),
        [low, high] if (100..600).contains(low) && (*low..600).contains(high) => Some((*low, *high)),
        _ => {
            draft.say(
                Code::OutOfRange,
                given.span.clone(),
                "`statuses` is the lowest and the highest status that mean healthy",
                "not a range of statuses",
                "write it like `statuses = [200, 299]`",
            );
            None
        }
    }
}

pub(super) fn eject(field: &Field<config::Switch<config::Eject>>, draft: &mut Draft<'_>) -> Eject {
    match field.get() {
        None | Some(config::Switch::On) => Eject::Usual,
        Some(config::Switch::Off) => Eject::Never,
        Some(config::Switch::Table(table)) => Eject::Rule(ejection(table, draft)),
    }
}

fn ejection(eject: &config::Eject, draft: &mut Draft<'_>) -> Ejection {
    const DEFAULT: Ejection = Ejection::DEFAULT;
    let base = eject.base.or(DEFAULT.base);
    let max = eject.max.or(DEFAULT.max.max(base));
    if let Some(given) = eject.max.given().filter(|_| max < base) {
        let help = "write it like `base = \"30s\", max = \"300s\"`";
        draft.say(Code::OutOfRange, given.span.clone(), "`max` is shorter than `base`", "too short", help);
    }
    if let Some(given) = eject.failures.given().filter(|given| given.value == 0) {
        let help = "write it like `failures = 5`; with `eject = false` no endpoint is ejected";
        draft.say(Code::OutOfRange, given.span.clone(), "no failure would eject", "must be above 0", help);
    }
    Ejection { failures: eject.failures.or(DEFAULT.failures), base, max, last: eject.last.or(DEFAULT.last) }
}
