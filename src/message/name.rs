//! The field names that the proxy itself looks for.

use std::sync::LazyLock;

use http::HeaderName;

/// Declares [`Name`] with the spelling of each name.
macro_rules! names {
    ($($variant:ident $text:literal,)*) => {
        /// A field name that the proxy knows, found once when a head is read. Steps compare it as a number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Name {
            $($variant,)*
            /// Any other name; compared by its bytes.
            Other,
        }

        impl Name {
            /// The usual spelling; empty for [`Name::Other`].
            #[must_use]
            #[inline]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            /// All but [`Name::Other`], in their order.
            const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

names! {
    Te "TE",
    Age "Age",
    Date "Date",
    Host "Host",
    Vary "Vary",
    Allow "Allow",
    Proxy "Proxy",
    Accept "Accept",
    Cookie "Cookie",
    Expect "Expect",
    Origin "Origin",
    Expires "Expires",
    Referer "Referer",
    Refresh "Refresh",
    Trailer "Trailer",
    Upgrade "Upgrade",
    Location "Location",
    Forwarded "Forwarded",
    XRealIp "X-Real-IP",
    Connection "Connection",
    KeepAlive "Keep-Alive",
    SetCookie "Set-Cookie",
    Tracestate "tracestate",
    UserAgent "User-Agent",
    RetryAfter "Retry-After",
    Traceparent "traceparent",
    ContentType "Content-Type",
    XRequestId "X-Request-Id",
    CacheControl "Cache-Control",
    Authorization "Authorization",
    ContentLength "Content-Length",
    Http2Settings "HTTP2-Settings",
    CdnCacheControl "CDN-Cache-Control",
    XForwardedFor "X-Forwarded-For",
    XForwardedHost "X-Forwarded-Host",
    XForwardedPort "X-Forwarded-Port",
    XForwardedProto "X-Forwarded-Proto",
    ContentEncoding "Content-Encoding",
    ContentLocation "Content-Location",
    ProxyConnection "Proxy-Connection",
    WwwAuthenticate "WWW-Authenticate",
    SecWebSocketKey "Sec-WebSocket-Key",
    SurrogateControl "Surrogate-Control",
    TransferEncoding "Transfer-Encoding",
    ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization",
    StrictTransportSecurity "Strict-Transport-Security",
    AccessControlRequestMethod "Access-Control-Request-Method",
    AccessControlRequestHeaders "Access-Control-Request-Headers",
}

/// The names as other libraries have them.
static AS_HEADER_NAMES: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    let names = Name::ALL.iter().map(|name| HeaderName::from_bytes(name.as_str().as_bytes()));
    names.map(|name| name.expect("a known name is a token")).collect()
});

