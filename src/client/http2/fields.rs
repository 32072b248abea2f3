//! Fields as the library takes them.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::message::{Fields, Name};

/// Whether a field is of one connection of HTTP/1, and of none of HTTP/2 (RFC 9113, 8.2.2).
#[must_use]
pub fn is_of_connection(known: Name, value: &[u8]) -> bool {
    match known {
        Name::Connection
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::TransferEncoding
        | Name::Upgrade
        | Name::Http2Settings => true,
        Name::Te => !value.eq_ignore_ascii_case(b"trailers"),
        _ => false,
    }
}

/// The fields in lower case, without those of one connection and without what `left_out` names. Fields of one
/// name stand together, in their order; all others keep theirs.
#[must_use]
pub fn header_map(fields: &Fields, left_out: impl Fn(Name) -> bool) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (known, name, value) in fields.named() {
        if is_of_connection(known, value) || left_out(known) {
            continue;
        }
        let name = known.header_name().cloned().map_or_else(|| HeaderName::from_bytes(name), Ok);
        // A name or value that such a map cannot hold is not a field.
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_bytes(value)) {
            // No two are alike: the table of HPACK has no use for them.
            value.set_sensitive(matches!(known, Name::XRequestId | Name::Traceparent));
            map.append(name, value);
        }
    }
    map
}
