//! Records of an exchange, an attempt or a copy that has ended, with all that the log, the event stream and the trace say about it.

use std::any::Any;
use std::net::IpAddr;
use std::time::Duration;

use super::trace::{RequestId, TraceContext};
use crate::endpoint::TargetSpec;
use crate::message::GrpcStatus;
use crate::route::RemoteCall;

/// Everything known of one exchange. Borrowed: nothing is copied before a log, a metric or a span needs it.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeRecord<'a> {
    pub method: &'a str,
    pub scheme: &'a str,
    /// As the client sent it, without the query.
    pub path: &'a [u8],
    /// Byte for byte.
    pub query: Option<&'a [u8]>,
    /// Keys of the query whose values are not written, beside the usual ones: lower case, without `-` and `_`.
    pub hidden: &'a [Box<str>],
    /// `1.0`, `1.1` or `2`.
    pub protocol: &'a str,
    /// With the port, if the client named one.
    pub host: &'a str,
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
    pub client: Option<IpAddr>,
    /// 0: nothing was sent.
    pub status: u16,
    /// How a call of gRPC ended.
    pub grpc: Option<GrpcStatus>,
    pub route: &'a str,
    pub stage: &'a str,
    pub side: &'a str,
    pub reason: &'a str,
    /// Empty: none was asked.
    pub upstream: &'a str,
    /// Empty: none was asked.
    pub endpoint: &'a str,
    pub attempts: u8,
    /// Why the monolith answered instead of the service.
    pub fallback: Option<&'a str>,
    /// The service's status, where the fallback is because of it.
    pub fallback_status: Option<u16>,
    /// The fate of the copy.
    pub shadow: Option<&'a str>,
    /// The one at fault, and the fault.
    pub error: Option<(&'a str, &'a str)>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub timings: Timings,
    pub request_id: &'a RequestId,
    pub trace: &'a TraceContext,
    pub generation: u64,
}

impl ExchangeRecord<'_> {
    /// The status that the exchange is judged by: that of the call, or that of HTTP.
    pub(super) fn judged(&self) -> u16 {
        self.grpc.map_or(self.status, GrpcStatus::as_http)
    }
}

/// Where the time of an exchange went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// From the request's head until an upstream was asked.
    pub queue: Option<Duration>,
    /// Of that, in the queue of an upstream; `None`: it takes any number of requests at once.
    pub queue_wait: Option<Duration>,
    /// Until the connection to the endpoint was there.
    pub connect: Option<Duration>,
    /// Until the first byte of the upstream's answer.
    pub first_byte: Option<Duration>,
    pub total: Duration,
}

/// A request that ended in a panic: a bug, of which only its own client hears.
pub struct PanicRecord<'a> {
    /// The hook, or what else was at work.
    pub place: &'a str,
    /// `-`: none is known.
    pub route: &'a str,
    /// The payload of the panic.
    pub panic: &'a (dyn Any + Send),
}

/// The kind of an endpoint that is no server of HTTP, for traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalleeRecord<'a> {
    /// A method of a service.
    Method { system: &'a str, service: &'a str, method: &'a str },
    /// A function of AWS; what it is asked is told as a request of HTTP.
    Function { name: &'a str, region: &'a str },
}

impl<'a> CalleeRecord<'a> {
    /// `None`: a server of HTTP.
    #[must_use]
    pub fn of(target: &'a TargetSpec, call: Option<&'a RemoteCall>) -> Option<Self> {
        match target {
            TargetSpec::Http => None,
            TargetSpec::Lambda(spec) => Some(Self::Function { name: &spec.function, region: &spec.region }),
            TargetSpec::Nameko(spec) => {
                Some(Self::Method { system: target.name(), service: &spec.service, method: &call?.method })
            }
        }
    }
}

/// One attempt to have an endpoint answer.
#[derive(Debug, Clone, Copy)]
pub struct AttemptRecord<'a> {
    /// `TraceContext::for_attempt`: what the endpoint was sent.
    pub trace: &'a TraceContext,
    pub method: &'a str,
    /// `None`: a server of HTTP.
    pub callee: Option<CalleeRecord<'a>>,
    pub route: &'a str,
    pub side: &'a str,
    pub upstream: &'a str,
    pub endpoint: &'a str,
    /// Counted from 0.
    pub number: u8,
    /// 0: no answer.
    pub status: u16,
    /// An idle connection was used again.
    pub reused: bool,
    /// The fault.
    pub error: Option<&'a str>,
    pub total: Duration,
}

/// One copy of a request.
#[derive(Debug, Clone, Copy)]
pub struct ShadowRecord<'a> {
    /// `TraceContext::for_shadow`: what the target was sent.
    pub trace: &'a TraceContext,
    pub method: &'a str,
    /// `None`: a server of HTTP.
    pub callee: Option<CalleeRecord<'a>>,
    pub route: &'a str,
    pub upstream: &'a str,
    pub endpoint: &'a str,
    /// answered, timeout, connect or reset.
    pub outcome: &'a str,
    /// 0: no answer.
    pub status: u16,
    /// match, mismatch or incomparable.
    pub verdict: Option<&'a str>,
    pub total: Duration,
}
