//! Addresses of an upstream that has a host of its own: turned back to the client's host.

use std::net::IpAddr;

use super::head_edits::{rewrite_cookies, rewrite_location};
use super::location::{self, AnsweredRequest, Reverse};
use crate::message::{Name, ResponseHead};

/// Turns the upstream's addresses and the domains of its cookies back.
pub fn turn_back(head: &mut ResponseHead, host: &str, asked: &AnsweredRequest<'_>) {
    if host.eq_ignore_ascii_case(asked.host) || asked.host.is_empty() {
        return;
    }
    if location::NAMES.iter().any(|name| head.fields.has(*name)) {
        let reverse = Reverse::of_host(host, asked);
        for name in location::NAMES {
            rewrite_location(head, name, &reverse);
        }
    }
    let (own, public) = (name_of(host), name_of(asked.host));
    if head.fields.all(Name::SetCookie).any(has_domain) {
        rewrite_cookies(head, |cookie| with_public_domain(cookie, own, public));
    }
}

fn has_domain(cookie: &[u8]) -> bool {
    cookie.split(|byte| *byte == b';').skip(1).any(|part| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"domain")
    })
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// The cookie with a domain that the client's browser takes, where its own is the upstream's and not the client's, too.
fn with_public_domain(cookie: &str, own: &str, public: &str) -> String {
    let mut parts = Vec::new();
    for (number, part) in cookie.split(';').enumerate() {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let domain = value.trim().trim_start_matches('.');
        let is_domain = number > 0 && name.trim().eq_ignore_ascii_case("domain");
        if !is_domain || !lies_below(own, domain) || lies_below(public, domain) {
            parts.push(part.to_owned());
        } else if takes_a_domain(public) {
            parts.push(format!(" Domain={public}"));
        }
    }
    parts.join(";")
}

/// RFC 6265, section 5.1.3.
fn lies_below(host: &str, domain: &str) -> bool {
    let Some(at) = host.len().checked_sub(domain.len()) else { return false };
    let ends = host.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(domain));
    ends && !domain.is_empty() && (at == 0 || host[..at].ends_with('.'))
}

/// Addresses and names without a dot have none: without the attribute the cookie is the host's alone.
fn takes_a_domain(host: &str) -> bool {
    host.contains('.') && !host.starts_with('[') && host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_of_the_upstreams_host_becomes_one_of_the_clients() {
        const OWN: &str = "legacy.paas.example";
        let table = [
            ("a=1; Domain=legacy.paas.example; Path=/", "shop.example", "a=1; Domain=shop.example; Path=/"),
            ("a=1;domain=.Legacy.PaaS.example", "shop.example", "a=1; Domain=shop.example"),
            ("a=1; Domain=paas.example; Secure", "www.shop.example", "a=1; Domain=www.shop.example; Secure"),
            ("a=1; Domain=paas.example", "shop.paas.example", "a=1; Domain=paas.example"),
            ("a=1; Domain=legacy.paas.example; Path=/", "127.0.0.1", "a=1; Path=/"),
            ("a=1; Domain=legacy.paas.example", "localhost", "a=1"),
            ("a=1; Domain=legacy.paas.example", "[::1]", "a=1"),
            ("a=1; Domain=gacy.paas.example", "shop.example", "a=1; Domain=gacy.paas.example"),
            ("a=1; Domain=other.example", "shop.example", "a=1; Domain=other.example"),
            ("domain=legacy.paas.example; Path=/", "shop.example", "domain=legacy.paas.example; Path=/"),
            ("a=1; Domain=", "shop.example", "a=1; Domain="),
        ];
        for (cookie, public, expected) in table {
            assert_eq!(with_public_domain(cookie, OWN, public), expected, "{cookie} {public}");
        }
    }

    #[test]
    fn a_port_is_no_part_of_a_name() {
        for (host, name) in [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")] {
            assert_eq!(name_of(host), name);
        }
    }
}
