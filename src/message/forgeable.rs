//! Names of the fields that programs behind the edge believe. The edge removes those that an untrusted client has sent.

/// Families: of each, every member is removed.
pub const FORGEABLE_FAMILIES: [&str; 2] = ["x-forwarded-", "x-multilith-"];

/// Removed, too. httpoxy: CGI programs read `Proxy` as the variable `HTTP_PROXY`. `Forwarded` is the edge's own; the others are
/// between the client and the edge alone.
pub const FORGEABLE_NAMES: [&str; 5] =
    ["forwarded", "http2-settings", "proxy", "proxy-authenticate", "proxy-authorization"];

/// Removed where `_` stands for `-`: every CGI and WSGI takes the one for the other, and would read framing, forwarding or a field
/// of the edge.
pub const FORGEABLE_WITH_UNDERSCORE: [&str; 15] = [
    "connection",
    "content-length",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded",
    "x-real-ip",
    "x-request-id",
];

/// Whether a field is of one of the families, in any case.
#[must_use]
pub fn is_of_forgeable_family(name: &[u8]) -> bool {
    FORGEABLE_FAMILIES
        .iter()
        .any(|family| name.get(..family.len()).is_some_and(|head| head.eq_ignore_ascii_case(family.as_bytes())))
}
