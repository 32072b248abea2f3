//! The response as the client gets it.

use std::fmt::Write as _;

use http::StatusCode;

use super::exchange::Exchange;
use super::failure::Failure;
use super::issued_cookie::issued_cookie;
use super::location;
use super::request::authority;
use super::{mirror, rewriting};
use crate::downstream::date;
use crate::guard;
use crate::guard::headers::ResponseContext;
use crate::inventory::redirect_target;
use crate::message::{Name, ResponseHead};
use crate::migration::{ISSUED_COOKIE, Pinning, issued_unit};

/// Called for every final head of an upstream that goes to the client.
pub fn prepare(head: &mut ResponseHead, exchange: &mut Exchange) -> Result<(), Failure> {
    let asked = ResponseContext { version: exchange.head.version, upgrade: exchange.upgrade };
    guard::headers::clean_response(head, asked).map_err(|_| Failure::Protocol)?;
    let turns = exchange.generation.pool(exchange.target).spec().host.is_some();
    if exchange.asks_service() || turns {
        let asked = location::AnsweredRequest {
            generation: &exchange.generation,
            found: exchange.found,
            from: exchange.target,
            path: exchange.head.path(),
            host: authority(&exchange.head),
            endpoint: [exchange.attempt_authority(), exchange.attempt_address()],
        };
        rewriting::turn_back(head, exchange.route().route.as_deref(), &asked);
    }
    if head.status.is_redirection()
        && exchange.generation.snapshot.inventory.learn
        && let Some(location) = head.fields.get(Name::Location)
    {
        exchange.leads_to = redirect_target(exchange.head.path(), location);
    }
    mirror::response_head(head, exchange);
    sign(head, exchange);
    if let Some(rate_limit) = &exchange.rate_limit {
        rate_limit.write(head);
    }
    remember_side(head, exchange);
    debug_headers(head, exchange);
    exchange.answered = true;
    Ok(())
}

/// Adds the fields that every response carries, the upstreams' and the proxy's own.
pub fn sign(head: &mut ResponseHead, exchange: &Exchange) {
    if !head.fields.has(Name::Date) && head.status != StatusCode::SWITCHING_PROTOCOLS {
        head.fields.append(Name::Date, date::now().as_bytes());
    }
    head.fields.set(Name::XRequestId, exchange.request_id.as_bytes());
    if let Some(age) = exchange.generation.snapshot.server.tls.hsts.filter(|_| exchange.arrival.tls) {
        head.fields.set(Name::StrictTransportSecurity, format!("max-age={}", age.as_secs()).as_bytes());
    }
}

/// Cookies that keep a client on its side, and what shared caches must know then.
fn remember_side(head: &mut ResponseHead, exchange: &Exchange) {
    let decision = &exchange.decision;
    let entry = exchange.route();
    let settings = &exchange.generation.snapshot.server.cookies;
    let issued = |name: &str, value: &str, seconds| issued_cookie(name, value, seconds, settings, exchange.secure);
    if let Some(fresh) = decision.issue {
        let unit = issued_unit(fresh);
        let unit = std::str::from_utf8(&unit).expect("hexadecimal digits are ASCII");
        head.fields.append(Name::SetCookie, issued(ISSUED_COOKIE, unit, settings.max_age.as_secs()).as_bytes());
    }
    let pinned = match decision.pin {
        Pinning::None => None,
        Pinning::Begin => exchange.side,
        Pinning::Renew(side) => Some(side),
    };
    if let (Some(side), Some(pin)) = (pinned, &entry.policy.pin) {
        let value = issued(&pin.cookie, side.name(&entry.policy), pin.silence.as_secs().max(1));
        head.fields.append(Name::SetCookie, value.as_bytes());
    }
    let personal = decision.issue.is_some() || pinned.is_some();
    if (decision.both_live && !entry.policy.shared_cache || personal) && shared_cache_may_keep(head) {
        make_private(head);
    }
}

/// Headers that shared caches obey before `Cache-Control` (RFC 9213, and what was there before it).
const FOR_SHARED_CACHES: [Name; 2] = [Name::CdnCacheControl, Name::SurrogateControl];

/// RFC 9111, section 3: a shared cache may keep what is not private or no-store and has a reason to be fresh, or a
/// status that is cacheable by default. A 304 is no answer to keep, but its headers go into the one that was kept.
fn shared_cache_may_keep(head: &ResponseHead) -> bool {
    if FOR_SHARED_CACHES.iter().any(|name| head.fields.has(*name)) {
        return true;
    }
    let forbidden = directives(head).any(|directive| {
        directive.eq_ignore_ascii_case("private") || name_of(directive).eq_ignore_ascii_case("no-store")
    });
    let explicit = head.fields.has(Name::CacheControl) || head.fields.has(Name::Expires);
    !forbidden && (explicit || is_cacheable_by_default(head.status))
}

