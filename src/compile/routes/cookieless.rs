//! Clients that keep no cookies: where only a cookie says which side is theirs, each of their requests may get the other one.

use http::Method;

use super::super::draft::Draft;
use super::Site;
use crate::config::{Condition, Item};
use crate::diagnostic::{Code, Span};
use crate::migration::{Answers, ISSUED_COOKIE, Percent, Policy, UnitSource};

/// Segments of a path below which programs ask rather than browsers.
const OF_PROGRAMS: [&str; 6] = ["api", "apis", "graphql", "jsonrpc", "rest", "rpc"];

pub(super) fn check(site: Site<'_>, policy: Option<&Policy>, draft: &mut Draft<'_>) {
    let Some(policy) = policy.filter(|policy| divides(policy)) else { return };
    let by_cookie = policy.sticky.iter().all(|unit| matches!(unit, UnitSource::Cookie(_)));
    if !by_cookie || names_issued_cookie(site) || asks_for_a_cookie(site) {
        return;
    }
    let Some((place, label)) = sign_of_programs(site) else { return };
    let subject = if site.route.auth.get().is_some_and(|auth| !auth.jwt.is_absent()) { "\"jwt:sub\", " } else { "" };
    let units = policy.sticky.iter().fold(String::new(), |units, unit| units + &format!("\"{unit}\", "));
    draft.say(
        Code::ClientsWithoutCookies,
        place,
        format!(
            "a client of `{}` is known by a cookie alone: one that keeps none may have another side with each request",
            site.name()
        ),
        label,
        format!(
            "write `sticky = [{units}{subject}\"ip\"]`, with balancers in front of us in `[server] trusted`; \
             if all its clients are browsers, `sticky = [{units}\"cookie:{ISSUED_COOKIE}\"]`"
        ),
    );
}

/// Two clients may have different sides.
fn divides(policy: &Policy) -> bool {
    match policy.dial.stage.answers() {
        Answers::ByVariant => true,
        Answers::ByWeight => ![Percent::NOBODY, Percent::EVERYBODY].contains(&policy.dial.weight),
        Answers::Monolith | Answers::Service => false,
    }
}

/// Written out, it says that cookies will do.
fn names_issued_cookie(site: Site<'_>) -> bool {
    let items = site.route.sticky.get().map(|list| list.0.as_slice()).unwrap_or_default();
    items.iter().any(|item| item.value.strip_prefix("cookie:") == Some(ISSUED_COOKIE))
}

/// The route takes only requests with a cookie, whatever it is: its clients keep cookies.
fn asks_for_a_cookie(site: Site<'_>) -> bool {
    let conditions = site.route.cookies.get().map(|named| named.entries.as_slice()).unwrap_or_default();
    conditions.iter().any(|entry| !matches!(entry.value, Condition::Absent))
}

/// The sign that programs ask here.
fn sign_of_programs(site: Site<'_>) -> Option<(Span, &'static str)> {
    let route = site.route;
    let paths = route.path.get().map(|paths| paths.0.as_slice()).unwrap_or_default();
    if let Some(item) = paths.iter().find(|item| item.value.split('/').any(is_of_programs)) {
        return Some((item.span.clone(), "looks like an API"));
    }
    if let Some(item) = paths.iter().find(|item| is_call(&item.value)) {
        return Some((item.span.clone(), "looks like calls of gRPC"));
    }
    if let Some(place) = route.safe_methods.key() {
        return Some((place, "calls of gRPC"));
    }
    let token = route.auth.get().and_then(|auth| auth.jwt.given()).filter(|jwt| jwt.value.required.or(true));
    if let Some(jwt) = token {
        return Some((jwt.key.clone(), "clients with tokens"));
    }
    if let Some(host) = route.host.given().filter(|host| host.value.to_ascii_lowercase().starts_with("api.")) {
        return Some((host.span.clone(), "looks like an API"));
    }
    // Methods that a browser uses without a script of the page.
    let of_pages = |item: &Item<Method>| matches!(item.value, Method::GET | Method::HEAD | Method::POST);
    let methods =
        route.methods.given().filter(|given| !given.value.0.is_empty() && !given.value.0.iter().any(of_pages));
    methods.map(|given| (given.span.clone(), "no page asks so"))
}

/// `/package.Service/Method`, as gRPC has it.
fn is_call(path: &str) -> bool {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let service = segments.next().and_then(|segment| segment.rsplit_once('.'));
    let named = service.is_some_and(|(package, name)| {
        !package.is_empty() && !package.contains('{') && name.starts_with(|letter: char| letter.is_ascii_uppercase())
    });
    named && segments.next().is_some_and(|method| !method.is_empty()) && segments.next().is_none()
}

/// One of the words, or a version: `v1`.
fn is_of_programs(segment: &str) -> bool {
    let version = segment.strip_prefix(['v', 'V']);
    version.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        || OF_PROGRAMS.iter().any(|word| segment.eq_ignore_ascii_case(word))
}
