//! What a host may look like, in `Host`, in `:authority` and in an absolute target.

use std::net::Ipv6Addr;

/// Longer names cannot be resolved (RFC 1035), and a port adds six bytes.
const LONGEST: usize = 255 + 6;

/// Whether this is one host, with or without a port: a name of letters, digits, `-`, `.` and `_`, an IPv4 address, or an
/// IPv6 address in brackets.
///
/// RFC 3986 allows more in a name (`!$&'()*+,;=~` and percent escapes). Nobody's site has such a name, and what the upstream
/// would make of it is anybody's guess; so it is refused, as nginx and haproxy refuse most of it.
#[must_use]
pub fn is_valid(authority: &[u8]) -> bool {
    if authority.is_empty() || authority.len() > LONGEST {
        return false;
    }
    if authority.first() == Some(&b'[') {
        let Some(end) = authority.iter().position(|&byte| byte == b']') else { return false };
        let (literal, rest) = (&authority[1..end], &authority[end + 1..]);
        let address = std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
        return address && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port));
    }
    let (name, port) = match authority.iter().position(|&byte| byte == b':') {
        Some(colon) => (&authority[..colon], &authority[colon + 1..]),
        None => (authority, &b""[..]),
    };
    is_name(name) && is_port(port)
}

/// Labels of a name: none is empty, but for the one after the root's dot.
fn is_name(name: &[u8]) -> bool {
    let mut label = 0_usize;
    for &byte in name {
        match byte {
            b'.' if label == 0 => return false,
            b'.' => label = 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            _ => return false,
        }
    }
    !name.is_empty()
}

/// RFC 3986 lets a port be empty.
fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0')) <= 65_535
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "example.com",
            "EXAMPLE.com:8080",
            "a",
            "a_b.internal",
            "example.com.",
            "xn--bcher-kva.example",
            "10.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:65535",
            "[2001:db8::7]:443",
            "example.com:",
            "1.example:0",
        ] {
            assert!(is_valid(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let long = "a".repeat(300);
        for host in [
            "",
            " ",
            "a b",
            "a/b",
            "a,b",
            "a\\b",
            "a@b",
            "user@example.com",
            "a:b",
            "a:1:2",
            "a:99999",
            "a:-1",
            "a:+1",
            ":80",
            "::1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:x",
            "[::1%25eth0]",
            "[v1.x]",
            "[]",
            ".",
            ".a",
            "a..b",
            "a?b",
            "a#b",
            "a\tb",
            "a%2eb",
            "a;b",
            "b\u{fc}cher",
            "http://a",
            "*",
            "a\0",
            &long,
        ] {
            assert!(!is_valid(host.as_bytes()), "{host:?}");
        }
    }
}