impl Name {
    /// The name as other libraries have it, without reading it anew; `None` for [`Name::Other`].
    #[must_use]
    pub fn header_name(self) -> Option<&'static HeaderName> {
        AS_HEADER_NAMES.get(self as usize)
    }

    /// A bit of its own.
    #[must_use]
    pub(super) const fn bit(self) -> u64 {
        const { assert!(Self::ALL.len() < 64, "and one for the others") }
        1 << self as u8
    }

    /// Reads a name, in any case.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let candidate = Self::candidate(text);
        if same_letters(candidate.as_str().as_bytes(), text) { candidate } else { Self::Other }
    }

    /// The one name that this can be, by its length and the letters that tell names of one length apart.
    fn candidate(text: &[u8]) -> Self {
        let [first, .., last] = text else { return Self::Other };
        match (text.len(), first.to_ascii_lowercase(), last.to_ascii_lowercase()) {
            (2, ..) => Self::Te,
            (3, ..) => Self::Age,
            (4, b'h', _) => Self::Host,
            (4, b'd', _) => Self::Date,
            (4, ..) => Self::Vary,
            (5, b'p', _) => Self::Proxy,
            (5, ..) => Self::Allow,
            (6, b'a', _) => Self::Accept,
            (6, b'c', _) => Self::Cookie,
            (6, b'e', _) => Self::Expect,
            (6, ..) => Self::Origin,
            (7, b'r', b'r') => Self::Referer,
            (7, b'r', _) => Self::Refresh,
            (7, b'u', _) => Self::Upgrade,
            (7, b'e', _) => Self::Expires,
            (7, ..) => Self::Trailer,
            (8, ..) => Self::Location,
            (9, b'f', _) => Self::Forwarded,
            (9, ..) => Self::XRealIp,
            (10, b'c', _) => Self::Connection,
            (10, b'u', _) => Self::UserAgent,
            (10, b's', _) => Self::SetCookie,
            (10, b'k', _) => Self::KeepAlive,
            (10, ..) => Self::Tracestate,
            (11, b't', _) => Self::Traceparent,
            (11, ..) => Self::RetryAfter,
            (12, b'c', _) => Self::ContentType,
            (12, ..) => Self::XRequestId,
            (13, b'c', _) => Self::CacheControl,
            (13, ..) => Self::Authorization,
            (14, b'c', _) => Self::ContentLength,
            (14, ..) => Self::Http2Settings,
            (15, ..) => Self::XForwardedFor,
            (16, b'c', b'g') => Self::ContentEncoding,
            (16, b'c', _) => Self::ContentLocation,
            (16, b'w', _) => Self::WwwAuthenticate,
            (16, b'p', _) => Self::ProxyConnection,
            (16, ..) if text[12].eq_ignore_ascii_case(&b'h') => Self::XForwardedHost,
            (16, ..) => Self::XForwardedPort,
            (17, b'x', _) => Self::XForwardedProto,
            (17, b't', _) => Self::TransferEncoding,
            (17, b'c', _) => Self::CdnCacheControl,
            (17, _, b'y') => Self::SecWebSocketKey,
            (17, ..) => Self::SurrogateControl,
            (18, ..) => Self::ProxyAuthenticate,
            (19, ..) => Self::ProxyAuthorization,
            (25, ..) => Self::StrictTransportSecurity,
            (29, ..) => Self::AccessControlRequestMethod,
            (30, ..) => Self::AccessControlRequestHeaders,
            _ => Self::Other,
        }
    }
}

/// Whether `text` is `name` in any case; `name` has letters, digits and `-` alone. Words are compared, the last of them beside or
/// over the one before it.
fn same_letters(name: &[u8], text: &[u8]) -> bool {
    match (name.as_chunks::<8>(), text.as_chunks::<8>()) {
        _ if name.len() != text.len() => false,
        (([], _), _) if name.len() < 4 => name.eq_ignore_ascii_case(text),
        (([], _), _) => {
            let word = |bytes: &[u8]| match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
                (Some(first), Some(last)) => {
                    u64::from(u32::from_ne_bytes(*first)) << 32 | u64::from(u32::from_ne_bytes(*last))
                }
                _ => 0,
            };
            same_word(word(name), word(text))
        }
        ((names, _), (texts, _)) => {
            let last = |bytes: &[u8]| bytes.last_chunk::<8>().map_or(0, |last| u64::from_ne_bytes(*last));
            let words = names.iter().zip(texts);
            words.fold(true, |same, (a, b)| same & same_word(u64::from_ne_bytes(*a), u64::from_ne_bytes(*b)))
                & same_word(last(name), last(text))
        }
    }
}

/// Eight bytes in any case. The bit that makes a letter small tells a digit and `-` from control characters: those never match.
const fn same_word(name: u64, text: u64) -> bool {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    const PRINTS: u64 = 0x4040_4040_4040_4040;
    (name | SMALL) == (text | SMALL) && (text | text << 1) & PRINTS == PRINTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_in_any_case() {
        for name in Name::ALL {
            let text = name.as_str();
            assert_eq!(Name::of(text.as_bytes()), *name, "{text}");
            assert_eq!(name.header_name().map(HeaderName::as_str), Some(&*text.to_ascii_lowercase()));
            assert_eq!(Name::of(text.to_ascii_lowercase().as_bytes()), *name, "{text}");
            assert_eq!(Name::of(text.to_ascii_uppercase().as_bytes()), *name, "{text}");
        }
        let others = [
            "",
            "x",
            "Hos",
            "Hostt",
            "Content-Lengthy",
            "X-Other",
            "Content\rLength",
            "HTTP\u{12}-Settings",
            "Content-Lenght",
        ];
        assert_eq!(Name::Other.header_name(), None);
        for other in others {
            assert_eq!(Name::of(other.as_bytes()), Name::Other, "{other}");
        }
    }
}
