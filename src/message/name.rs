//! The field names that the proxy itself looks for.

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
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            #[cfg(test)]
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

impl Name {
    /// Reads a name, in any case.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let among = |names: &[Self]| {
            names
                .iter()
                .copied()
                .find(|name| name.as_str().as_bytes().eq_ignore_ascii_case(text))
                .unwrap_or(Self::Other)
        };
        match text.len() {
            2 => among(&[Self::Te]),
            3 => among(&[Self::Age]),
            4 => among(&[Self::Host, Self::Date, Self::Vary]),
            5 => among(&[Self::Proxy, Self::Allow]),
            6 => among(&[Self::Accept, Self::Cookie, Self::Expect, Self::Origin]),
            7 => among(&[Self::Referer, Self::Upgrade, Self::Expires, Self::Trailer, Self::Refresh]),
            8 => among(&[Self::Location]),
            9 => among(&[Self::Forwarded, Self::XRealIp]),
            10 => among(&[Self::Connection, Self::UserAgent, Self::SetCookie, Self::KeepAlive, Self::Tracestate]),
            11 => among(&[Self::Traceparent, Self::RetryAfter]),
            12 => among(&[Self::ContentType, Self::XRequestId]),
            13 => among(&[Self::CacheControl, Self::Authorization]),
            14 => among(&[Self::ContentLength, Self::Http2Settings]),
            15 => among(&[Self::XForwardedFor]),
            16 => among(&[
                Self::ContentEncoding,
                Self::XForwardedHost,
                Self::XForwardedPort,
                Self::WwwAuthenticate,
                Self::ContentLocation,
                Self::ProxyConnection,
            ]),
            17 => among(&[
                Self::XForwardedProto,
                Self::TransferEncoding,
                Self::SecWebSocketKey,
                Self::CdnCacheControl,
                Self::SurrogateControl,
            ]),
            18 => among(&[Self::ProxyAuthenticate]),
            19 => among(&[Self::ProxyAuthorization]),
            25 => among(&[Self::StrictTransportSecurity]),
            29 => among(&[Self::AccessControlRequestMethod]),
            30 => among(&[Self::AccessControlRequestHeaders]),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn every_name_is_read_in_any_case() {
        for name in Name::ALL {
            let text = name.as_str();
            assert_eq!(Name::of(text.as_bytes()), *name, "{text}");
            assert_eq!(Name::of(text.to_ascii_lowercase().as_bytes()), *name, "{text}");
            assert_eq!(Name::of(text.to_ascii_uppercase().as_bytes()), *name, "{text}");
        }
        for other in ["", "x", "Hos", "Hostt", "Content-Lengthy", "X-Other"] {
            assert_eq!(Name::of(other.as_bytes()), Name::Other, "{other}");
        }
    }
}
