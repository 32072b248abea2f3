//! Calls of gRPC: what tells one from another request, and the status that says how it ended.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::{Fields, Name};

/// The field, or trailer, that says how a call ended.
pub const GRPC_STATUS: &str = "grpc-status";
/// The message for a person, percent-encoded.
pub const GRPC_MESSAGE: &str = "grpc-message";

const CALL: &[u8] = b"application/grpc";

/// The fields of a call's request, or of its response: `content-type: application/grpc*`.
#[must_use]
pub fn is_call(fields: &Fields) -> bool {
    fields.get(Name::ContentType).is_some_and(names_call)
}

/// The same for the media type alone.
#[must_use]
pub fn names_call(kind: &[u8]) -> bool {
    kind.get(..CALL.len()).is_some_and(|start| start.eq_ignore_ascii_case(CALL))
}

/// gRPC-Web, whose trailers are a part of the body.
#[must_use]
pub fn is_web_call(fields: &Fields) -> bool {
    let web = |kind: &[u8]| names_call(kind) && kind[CALL.len()..].to_ascii_lowercase().starts_with(b"-web");
    fields.get(Name::ContentType).is_some_and(web)
}

/// The status of a call: 0 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    pub const OK: Self = Self(0);
    pub const CANCELLED: Self = Self(1);
    pub const UNKNOWN: Self = Self(2);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    pub const PERMISSION_DENIED: Self = Self(7);
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    pub const FAILED_PRECONDITION: Self = Self(9);
    pub const UNIMPLEMENTED: Self = Self(12);
    pub const INTERNAL: Self = Self(13);
    pub const UNAVAILABLE: Self = Self(14);
    pub const UNAUTHENTICATED: Self = Self(16);
    const INVALID_ARGUMENT: Self = Self(3);

    const NAMES: [&'static str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// The statuses of HTTP that say the same (google.rpc.Code): of a failure 5xx, of a refusal 4xx.
    const HTTP: [u16; 17] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

    /// The status in a head, or in trailers. `None`: there is none.
    #[must_use]
    pub fn of(fields: &Fields) -> Option<Self> {
        fields.get(GRPC_STATUS).map(Self::read)
    }

    /// Any other status is UNKNOWN, as in every client.
    #[must_use]
    pub fn read(value: &[u8]) -> Self {
        let code = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<u8>().ok());
        code.filter(|code| usize::from(*code) < Self::NAMES.len()).map_or(Self::UNKNOWN, Self)
    }

    /// The gRPC status for a response of our own with this status of HTTP.
    #[must_use]
    pub const fn from_http(status: u16) -> Self {
        match status {
            200..=299 => Self::OK,
            400 => Self::INVALID_ARGUMENT,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 | 405 | 415 => Self::UNIMPLEMENTED,
            408 => Self::CANCELLED,
            413 | 414 | 429 | 431 => Self::RESOURCE_EXHAUSTED,
            500 => Self::INTERNAL,
            502 | 503 => Self::UNAVAILABLE,
            504 => Self::DEADLINE_EXCEEDED,
            300..=399 => Self::FAILED_PRECONDITION,
            _ => Self::UNKNOWN,
        }
    }

    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// `UNAVAILABLE` and so on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.0 as usize]
    }

    /// It counts as a failure wherever a 5xx does. The others but OK are refusals, as a 4xx is.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self.as_http() >= 500
    }

    /// The status of HTTP that says the same: of a failure 5xx, of a refusal 4xx.
    #[must_use]
    pub const fn as_http(self) -> u16 {
        Self::HTTP[self.0 as usize]
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How an exchange ended, as counters and tables name it: a status of HTTP, a status of gRPC, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultCode(u16);

impl ResultCode {
    const NONE: u16 = 0;
    /// Behind the statuses of HTTP.
    const GRPC: u16 = 600;

    /// A status outside 100 to 599 is none: nothing that could be named was answered.
    #[must_use]
    pub const fn http(status: u16) -> Self {
        Self(if status >= 100 && status < Self::GRPC { status } else { Self::NONE })
    }

    #[must_use]
    pub const fn grpc(status: GrpcStatus) -> Self {
        Self(Self::GRPC + status.0 as u16)
    }

    /// As [`ResultCode::number`] gave it.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            Self::GRPC..=616 => Self(number),
            status => Self::http(status),
        }
    }

    /// Below 1024, to be kept.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The status of HTTP, or the one that says the same as that of gRPC; 0: nothing was answered.
    #[must_use]
    pub const fn as_http(self) -> u16 {
        match self.as_grpc() {
            Some(status) => status.as_http(),
            None => self.0,
        }
    }

    #[must_use]
    pub const fn as_grpc(self) -> Option<GrpcStatus> {
        // At most 16: the constructors see to it.
        if self.0 >= Self::GRPC { Some(GrpcStatus((self.0 - Self::GRPC).to_le_bytes()[0])) } else { None }
    }

    /// A 5xx, or a status of gRPC that counts like one.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self.as_http() >= 500
    }
}

