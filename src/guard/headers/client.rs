//! Finds the client's address behind trusted proxies.

use std::net::IpAddr;

use super::elements::{Element, addresses, forwarded};
use crate::compile::Network;
use crate::message::{Fields, Name};

/// The nearest address that no trusted proxy has vouched for: `X-Forwarded-For`, else `Forwarded`, read from the right, where
/// only trusted proxies can have written. Addresses left of one that we do not trust are the client's invention.
#[must_use]
pub fn address(peer: IpAddr, fields: &Fields, trusted: &[Network]) -> IpAddr {
    let nearest = peer.to_canonical();
    if !is_trusted(nearest, trusted) {
        return nearest;
    }
    if fields.has(Name::XForwardedFor) {
        walk(nearest, addresses(fields), trusted, |_| {})
    } else if fields.has(Name::Forwarded) {
        walk(nearest, forwarded(fields), trusted, |_| {})
    } else {
        nearest
    }
}

/// Whether a peer may speak for others.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// Takes the elements from the right as far as trusted proxies wrote them, and gives the address that the last of them names.
/// `unknown` and obfuscated names end the walk: no address behind them is known.
pub(super) fn walk<'a>(
    nearest: IpAddr,
    elements: impl Iterator<Item = Element<'a>>,
    trusted: &[Network],
    mut read: impl FnMut(&Element<'a>),
) -> IpAddr {
    let mut nearest = nearest;
    for element in elements {
        read(&element);
        let Some(address) = element.address() else { return nearest };
        nearest = address;
        if !is_trusted(address, trusted) {
            return nearest;
        }
    }
    nearest
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
