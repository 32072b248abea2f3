//! The cookies that the proxy itself issues.

use std::fmt::Write as _;

use crate::compile::{CookieSettings, SameSite};

/// A value of `Set-Cookie`. `seconds`: how long it is kept; `secure`: the client came with TLS.
pub fn issued_cookie(name: &str, value: &str, seconds: u64, settings: &CookieSettings, secure: bool) -> String {
    let secure = settings.secure.unwrap_or(secure);
    let mut cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=");
    cookie.push_str(match settings.same_site {
        SameSite::Strict => "Strict",
        SameSite::None if secure => "None",
        // Browsers drop a cookie that is None and not Secure: over plain HTTP at least this site's own pages have one.
        SameSite::Lax | SameSite::None => "Lax",
    });
    if let Some(domain) = &settings.domain {
        write!(cookie, "; Domain={domain}").expect("memory takes it");
    }
    if secure {
        cookie.push_str("; Secure");
    }
    if secure && settings.partitioned {
        cookie.push_str("; Partitioned");
    }
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(settings: &CookieSettings, secure: bool) -> String {
        let cookie = issued_cookie("multilith_id", "1", 60, settings, secure);
        let rest = cookie.strip_prefix("multilith_id=1; Path=/; Max-Age=60; HttpOnly; SameSite=");
        rest.expect("what every cookie has").to_owned()
    }

    #[test]
    fn a_cookie_has_the_attributes_that_the_file_gives_it_and_browsers_keep() {
        let auto = CookieSettings::default();
        let strict =
            CookieSettings { same_site: SameSite::Strict, domain: Some("shop.example".into()), ..auto.clone() };
        let framed = CookieSettings { same_site: SameSite::None, partitioned: true, ..auto.clone() };
        let always = CookieSettings { secure: Some(true), ..framed.clone() };
        let never = CookieSettings { secure: Some(false), ..auto.clone() };
        let table = [
            (&auto, false, "Lax"),
            (&auto, true, "Lax; Secure"),
            (&strict, true, "Strict; Domain=shop.example; Secure"),
            (&framed, false, "Lax"),
            (&framed, true, "None; Secure; Partitioned"),
            (&always, false, "None; Secure; Partitioned"),
            (&never, true, "Lax"),
        ];
        for (settings, secure, expected) in table {
            assert_eq!(issued(settings, secure), expected, "{settings:?} {secure}");
        }
    }
}
