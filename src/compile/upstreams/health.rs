//! Active checks and passive ejection.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::super::address::host_port;
use super::super::draft::Draft;
use crate::config::{self, Field, HeaderValues};
use crate::diagnostic::Code;
use crate::endpoint::{Eject, Ejection, Health, HealthCheck, HealthRequest};

const DEFAULT_STATUSES: (u16, u16) = (200, 399);

pub(super) fn check(field: &Field<config::Health>, draft: &mut Draft<'_>) -> Option<Health> {
    let given = field.given()?;
    let health = &given.value;
    let connect = health.connect.given().filter(|given| given.value);
    let check = match (&health.path, connect) {
        (Field::Given(path), None) if path.value.starts_with('/') => {
            // Each is looked at before one of them ends it: all mistakes are said.
            let (host, headers) = (host(&health.host, draft), headers(&health.headers, draft));
            let (method, statuses) = (method(&health.method, draft), statuses(health, draft));
            let path = path.value.as_str().into();
            HealthCheck::Http(HealthRequest { method: method?, path, host, headers, statuses: statuses? })
        }
        (Field::Given(path), None) => {
            let help = format!("write `path = \"/{}\"`", path.value);
            draft.say(Code::InvalidValue, path.span.clone(), "a health check's path begins with `/`", "no `/`", help);
            return None;
        }
        (Field::Absent, Some(_)) => {
            without_request(health, draft);
            HealthCheck::Connect
        }
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
    for field in [&health.healthy, &health.unhealthy] {
        if let Some(given) = field.given().filter(|given| given.value == 0) {
            let help = "write it like `healthy = 2, unhealthy = 3`";
            draft.say(Code::OutOfRange, given.span.clone(), "no check would be needed", "must be above 0", help);
        }
    }
    let count = |field: &Field<u32>, default: u32| field.or(default);
    let compiled =
        Health { check, interval, timeout, healthy: count(&health.healthy, 2), unhealthy: count(&health.unhealthy, 3) };
    Some(compiled)
}

/// A check may be repeated at any time, so it must change nothing.
fn method(field: &Field<Method>, draft: &mut Draft<'_>) -> Option<Method> {
    let Some(given) = field.given() else { return Some(Method::GET) };
    let safe = matches!(given.value, Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe {
        let message = format!("a health check with {} may change something each time", given.value);
        let help = "write `method = \"GET\"`, `\"HEAD\"` or `\"OPTIONS\"`";
        draft.say(Code::InvalidValue, given.span.clone(), message, "not a safe method", help);
    }
    safe.then(|| given.value.clone())
}

fn host(field: &Field<HeaderValue>, draft: &mut Draft<'_>) -> Option<HeaderValue> {
    let given = field.given()?;
    let text = given.value.to_str().unwrap_or("");
    if let Err(error) = host_port(text, Some(0)) {
        let at = draft.inside(&given.span, text, error.part);
        draft.say(Code::InvalidValue, at, error.message, "not a host", "write it like `host = \"shop.example\"`");
        return None;
    }
    Some(given.value.clone())
}

fn headers(field: &Field<HeaderValues>, draft: &mut Draft<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let entries = field.get().map(|values| values.0.as_slice()).unwrap_or_default();
    let mut headers = Vec::new();
    for entry in entries {
        let help = match entry.name.as_str() {
            "host" => "write `host = \"shop.example\"` beside `path`",
            "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "content-length"
            | "expect" => "remove it: a check has no body, and a connection of its own",
            _ => {
                headers.push((entry.name.clone(), entry.value.clone()));
                continue;
            }
        };
        let message = format!("`{}` of a health check is written by the proxy itself", entry.name);
        draft.say(Code::InvalidValue, entry.key.clone(), message, "not possible", help);
    }
    headers
}

/// A connection has neither a host nor a status.
fn without_request(health: &config::Health, draft: &mut Draft<'_>) {
    let spans = [health.host.span(), health.headers.span(), health.method.span(), health.statuses.span()];
    for span in spans.into_iter().flatten() {
        let help = "add `path = \"/healthz\"` in place of `connect = true`, or remove it";
        draft.say(Code::UselessSetting, span, "a check by `connect` sends no request", "no effect", help);
    }
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
