//! `[server.cookies]`: cookies that browsers would not keep are reported here, since browsers drop them silently.

use std::net::IpAddr;
use std::time::Duration;

use super::address::host_port;
use super::draft::Draft;
use crate::config::{self, CookieSecure, Given};
use crate::diagnostic::{Code, Diagnostic};

pub use crate::config::SameSite;

/// Attributes of the cookies that the proxy issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSettings {
    pub same_site: SameSite,
    /// `None`: where the client came with TLS.
    pub secure: Option<bool>,
    /// `None`: the host that was asked.
    pub domain: Option<Box<str>>,
    /// Of `multilith_id`.
    pub max_age: Duration,
    pub partitioned: bool,
}

impl Default for CookieSettings {
    fn default() -> Self {
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        Self { same_site: SameSite::Lax, secure: None, domain: None, max_age: year, partitioned: false }
    }
}

/// `may_be_secure`: a client may come with TLS, or a trusted proxy may say so.
pub(super) fn compile(file: &config::File, may_be_secure: bool, draft: &mut Draft<'_>) -> CookieSettings {
    let default = CookieSettings::default();
    let Some(cookies) = file.server.get().and_then(|server| server.cookies.get()) else { return default };
    let settings = CookieSettings {
        same_site: cookies.same_site.or(default.same_site),
        secure: match cookies.secure.or(CookieSecure::Auto) {
            CookieSecure::Auto => None,
            CookieSecure::Always => Some(true),
            CookieSecure::Never => Some(false),
        },
        domain: cookies.domain.given().and_then(|given| domain(file, given, draft)),
        max_age: cookies.max_age.or(default.max_age),
        partitioned: cookies.partitioned.or(default.partitioned),
    };
    check_secure(cookies, &settings, may_be_secure, draft);
    if let Some(given) = cookies.max_age.given().filter(|given| given.value.as_secs() == 0) {
        let help = "write it like `max_age = \"365d\"`; without cookies, name what a client is known by in `sticky`";
        draft.say(Code::OutOfRange, given.span.clone(), "a cookie of no age is thrown away at once", "too short", help);
    }
    settings
}

/// Browsers drop a cookie that pages of other sites are to send and that lacks `Secure`.
fn check_secure(cookies: &config::Cookies, settings: &CookieSettings, may_be_secure: bool, draft: &mut Draft<'_>) {
    let partitioned = cookies.partitioned.given().filter(|given| given.value);
    let none = cookies.same_site.given().filter(|given| given.value == SameSite::None);
    if let Some(given) = partitioned.filter(|_| settings.same_site != SameSite::None) {
        draft.say(
            Code::UselessSetting,
            given.span.clone(),
            "partitioned cookies are for pages in frames of other sites, which send none of these",
            "no effect",
            "add `same_site = \"none\"`, or remove `partitioned`",
        );
    }
    let never = settings.secure == Some(false);
    let nothing_is = settings.secure.is_none() && !may_be_secure;
    let (what, span) = match (none, partitioned) {
        (Some(given), _) => ("SameSite=None", given.span.clone()),
        (None, Some(given)) => ("Partitioned", given.span.clone()),
        (None, None) => return,
    };
    if !never && !nothing_is {
        return;
    }
    let (why, help) = if never {
        ("`secure` is false", "remove `secure = false`, or write `same_site = \"lax\"`")
    } else {
        (
            "no client comes with TLS, and no peer is trusted to say so",
            "name the proxy that ends TLS in `trusted` of `[server]`, or write `secure = true`",
        )
    };
    let mut diagnostic =
        Diagnostic::new(Code::CookieWithoutSecure, format!("browsers keep no cookie with {what} and without Secure"))
            .at(span)
            .label(why)
            .help(help);
    if let Some(place) = cookies.secure.span().filter(|_| never) {
        diagnostic = diagnostic.related(place, "without Secure");
    }
    draft.push(diagnostic);
}

fn domain(file: &config::File, given: &Given<String>, draft: &mut Draft<'_>) -> Option<Box<str>> {
    // The dot says nothing (RFC 6265, section 5.2.3).
    let text = given.value.strip_prefix('.').unwrap_or(&given.value);
    let is_name = host_port(text, Some(0)).is_ok_and(|read| read.host.len() == text.len());
    if !is_name || text.starts_with('[') || text.parse::<IpAddr>().is_ok() {
        draft.say(
            Code::InvalidValue,
            given.span.clone(),
            format!("`{}` is not the domain of a cookie", given.value),
            "not a domain",
            "write a name without port, such as `domain = \"shop.example\"`; for an address leave it away",
        );
        return None;
    }
    check_hosts(file, given, text, draft);
    Some(text.to_ascii_lowercase().into())
}

/// A browser keeps a cookie only for the domain of the host that it asked.
fn check_hosts(file: &config::File, given: &Given<String>, domain: &str, draft: &mut Draft<'_>) {
    let routes = file.routes.get().map(|routes| routes.entries.as_slice()).unwrap_or_default();
    let outside = routes.iter().filter_map(|entry| entry.value.host.given()).find(|host| {
        let name = host.value.trim_start_matches("*.");
        let before = name.len().checked_sub(domain.len());
        let is_below = before.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(domain))
            && before.is_some_and(|at| at == 0 || name[..at].ends_with('.'));
        !is_below
    });
    if let Some(host) = outside {
        draft.push(
            Diagnostic::new(
                Code::LostCookie,
                format!("browsers at `{}` do not keep cookies for `{}`", host.value, given.value),
            )
            .at(given.span.clone())
            .label("cookies are lost")
            .related(host.span.clone(), "asked here")
            .help("write a domain that all hosts lie below, or remove `domain`: each host then has its own cookie"),
        );
    }
}
