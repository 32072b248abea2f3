//! One exchange that has ended, with all that is said about it in the log, in the event stream and in a trace.

use std::net::IpAddr;
use std::time::Duration;

use super::trace::{RequestId, TraceContext};

/// Everything known of one exchange. Borrowed: nothing is copied before somebody wants it.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeRecord<'a> {
    pub method: &'a str,
    pub scheme: &'a str,
    /// As the client sent it, without the query.
    pub path: &'a [u8],
    pub query: Option<&'a str>,
    /// `1.0`, `1.1` or `2`.
    pub protocol: &'a str,
    /// With the port, if the client named one.
    pub host: &'a str,
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
    pub client: Option<IpAddr>,
    /// 0: nothing was sent.
    pub status: u16,
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
    /// What became of the copy.
    pub shadow: Option<&'a str>,
    /// Whose fault, and what.
    pub error: Option<(&'a str, &'a str)>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub timings: Timings,
    pub request_id: &'a RequestId,
    pub trace: &'a TraceContext,
    pub generation: u64,
}

/// Where the time of an exchange went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// From the request's head until an upstream was asked.
    pub queue: Option<Duration>,
    /// Until the connection to the endpoint was there.
    pub connect: Option<Duration>,
    /// Until the first byte of the upstream's answer.
    pub first_byte: Option<Duration>,
    pub total: Duration,
}
