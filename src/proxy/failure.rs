//! The failures of one request: whose fault each is, its status, its counter. All in this file.

use std::fmt;

use crate::downstream::ClientFault;
use crate::guard::jwt::Rejected;
use crate::message::GrpcStatus;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Client,
    Upstream,
    Proxy,
}

impl Blame {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

/// A failed exchange, or a failed attempt of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The request was refused before anything was sent; the label of `refused_total`.
    Refused {
        status: u16,
        reason: &'static str,
    },
    /// A request without TLS where everything is to come with it: told where to.
    PlainHttp,
    /// The route answers with another address, with this status. Nothing has failed.
    Redirect(u16),
    /// The file asks for failures, and this request is one of them.
    OnPurpose(u16),
    /// An authority asks for the proof of a host, and gets it.
    Proof,
    /// The route asks for a token, and this is what is wrong with the client's.
    Unauthorized(Rejected),
    /// The server that `auth.forward` names did not let the request pass: its answer is the client's.
    Denied(u16),
    /// A server that identifies the client gave no answer, or none of use: the service was not asked.
    Unidentified,
    /// No endpoint may be asked: nothing was sent.
    NoEndpoint,
    /// The upstream takes no more requests at once, and as many wait as may, or this one waited for too long: nothing was sent.
    Queue,
    /// No connection to the endpoint: nothing was sent.
    Connect,
    /// No answer, or a pause inside it, for too long.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// The bytes are not HTTP.
    Protocol,
    /// The endpoint answered with a status that counts as its failure.
    Status(u16),
    /// A call of gRPC that the endpoint answered with a status that counts as its failure.
    Grpc(GrpcStatus),
    /// The endpoint's version of HTTP cannot carry the request, and this sentence says why: nothing was sent, and it is not the endpoint's
    /// fault.
    Unwritable(&'static str),
    /// No descriptor was left for a connection to the endpoint: nothing was sent, and it is not the endpoint's fault.
    Descriptors,
    /// The client went away.
    ClientGone,
    /// The client stopped sending its body.
    ClientStalled,
    Internal,
}

impl Failure {
    pub const fn fault(self) -> Blame {
        match self {
            Self::Refused { .. }
            | Self::PlainHttp
            | Self::Redirect(_)
            | Self::Proof
            | Self::Unauthorized(_)
            | Self::Denied(_)
            | Self::ClientGone
            | Self::ClientStalled => Blame::Client,
            Self::Internal | Self::Unwritable(_) | Self::Descriptors | Self::OnPurpose(_) => Blame::Proxy,
            _ => Blame::Upstream,
        }
    }

    /// The status that the client gets if no other endpoint answers; `None`: the client is gone.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Refused { status, .. }
            | Self::Status(status)
            | Self::Redirect(status)
            | Self::OnPurpose(status)
            | Self::Denied(status) => Some(status),
            Self::PlainHttp => Some(308),
            Self::Proof => Some(200),
            Self::Unauthorized(_) => Some(401),
            Self::NoEndpoint | Self::Queue | Self::Descriptors | Self::Unidentified => Some(503),
            Self::Connect | Self::Reset | Self::Protocol | Self::Unwritable(_) => Some(502),
            Self::Timeout => Some(504),
            Self::ClientStalled => Some(408),
            Self::Internal => Some(500),
            Self::Grpc(status) => Some(status.as_http()),
            Self::ClientGone => None,
        }
    }

    /// The endpoint answered to the end, and its answer says that it failed.
    pub const fn is_said(self) -> bool {
        matches!(self, Self::Status(_) | Self::Grpc(_))
    }

    /// The status with which the endpoint failed; of gRPC the one of HTTP that says the same.
    pub const fn answered(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status),
            Self::Grpc(status) => Some(status.as_http()),
            _ => None,
        }
    }

    /// The `kind` of `upstream_errors_total`, and the reason of a fallback or a retry.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Refused { reason, .. } => reason,
            Self::PlainHttp | Self::Redirect(_) => "redirect",
            Self::OnPurpose(_) => "on_purpose",
            Self::Proof => "acme_challenge",
            Self::Unauthorized(_) => "token",
            Self::Denied(_) => "auth",
            Self::Unidentified => "no_identity",
            Self::NoEndpoint => "no_endpoint",
            Self::Queue => "queue",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Status(_) | Self::Grpc(_) => "status",
            Self::Unwritable(_) => "target",
            Self::Descriptors => "descriptors",
            Self::ClientGone => "client_gone",
            Self::ClientStalled => "client_stalled",
            Self::Internal => "internal",
        }
    }

    /// The label of `refused_total`, for what the proxy itself refused.
    pub const fn refused(self) -> Option<&'static str> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            Self::PlainHttp => Some("redirect"),
            Self::Unauthorized(_) => Some("token"),
            Self::Denied(_) => Some("auth"),
            Self::Unwritable(_) => Some("target"),
            Self::Descriptors => Some("descriptors"),
            Self::ClientStalled => Some("body_timeout"),
            _ => None,
        }
    }

    /// Nothing of the request reached the endpoint, so any method may go elsewhere.
    pub const fn nothing_sent(self) -> bool {
        matches!(self, Self::NoEndpoint | Self::Queue | Self::Connect | Self::Unidentified | Self::Unwritable(_))
    }

    /// One sentence for the person behind the request. Never says what is behind the proxy.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Refused { status: 400, .. } => "The request is malformed.",
            Self::Refused { status: 404, .. } => "There is nothing at this address.",
            Self::Refused { status: 405, .. } => "This method is not supported.",
            Self::Refused { status: 408, .. } | Self::ClientStalled => "The request took too long to arrive.",
            Self::Refused { status: 413, .. } => "The request body is too large.",
            Self::Refused { status: 414 | 431, .. } => "The request's head is too large.",
            Self::Refused { status: 429, .. } => "Too many requests. Try again later.",
            Self::NoEndpoint
            | Self::Queue
            | Self::Descriptors
            | Self::OnPurpose(_)
            | Self::Unidentified
            | Self::Refused { status: 503, .. } => "The application is not available right now. Try again in a moment.",
            Self::Refused { status: 500, .. } | Self::ClientGone | Self::Internal => "Something went wrong.",
            Self::Refused { .. } | Self::Denied(_) => "The request was refused.",
            Self::Redirect(_) => "This is at another address.",
            Self::Proof => "",
            Self::PlainHttp => "This is only served with https.",
            Self::Unauthorized(rejected) => rejected.as_str(),
            Self::Unwritable(why) => why,
            Self::Connect => "The application could not be reached.",
            Self::Timeout => "The application took too long to answer.",
            Self::Reset | Self::Protocol | Self::Status(_) | Self::Grpc(_) => "The application broke off its answer.",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Grpc(status) => write!(f, "status {status}"),
            other => f.write_str(other.kind()),
        }
    }
}

/// The failure for a fault of the client's end.
pub fn of_client(fault: &ClientFault) -> Failure {
    match fault {
        ClientFault::Gone(_) | ClientFault::Reset(_) => Failure::ClientGone,
        ClientFault::Malformed(malformed) => Failure::Refused { status: malformed.status, reason: malformed.reason },
    }
}
