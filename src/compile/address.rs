//! `host:port` as it is written in the file.

use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::percent_decode_str;

use crate::diagnostic::Span;
use crate::endpoint::Password;

/// A host, without brackets, and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostPort<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// A fault in a part of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddressError {
    pub(super) part: Span,
    pub(super) message: String,
    pub(super) help: String,
}

/// `user:password@host:port`, percent-encoded; without `…@` this login. A broker's URL is not printed, so why it is wrong is not told.
pub(super) fn with_login<'a>(
    authority: &'a str,
    login: &'a str,
    default_port: u16,
) -> Option<(Box<str>, Password, HostPort<'a>)> {
    let (login, address) = authority.rsplit_once('@').unwrap_or((login, authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let address = host_port(address, Some(default_port)).ok()?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(Box::from);
    Some((decoded(user)?, Password(decoded(password)?), address))
}

/// `name:80`, `10.0.0.1:80`, `[::1]:80`. The port may be left out where there is a default.
pub(super) fn host_port(text: &str, default_port: Option<u16>) -> Result<HostPort<'_>, AddressError> {
    let whole = 0..text.len();
    if let Some(at) = text.rfind('@') {
        let help = format!("write `{}`", Some(&text[at + 1..]).filter(|rest| !rest.is_empty()).unwrap_or("host:port"));
        return Err(error(0..=at, "an address has no user and no password".to_owned(), &help));
    }
    let (host, rest, host_start) = if let Some(inner) = text.strip_prefix('[') {
        let Some(end) = inner.find(']') else {
            return Err(error(whole, format!("`{text}` has no `]`"), "write it like `[::1]:8080`"));
        };
        let host = &inner[..end];
        if host.parse::<Ipv6Addr>().is_err() {
            let message = format!("`{host}` is not an IPv6 address");
            return Err(error(1..=end, message, "write it like `[::1]:8080`; a zone (`%eth0`) is not possible"));
        }
        (host, &inner[end + 1..], 1)
    } else {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(error(
                whole,
                format!("`{text}` is an IPv6 address without brackets"),
                &format!("write `[{text}]:PORT`"),
            ));
        }
        let end = text.find(':').unwrap_or(text.len());
        (&text[..end], &text[end..], 0)
    };
    if host.is_empty() {
        let help = if default_port.is_none() && rest.len() > 1 {
            format!("write `0.0.0.0{rest}` for every address of this machine, or `127.0.0.1{rest}`")
        } else {
            "write it like `users.internal:7001`".to_owned()
        };
        return Err(error(whole, format!("`{text}` has no host"), &help));
    }
    if let Some((at, bad)) = host.char_indices().find(|(_, c)| !is_host_char(*c)) {
        let at = host_start + at;
        let message = format!("`{bad}` cannot stand in a host name");
        return Err(error(at..at + bad.len_utf8(), message, "write it like `users.internal:7001`"));
    }
    if looks_like_v4(host) && host.parse::<IpAddr>().is_err() {
        let message = format!("`{host}` is not an IPv4 address");
        return Err(error(host_start..host_start + host.len(), message, "an IPv4 address has four numbers up to 255"));
    }
    Ok(HostPort { host, port: port(text, rest, default_port)? })
}

/// The rest of a URL behind its scheme, without the user and password before its host: what a remedy may say.
pub(super) fn without_user(rest: &str) -> &str {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest[..end].rfind('@').map_or(rest, |at| &rest[at + 1..])
}

/// The remedy where a URL stands in the place of an address.
pub(super) fn without_scheme(text: &str) -> Option<AddressError> {
    let (scheme, rest) = text.split_once("://")?;
    Some(AddressError {
        part: 0..scheme.len() + 3,
        message: format!("`{text}` is a URL, not an address"),
        help: format!("write `{}`", without_user(rest).trim_end_matches('/')),
    })
}

fn port(text: &str, rest: &str, default_port: Option<u16>) -> Result<u16, AddressError> {
    let start = text.len() - rest.len();
    if rest.is_empty() {
        return default_port.ok_or_else(|| {
            let help = if text.bytes().all(|byte| byte.is_ascii_digit()) {
                format!("write `127.0.0.1:{text}`, or `0.0.0.0:{text}` for every address of this machine")
            } else {
                format!("write `{text}:8080`, with the port it has")
            };
            error(0..text.len(), format!("`{text}` has no port"), &help)
        });
    }
    let digits = rest.strip_prefix(':').unwrap_or("");
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten().ok_or_else(|| {
        let shown = rest.trim_start_matches(':');
        let part = (start + rest.len() - shown.len())..text.len();
        error(part, format!("`{shown}` is not a port"), "a port is a number up to 65535")
    })
}

fn error(part: impl Into<Part>, message: String, help: &str) -> AddressError {
    AddressError { part: part.into().0, message, help: help.to_owned() }
}

struct Part(Span);

impl From<Span> for Part {
    fn from(span: Span) -> Self {
        Self(span)
    }
}

impl From<std::ops::RangeInclusive<usize>> for Part {
    fn from(span: std::ops::RangeInclusive<usize>) -> Self {
        Self(*span.start()..span.end() + 1)
    }
}

const fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':')
}

fn looks_like_v4(host: &str) -> bool {
    host.contains('.') && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// `host:port`, with brackets where they are needed.
pub(super) fn join(address: HostPort<'_>) -> String {
    if address.host.contains(':') {
        format!("[{}]:{}", address.host, address.port)
    } else {
        format!("{}:{}", address.host, address.port)
    }
}

/// Only this machine can reach it.
pub(super) fn is_loopback(host: &str) -> bool {
    host.parse::<IpAddr>()
        .map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{HostPort, host_port};

    #[test]
    fn addresses_are_read() {
        let table = [
            ("10.0.0.5:7001", "10.0.0.5", 7001),
            ("[::1]:80", "::1", 80),
            ("users.internal:0", "users.internal", 0),
            ("my_host", "my_host", 99),
            ("[2001:db8::1]", "2001:db8::1", 99),
        ];
        for (text, host, port) in table {
            assert_eq!(host_port(text, Some(99)), Ok(HostPort { host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_says_where_it_goes_wrong() {
        let table = [
            ("localhost", "localhost"),
            (":8080", ":8080"),
            ("a:b", "b"),
            ("a:99999", "99999"),
            ("a:", ""),
            ("::1", "::1"),
            ("[::1", "[::1"),
            ("[::x]:1", "::x"),
            ("[::1]80", "80"),
            ("a b:1", " "),
            ("user@host:1", "user@"),
            ("user:pass@host:1", "user:pass@"),
            ("1.2.3.400:1", "1.2.3.400"),
            ("", ""),
            ("[]:1", ""),
        ];
        for (text, part) in table {
            let error = host_port(text, None).expect_err(text);
            assert_eq!(&text[error.part], part, "{text}");
        }
    }
}