const fn is_cacheable_by_default(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 304 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn directives(head: &ResponseHead) -> impl Iterator<Item = &str> {
    let lines = head.fields.all(Name::CacheControl);
    lines.filter_map(|line| std::str::from_utf8(line).ok()).flat_map(split_outside_quotes).map(str::trim)
}

/// The members of a list. A comma inside quotes, as in `no-cache="a, b"`, does not end one.
fn split_outside_quotes(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
}

fn name_of(directive: &str) -> &str {
    directive.split('=').next().unwrap_or("").trim()
}

/// `Cache-Control: private` with what the upstream said besides, less what only shared caches read.
fn make_private(head: &mut ResponseHead) {
    let mut kept = String::from("private");
    for directive in directives(head) {
        let name = name_of(directive).to_ascii_lowercase();
        if !directive.is_empty() && !matches!(name.as_str(), "public" | "private" | "s-maxage" | "proxy-revalidate") {
            write!(kept, ", {directive}").expect("memory takes it");
        }
    }
    for name in FOR_SHARED_CACHES {
        head.fields.remove(name);
    }
    head.fields.set(Name::CacheControl, kept.as_bytes());
}

fn debug_headers(head: &mut ResponseHead, exchange: &Exchange) {
    if !exchange.generation.snapshot.server.debug_headers {
        return;
    }
    head.fields.set("X-Multilith-Route", exchange.route().name().as_bytes());
    head.fields.set("X-Multilith-Side", exchange.side_name().as_bytes());
    head.fields.set("X-Multilith-Reason", exchange.decision.reason.as_str().as_bytes());
    if let Some(reason) = exchange.fallback_reason() {
        head.fields.set("X-Multilith-Fallback", reason.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = &'static [(&'static str, &'static str)];

    fn answer(status: u16, fields: Fields) -> ResponseHead {
        let mut head = ResponseHead::new(StatusCode::from_u16(status).expect("a status"));
        head.fields = fields.iter().copied().collect();
        head
    }

    #[test]
    fn a_shared_cache_keeps_what_rfc_9111_lets_it() {
        let table: [(u16, Fields, bool); 20] = [
            (200, &[], true),
            (404, &[], true),
            (301, &[], true),
            (304, &[], true),
            (302, &[], false),
            (500, &[], false),
            (201, &[], false),
            (302, &[("cache-control", "max-age=60")], true),
            (201, &[("expires", "Thu, 01 Dec 2033 16:00:00 GMT")], true),
            (200, &[("cache-control", "private")], false),
            (200, &[("cache-control", "max-age=9, PRIVATE")], false),
            (200, &[("cache-control", "no-store")], false),
            (200, &[("cache-control", "max-age=9"), ("cache-control", "no-store")], false),
            (200, &[("cache-control", "private=\"set-cookie\"")], true),
            (200, &[("cache-control", "no-cache=\"a, private, b\"")], true),
            (200, &[("cache-control", "no-cache")], true),
            (200, &[("cache-control", "public, s-maxage=60")], true),
            (200, &[("cache-control", "private"), ("cdn-cache-control", "max-age=60")], true),
            (500, &[("surrogate-control", "max-age=60")], true),
            (304, &[("cache-control", "private")], false),
        ];
        for (status, fields, kept) in table {
            assert_eq!(shared_cache_may_keep(&answer(status, fields)), kept, "{status} {fields:?}");
        }
    }

    #[test]
    fn what_is_made_private_keeps_the_rest_of_its_directives() {
        let table: [(Fields, &str); 6] = [
            (&[], "private"),
            (&[("cache-control", "public, max-age=60")], "private, max-age=60"),
            (&[("cache-control", "s-maxage=9,max-age=60,proxy-revalidate")], "private, max-age=60"),
            (&[("cache-control", "no-cache=\"a, b\", Public")], "private, no-cache=\"a, b\""),
            (&[("cache-control", "private=\"a, b\", max-age=1")], "private, max-age=1"),
            (&[("cache-control", "max-age=1"), ("cdn-cache-control", "max-age=60")], "private, max-age=1"),
        ];
        for (fields, expected) in table {
            let mut response = answer(200, fields);
            make_private(&mut response);
            let lines: Vec<_> = response.fields.all(Name::CacheControl).collect();
            assert_eq!(lines, [expected.as_bytes()], "{fields:?}");
            assert!(!shared_cache_may_keep(&response), "{fields:?}");
        }
    }
}
