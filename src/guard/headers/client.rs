//! Finds the client's address behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use crate::compile::Network;
use crate::message::{Fields, Name};

/// The nearest address that no trusted proxy has vouched for: `X-Forwarded-For`, else `Forwarded`, read from the right, where
/// only trusted proxies can have written. Addresses left of one that we do not trust are the client's invention.
#[must_use]
pub fn address(peer: IpAddr, fields: &Fields, trusted: &[Network]) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if !is_trusted(nearest, trusted) {
        return nearest;
    }
    if fields.has(Name::XForwardedFor) {
        walk(&mut nearest, fields, Name::XForwardedFor, trusted, |list| split_last(list, false), |it| Some(it));
    } else if fields.has(Name::Forwarded) {
        walk(&mut nearest, fields, Name::Forwarded, trusted, |list| split_last(list, true), forwarded_for);
    }
    nearest
}

/// Whether a peer may speak for others.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

type SplitLast = fn(&[u8]) -> (Option<&[u8]>, &[u8]);

/// Takes the elements of all lines from the right. In bytes: what is no text may stand left of what a proxy has added.
fn walk(
    nearest: &mut IpAddr,
    fields: &Fields,
    name: Name,
    trusted: &[Network],
    split_last: SplitLast,
    address: fn(&[u8]) -> Option<&[u8]>,
) {
    for value in fields.all(name).rev() {
        let mut left = Some(value);
        while let Some(list) = left {
            let (before, element) = split_last(list);
            left = before;
            // `unknown` and obfuscated names end the walk: no address behind them is known.
            let Some(address) = address(element.trim_ascii()).and_then(parse) else { return };
            *nearest = address;
            if !is_trusted(address, trusted) {
                return;
            }
        }
    }
}

/// The last element of a list, and what stands before its comma. A comma in a quoted string is none of the list's; as it
/// is read from the right, where the elements are well-formed, no quote that a client has left open reaches into them.
fn split_last(list: &[u8], has_quotes: bool) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for (at, byte) in list.iter().enumerate().rev() {
        match byte {
            b'"' if has_quotes && !(quoted && is_escaped(list, at)) => quoted = !quoted,
            b',' if !quoted => return (Some(&list[..at]), &list[at + 1..]),
            _ => {}
        }
    }
    (None, list)
}

/// Whether the byte at this place has an odd number of backslashes before it.
fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The value of `for` in one element of `Forwarded`.
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    let mut left = Some(element);
    while let Some(pairs) = left {
        let (pair, behind) = split_first(pairs);
        left = behind;
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        if pair[..equals].trim_ascii().eq_ignore_ascii_case(b"for") {
            let value = pair[equals + 1..].trim_ascii();
            return Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value));
        }
    }
    None
}

/// The first pair of an element, and what stands behind its semicolon.
fn split_first(pairs: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in pairs.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return (&pairs[..at], Some(&pairs[at + 1..])),
            _ => {}
        }
    }
    (pairs, None)
}

/// An address alone, in brackets, or with a port, as proxies write it.
fn parse(address: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(address).ok()?;
    let address = text.parse::<IpAddr>().ok().or_else(|| {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(inner) => inner.parse().ok(),
            None => text.parse::<SocketAddr>().ok().map(|socket| socket.ip()),
        }
    })?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = &'static [(&'static str, &'static str)];

    fn networks(list: &[&str]) -> Vec<Network> {
        list.iter()
            .map(|text| {
                let (address, prefix) = text.split_once('/').unwrap();
                Network { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
            })
            .collect()
    }

    fn found(peer: &str, lines: &[(&'static str, &'static str)], trusted: &[&str]) -> String {
        let fields: Fields = lines.iter().copied().collect();
        address(peer.parse().unwrap(), &fields, &networks(trusted)).to_string()
    }

    #[test]
    fn the_client_is_the_nearest_address_that_nobody_trusted_has_vouched_for() {
        const XFF: &str = "x-forwarded-for";
        const TRUSTED: &[&str] = &["10.0.0.0/8", "fd00::/8"];
        let table: &[(&str, Lines, &str)] = &[
            ("203.0.113.9", &[(XFF, "1.1.1.1")], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, 198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, 198.51.100.1, 10.0.0.7")], "198.51.100.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1"), (XFF, "198.51.100.1,10.0.0.7")], "198.51.100.1"),
            ("10.0.0.1", &[(XFF, "198.51.100.1:4711")], "198.51.100.1"),
            ("10.0.0.1", &[(XFF, "[2001:db8::1]:4711")], "2001:db8::1"),
            ("10.0.0.1", &[(XFF, "[2001:db8::1]")], "2001:db8::1"),
            ("10.0.0.1", &[(XFF, "2001:db8::1")], "2001:db8::1"),
            ("::ffff:10.0.0.1", &[(XFF, "::ffff:198.51.100.1")], "198.51.100.1"),
            ("fd00::1", &[(XFF, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1, unknown, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1,")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.1;proto=https")], "198.51.100.1"),
            ("10.0.0.1", &[("forwarded", "for=1.1.1.1, For=\"[2001:db8::1]:8080\";by=10.0.0.1")], "2001:db8::1"),
            ("10.0.0.1", &[("forwarded", "for=_hidden")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "for=1.1.1.1"), (XFF, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.1;host=\"a, for=1.1.1.1\"")], "198.51.100.1"),
            ("10.0.0.1", &[("forwarded", "host=\"a;for=1.1.1.1\";for=198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.1;host=\"\\\", for=1.1.1.1\"")], "198.51.100.1"),
            ("10.0.0.1", &[("forwarded", "for=\"1.1.1.1, for=198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.1;host=\"a\\\\\", for=10.0.0.7")], "198.51.100.1"),
        ];
        for (peer, lines, expected) in table {
            assert_eq!(found(peer, lines, TRUSTED), *expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_hide_no_address_behind_them() {
        for (name, own) in [(Name::XForwardedFor, "198.51.100.1"), (Name::Forwarded, "for=198.51.100.1")] {
            let mut fields = Fields::new();
            fields.append(name, &[b"\xff, ", own.as_bytes()].concat());
            let client = address("10.0.0.1".parse().unwrap(), &fields, &networks(&["10.0.0.0/8"]));
            assert_eq!(client.to_string(), "198.51.100.1", "{name:?}");
        }
    }

    #[test]
    fn with_nobody_trusted_the_peer_is_the_client() {
        assert_eq!(found("10.0.0.1", &[("x-forwarded-for", "1.1.1.1")], &[]), "10.0.0.1");
    }
}
