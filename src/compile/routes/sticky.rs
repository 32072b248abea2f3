//! The sources of a client's name. `cookie:multilith_id` is always the last and never in the list.

use http::HeaderName;

use super::super::draft::Draft;
use super::Site;
use crate::config::{Condition, Item};
use crate::diagnostic::{Code, nearest};
use crate::migration::{ISSUED_COOKIE, UnitSource};

/// Cookies that widely used frameworks replace when a user logs in or out.
const SESSION_COOKIES: [&str; 14] = [
    "sessionid",
    "phpsessid",
    "jsessionid",
    "connect.sid",
    "asp.net_sessionid",
    "laravel_session",
    "_session_id",
    "session",
    "session_id",
    "sid",
    "rack.session",
    "ci_session",
    "cfid",
    "csrftoken",
];

/// Headers that are taken off a request before it is routed, or that belong to one connection.
const REMOVED_HEADERS: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-multilith-shadow",
];

pub(super) fn compile(site: Site<'_>, draft: &mut Draft<'_>) -> Vec<UnitSource> {
    let items = site.route.sticky.get().map(|list| list.0.as_slice()).unwrap_or_default();
    let mut units: Vec<UnitSource> = Vec::with_capacity(items.len());
    let last = items.len().saturating_sub(1);
    for (index, item) in items.iter().enumerate() {
        let Some(unit) = read(item, draft) else { continue };
        if units.contains(&unit) {
            let message = format!("the unit `{unit}` is given twice");
            draft.say(Code::DuplicateValue, item.span.clone(), message, "again", "remove one of the two");
            continue;
        }
        if units.contains(&UnitSource::Ip) {
            draft.say(
                Code::UnitNeverPresent,
                item.span.clone(),
                format!("the unit `{unit}` is never looked at: `ip`, before it, is always present"),
                "never looked at",
                format!("put `ip` last, or remove `{unit}`"),
            );
        }
        if matches!(&unit, UnitSource::Cookie(name) if &**name == ISSUED_COOKIE) {
            if index != last {
                draft.say(
                    Code::UselessSetting,
                    item.span.clone(),
                    format!("`cookie:{ISSUED_COOKIE}` is always the last unit"),
                    "no effect here",
                    "remove it",
                );
            }
            continue;
        }
        check_presence(site, &unit, item, draft);
        check_login(&unit, item, draft);
        units.push(unit);
    }
    units
}

fn read(item: &Item<String>, draft: &mut Draft<'_>) -> Option<UnitSource> {
    let text = item.value.as_str();
    let unit = match text.split_once(':') {
        None if text == "ip" => Some(UnitSource::Ip),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).ok().map(UnitSource::Header),
        Some(("cookie", name)) if is_token(name) => Some(UnitSource::Cookie(name.into())),
        Some(("jwt", name)) if !name.is_empty() => Some(UnitSource::Jwt(name.into())),
        Some(("query", name)) if !name.is_empty() => Some(UnitSource::Query(name.into())),
        _ => None,
    };
    if unit.is_none() {
        let kind = text.split_once(':').map_or(text, |(kind, _)| kind);
        let name = text.split_once(':').map_or("", |(_, name)| name);
        let near = nearest(kind, ["header", "cookie", "jwt", "query", "ip"]).filter(|near| *near != kind);
        let help = match near {
            Some("ip") => "did you mean `ip`?".to_owned(),
            Some(near) if !name.is_empty() => format!("did you mean `{near}:{name}`?"),
            _ => "units are `header:NAME`, `cookie:NAME`, `jwt:CLAIM`, `query:NAME` and `ip`".to_owned(),
        };
        draft.say(Code::InvalidUnit, item.span.clone(), format!("`{text}` does not name a unit"), "not a unit", help);
    }
    unit
}

/// Cookie names are tokens, as header names are.
fn is_token(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}

fn check_presence(site: Site<'_>, unit: &UnitSource, item: &Item<String>, draft: &mut Draft<'_>) {
    let route = site.route;
    let (conditions, name, folded) = match unit {
        UnitSource::Header(name) if REMOVED_HEADERS.contains(&name.as_str()) => {
            draft.say(
                Code::UnitNeverPresent,
                item.span.clone(),
                format!("the header `{name}` is never the client's: it is removed from every request"),
                "never present",
                "name another header, or remove it from the list",
            );
            return;
        }
        UnitSource::Header(name) => (&route.headers, name.as_str(), true),
        UnitSource::Cookie(name) => (&route.cookies, &**name, false),
        UnitSource::Query(name) => (&route.query, &**name, false),
        UnitSource::Jwt(_) | UnitSource::Ip => return,
    };
    let entries = conditions.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    let same = |other: &str| if folded { other.eq_ignore_ascii_case(name) } else { other == name };
    if entries.iter().any(|entry| matches!(entry.value, Condition::Absent) && same(&entry.name)) {
        draft.say(
            Code::UnitNeverPresent,
            item.span.clone(),
            format!("the unit `{unit}` is never present: the route takes only requests without it"),
            "never present",
            "remove it from the list, or the condition `{ absent = true }` from the route",
        );
    }
}

fn check_login(unit: &UnitSource, item: &Item<String>, draft: &mut Draft<'_>) {
    let (what, help) = match unit {
        UnitSource::Cookie(name) if SESSION_COOKIES.contains(&name.to_ascii_lowercase().as_str()) => (
            format!("the cookie `{name}` is usually another one after login: a client may change sides then"),
            format!(
                "put what names the user first, such as `\"jwt:sub\"`, or remove it: without it, `{ISSUED_COOKIE}` is used"
            ),
        ),
        UnitSource::Header(name) if matches!(name.as_str(), "authorization" | "cookie") => (
            format!("the header `{name}` changes during a session: a client may change sides then"),
            if name.as_str() == "cookie" {
                "name one cookie, as in `\"cookie:uid\"`".to_owned()
            } else {
                "name a claim of the token, as in `\"jwt:sub\"`".to_owned()
            },
        ),
        _ => return,
    };
    draft.say(Code::UnitChangesAtLogin, item.span.clone(), what, "changes at login", help);
}