impl From<u16> for ResultCode {
    fn from(status: u16) -> Self {
        Self::http(status)
    }
}

/// `503`, `grpc-14` or `none`.
impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.as_grpc()) {
            (Self::NONE, _) => f.write_str("none"),
            (_, Some(status)) => write!(f, "grpc-{}", status.0),
            (status, None) => write!(f, "{status}"),
        }
    }
}

/// Besides control characters and what is no ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// A text as `grpc-message` carries it: printable ASCII, all else percent-encoded.
#[must_use]
pub fn encode_grpc_message(text: &str) -> Vec<u8> {
    percent_encode(text.as_bytes(), ENCODED).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::percent_decoded;
    use super::*;

    fn typed(kind: &'static str) -> Fields {
        [("Content-Type", kind)].into_iter().collect()
    }

    #[test]
    fn a_call_is_known_by_its_content_type() {
        for (kind, call, web) in [
            ("application/grpc", true, false),
            ("Application/gRPC+proto", true, false),
            ("application/grpc;charset=utf-8", true, false),
            ("application/grpc-web+proto", true, true),
            ("application/GRPC-WEB-text", true, true),
            ("application/json", false, false),
            ("application/gr", false, false),
        ] {
            assert_eq!((is_call(&typed(kind)), is_web_call(&typed(kind))), (call, web), "{kind}");
        }
        assert!(!is_call(&Fields::new()));
    }

    #[test]
    fn six_statuses_are_failures_and_the_others_refusals() {
        let failures: Vec<_> = (0..=16).map(GrpcStatus).filter(|status| status.is_failure()).collect();
        let names: Vec<_> = failures.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]);
        for status in (1..=16).map(GrpcStatus).filter(|status| !status.is_failure()) {
            assert!((400..500).contains(&status.as_http()), "{status}");
        }
        assert_eq!(GrpcStatus::OK.as_http(), 200);
    }

    #[test]
    fn a_status_that_nobody_knows_is_unknown() {
        for (text, code) in [("0", 0), ("13", 13), (" 5 ", 5), ("17", 2), ("-1", 2), ("", 2), ("ok", 2), ("300", 2)] {
            assert_eq!(GrpcStatus::read(text.as_bytes()).code(), code, "{text:?}");
        }
    }

    #[test]
    fn our_own_errors_have_the_names_of_the_contract() {
        for (status, name) in [
            (502, "UNAVAILABLE"),
            (503, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
            (429, "RESOURCE_EXHAUSTED"),
            (401, "UNAUTHENTICATED"),
            (413, "RESOURCE_EXHAUSTED"),
            (403, "PERMISSION_DENIED"),
            (308, "FAILED_PRECONDITION"),
        ] {
            assert_eq!(GrpcStatus::from_http(status).name(), name, "{status}");
        }
    }

    #[test]
    fn a_result_is_named_by_its_protocol_and_found_again_by_its_number() {
        for (result, text, http, failure) in [
            (ResultCode::http(503), "503", 503, true),
            (ResultCode::http(0), "none", 0, false),
            (ResultCode::http(700), "none", 0, false),
            (ResultCode::grpc(GrpcStatus::INTERNAL), "grpc-13", 500, true),
            (ResultCode::grpc(GrpcStatus::OK), "grpc-0", 200, false),
        ] {
            assert_eq!((result.to_string().as_str(), result.as_http(), result.is_failure()), (text, http, failure));
            assert_eq!(ResultCode::from_number(result.number()), result);
        }
        assert_eq!(ResultCode::from_number(617), ResultCode::http(0));
    }

    #[test]
    fn a_message_is_the_same_behind_both_ends() {
        for (text, wire) in [("no: ä % \n x", "no: %C3%A4 %25 %0A x"), ("plain", "plain"), ("", "")] {
            assert_eq!(encode_grpc_message(text), wire.as_bytes());
            assert_eq!(percent_decoded(wire.as_bytes()), text);
        }
        assert_eq!(percent_decoded(b"100% %zz %"), "100% %zz %");
    }
}
