//! Finds the client's address behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, header};

use crate::compile::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The nearest address that no trusted proxy has vouched for: `X-Forwarded-For`, else `Forwarded`, read from the right, where
/// only trusted proxies can have written. What stands left of an address that we do not trust is the client's invention.
#[must_use]
pub fn address(peer: IpAddr, headers: &HeaderMap<HeaderValue>, trusted: &[Network]) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if !is_trusted(nearest, trusted) {
        return nearest;
    }
    if headers.contains_key(FORWARDED_FOR) {
        walk(&mut nearest, headers, FORWARDED_FOR, trusted, |element| Some(element));
    } else if headers.contains_key(header::FORWARDED) {
        walk(&mut nearest, headers, header::FORWARDED.as_str(), trusted, forwarded_for);
    }
    nearest
}

/// Whether a peer may speak for others.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

fn walk(
    nearest: &mut IpAddr,
    headers: &HeaderMap<HeaderValue>,
    name: &str,
    trusted: &[Network],
    element: fn(&str) -> Option<&str>,
) {
    for value in headers.get_all(name).iter().rev() {
        // A value that is no text was not written by a proxy.
        let Ok(text) = value.to_str() else { return };
        for part in text.rsplit(',') {
            // `unknown` and obfuscated names end the walk: nobody behind them is known.
            let Some(address) = element(part.trim()).and_then(parse) else { return };
            *nearest = address;
            if !is_trusted(address, trusted) {
                return;
            }
        }
    }
}

/// The value of `for` in one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address alone, in brackets, or with a port, as proxies write it.
fn parse(text: &str) -> Option<IpAddr> {
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
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        address(peer.parse().unwrap(), &headers, &networks(trusted)).to_string()
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
        ];
        for (peer, lines, expected) in table {
            assert_eq!(found(peer, lines, TRUSTED), *expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn with_nobody_trusted_the_peer_is_the_client() {
        assert_eq!(found("10.0.0.1", &[("x-forwarded-for", "1.1.1.1")], &[]), "10.0.0.1");
    }
}
