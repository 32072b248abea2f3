//! A comparison's input: a request and the answers of both sides.

use bytes::Bytes;
use http::header::{
    CONTENT_TYPE, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, Method, StatusCode};
use xxhash_rust::xxh3::xxh3_64;

use crate::message::{GRPC_STATUS, GrpcStatus, ResultCode, names_call};

/// The known part of an answer's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it, with its content codings.
    Whole(Bytes),
    /// Read to its end but too large to keep.
    Hashed { length: u64, hash: u64 },
    /// It ended before its end: a reset, a timeout, a client that left.
    Cut,
    /// It has no end to wait for: server-sent events, an upgrade.
    Streamed,
    /// The answer has none.
    None,
}

impl Body {
    /// The hash of `Body::Hashed` for a body that is held whole; streaming hashers must use the same (XXH3, seed 0).
    #[must_use]
    pub fn hash(bytes: &[u8]) -> u64 {
        xxh3_64(bytes)
    }

    /// Length and hash, if the whole body was seen.
    pub(super) fn digest(&self) -> Option<(u64, u64)> {
        match self {
            Self::Whole(bytes) => Some((bytes.len() as u64, Self::hash(bytes))),
            Self::Hashed { length, hash } => Some((*length, *hash)),
            Self::None => Some((0, Self::hash(&[]))),
            Self::Cut | Self::Streamed => None,
        }
    }
}

/// One side's answer.
#[derive(Debug, Clone)]
pub struct ComparedResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

impl ComparedResponse {
    /// The request's result: of a gRPC call its status, which stands beside the fields of the head.
    #[must_use]
    pub fn result(&self, request: &ComparedRequest<'_>) -> ResultCode {
        let http = ResultCode::http(self.status.as_u16());
        if !request.is_call() || !self.status.is_success() {
            return http;
        }
        let said = self.headers.get(GRPC_STATUS);
        ResultCode::grpc(said.map_or(GrpcStatus::UNKNOWN, |value| GrpcStatus::read(value.as_bytes())))
    }
}

/// The request that was answered, as the client sent it.
#[derive(Debug, Clone, Copy)]
pub struct ComparedRequest<'a> {
    pub method: &'a Method,
    /// Path and query.
    pub target: &'a str,
    pub headers: &'a HeaderMap,
    /// Empty when there was none or it was not kept.
    pub body: &'a [u8],
}

impl ComparedRequest<'_> {
    /// A call of gRPC. (Of gRPC-Web the status is a part of the body.)
    pub(super) fn is_call(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        kind.is_some_and(|kind| names_call(kind) && !kind.to_ascii_lowercase().starts_with(b"application/grpc-web"))
    }

    /// Whether a 304 is an answer to what was asked.
    pub(super) fn is_conditional(&self) -> bool {
        [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE]
            .iter()
            .any(|name| self.headers.contains_key(name))
    }
}
