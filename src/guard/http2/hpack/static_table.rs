//! The static table of HPACK.

use crate::message::Name;

/// RFC 7541, appendix A.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The index of a response's status.
pub(super) const fn of_status(status: u16) -> Option<usize> {
    Some(match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => return None,
    })
}

/// An index with this name, whose value is another; for the names of responses.
pub(super) fn of_name(known: Name, name: &[u8]) -> Option<usize> {
    Some(match known {
        Name::Age => 21,
        Name::Allow => 22,
        Name::CacheControl => 24,
        Name::ContentEncoding => 26,
        Name::ContentLength => 28,
        Name::ContentLocation => 29,
        Name::ContentType => 31,
        Name::Date => 33,
        Name::Expires => 36,
        Name::Location => 46,
        Name::ProxyAuthenticate => 48,
        Name::Refresh => 52,
        Name::RetryAfter => 53,
        Name::SetCookie => 55,
        Name::StrictTransportSecurity => 56,
        Name::Vary => 59,
        Name::WwwAuthenticate => 61,
        Name::Other => {
            let (index, other) = match (name.len(), name.first()?.to_ascii_lowercase()) {
                (3, _) => (60, "via"),
                (4, b'e') => (34, "etag"),
                (4, _) => (45, "link"),
                (6, _) => (54, "server"),
                (13, b'a') => (18, "accept-ranges"),
                (13, b'c') => (30, "content-range"),
                (13, _) => (44, "last-modified"),
                (16, _) => (27, "content-language"),
                (19, _) => (25, "content-disposition"),
                (27, _) => (20, "access-control-allow-origin"),
                _ => return None,
            };
            return name.eq_ignore_ascii_case(other.as_bytes()).then_some(index);
        }
        _ => return None,
    })
}

/// Whether this is the name of a value that says something about one response alone: `etag`, `last-modified`, `content-range`.
pub(super) const fn is_of_one_response(index: usize) -> bool {
    matches!(index, 30 | 34 | 44)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_index_that_the_table_gives_it() {
        for (place, (name, _)) in STATIC.iter().enumerate() {
            let of_name = of_name(Name::of(name.as_bytes()), name.to_ascii_uppercase().as_bytes());
            assert!(of_name.is_none_or(|index| STATIC[index - 1].0 == *name), "{name} at {place}");
        }
        for name in ["server", "link", "etag", "date", "set-cookie", "content-type", "access-control-allow-origin"] {
            let of_name = of_name(Name::of(name.as_bytes()), name.as_bytes());
            assert_eq!(of_name.map(|index| STATIC[index - 1].0), Some(name));
        }
        assert_eq!(of_name(Name::Other, b"x-powered-by"), None);
        let once: Vec<_> =
            (1..=STATIC.len()).filter(|index| is_of_one_response(*index)).map(|index| STATIC[index - 1].0).collect();
        assert_eq!(once, ["content-range", "etag", "last-modified"]);
        for status in 100..600 {
            let text = status.to_string();
            let place = STATIC.iter().position(|(name, value)| *name == ":status" && *value == text);
            assert_eq!(of_status(status), place.map(|place| place + 1));
        }
    }
}
