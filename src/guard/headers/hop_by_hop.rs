//! Removes the fields of one connection (hop-by-hop, RFC 9110, 7.6.1), in either direction.

use crate::message::{Fields, Name, elements};

/// Removes the fields of the client's connection from every request that goes to an upstream.
///
/// `Connection` and what it names, `Keep-Alive`, `Proxy-Connection`, `Proxy-Authorization`, `Proxy-Authenticate`,
/// `HTTP2-Settings`, `Transfer-Encoding` and `Trailer` go. `Upgrade` goes too, unless the request is a WebSocket's (which
/// [`clean`](super::clean) has checked): then `Connection: Upgrade` stays with it. `TE` stays as `TE: trailers` if the client
/// takes trailers. How the body is framed is written by the upstream's end of the connection.
pub fn without_hop_by_hop(fields: &mut Fields) {
    let named = nominated(fields);
    let upgrade = asks_for_web_socket(fields);
    let trailers = fields.all(Name::Te).flat_map(elements).any(is_trailers);
    fields.retain(|name, text, _| match name {
        Name::Connection | Name::Upgrade => upgrade,
        Name::Te => trailers,
        Name::KeepAlive
        | Name::ProxyConnection
        | Name::ProxyAuthorization
        | Name::ProxyAuthenticate
        | Name::Http2Settings
        | Name::TransferEncoding
        | Name::Trailer => false,
        _ => !is_among(&named, text),
    });
    if upgrade {
        fields.set(Name::Connection, b"Upgrade");
    }
    if trailers {
        fields.set(Name::Te, b"trailers");
    }
}

/// `trailers`, but not `trailers;q=0`: a transfer coding with parameters is none that the proxy passes on.
fn is_trailers(element: &[u8]) -> bool {
    element.eq_ignore_ascii_case(b"trailers")
}

/// One `Upgrade: websocket`, which `Connection` names.
pub(super) fn asks_for_web_socket(fields: &Fields) -> bool {
    let mut upgrades = fields.all(Name::Upgrade);
    upgrades.next().is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none()
        && fields.all(Name::Connection).flat_map(elements).any(|element| element.eq_ignore_ascii_case(b"upgrade"))
}

/// The names in `Connection`, without the usual options and without those whose loss would change the message. Allocates
/// only if there are any.
pub(super) fn nominated(fields: &Fields) -> Vec<Box<[u8]>> {
    let tokens = fields.all(Name::Connection).flat_map(elements);
    let named = tokens.filter(|token| {
        let option = [&b"close"[..], b"keep-alive"].iter().any(|option| token.eq_ignore_ascii_case(option));
        !option && !is_end_to_end(Name::of(token))
    });
    named.map(Box::from).collect()
}

pub(super) fn is_among(named: &[Box<[u8]>], text: &[u8]) -> bool {
    named.iter().any(|name| name.eq_ignore_ascii_case(text))
}

/// Names that `Connection` cannot make hop-by-hop; and fields about which the callers decide themselves.
const fn is_end_to_end(name: Name) -> bool {
    matches!(
        name,
        Name::Host
            | Name::Connection
            | Name::ContentLength
            | Name::ContentType
            | Name::ContentEncoding
            | Name::CacheControl
            | Name::SetCookie
            | Name::TransferEncoding
            | Name::Te
            | Name::Upgrade
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = &'static [(&'static str, &'static str)];

    #[test]
    fn nothing_of_the_clients_connection_goes_on() {
        let table: &[(Lines, &str)] = &[
            (&[("hOst", "a"), ("X-Public", "1")], "hOst: a\r\nX-Public: 1\r\n"),
            (
                &[
                    ("Host", "a"),
                    ("Connection", "X-Private, keep-alive"),
                    ("X-PRIVATE", "1"),
                    ("Keep-Alive", "5"),
                    ("Proxy-Connection", "close"),
                    ("Proxy-Authorization", "x"),
                    ("Proxy-Authenticate", "x"),
                    ("HTTP2-Settings", "x"),
                    ("Transfer-Encoding", "chunked"),
                    ("Trailer", "X-Sum"),
                    ("TE", "gzip"),
                    ("Upgrade", "h2c"),
                    ("Expect", "100-continue"),
                    ("X-Public", "1"),
                ],
                "Host: a\r\nExpect: 100-continue\r\nX-Public: 1\r\n",
            ),
            (
                &[("Connection", "close"), ("connection", "x-a,x-b"), ("X-A", "1"), ("X-B", "2"), ("X-C", "3")],
                "X-C: 3\r\n",
            ),
            (&[("Connection", "Content-Length, Host"), ("Content-Length", "3")], "Content-Length: 3\r\n"),
        ];
        for (lines, expected) in table {
            assert_eq!(left(lines), *expected, "{lines:?}");
        }
    }

    #[test]
    fn a_client_that_takes_trailers_is_said_to_take_them() {
        let table: &[(Lines, &str)] = &[
            (&[("te", "trailers")], "TE: trailers\r\n"),
            (&[("TE", "gzip, Trailers"), ("TE", "deflate"), ("Connection", "TE")], "TE: trailers\r\n"),
            (&[("TE", "gzip;q=1"), ("Connection", "TE")], ""),
            (&[("TE", "trailers;q=0")], ""),
        ];
        for (lines, expected) in table {
            assert_eq!(left(lines), *expected, "{lines:?}");
        }
    }

    #[test]
    fn an_upgrade_to_a_web_socket_stays() {
        let table: &[(Lines, &str)] = &[
            (
                &[("Upgrade", "WebSocket"), ("Connection", "keep-alive, upgrade, X-A"), ("X-A", "1")],
                "Upgrade: WebSocket\r\nConnection: Upgrade\r\n",
            ),
            (&[("Upgrade", "websocket")], ""),
            (&[("Upgrade", "websocket"), ("Upgrade", "h2c"), ("Connection", "Upgrade")], ""),
            (&[("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings")], ""),
        ];
        for (lines, expected) in table {
            assert_eq!(left(lines), *expected, "{lines:?}");
        }
    }

    fn left(lines: Lines) -> String {
        let mut fields: Fields = lines.iter().copied().collect();
        without_hop_by_hop(&mut fields);
        let mut out = Vec::new();
        fields.write(&mut out);
        String::from_utf8(out).expect("the test's fields are text")
    }
}
