//! Clients of upstreams and other servers: a connection is made or reused, written to and read from within limits.
//!
//! The ends of a connection are state machines with `poll_` methods that own what they have not written yet: dropping a future
//! that polls them loses nothing that was promised, and one task with one waker can move both directions at once.

pub mod ask;
mod aws_credentials;
mod aws_keys;
mod connect;
mod end;
pub mod etcd;
mod etcd_v2;
pub mod fetch;
pub mod http1;
pub mod http2;
pub mod idle_pool;
mod json_lines;
mod keep_alive;
mod lambda;
mod nameko;
mod opening;
mod outbox;
mod peer;
pub mod pipe;
pub mod prometheus;
mod publish;
pub mod read;
mod socket;
mod target;
pub mod task;
pub mod tls;
mod translated;

/// The User-Agent of the program's own requests.
pub const OUR_AGENT: &str = concat!("multilith/", env!("CARGO_PKG_VERSION"));

pub use ask::{AskError, Request, Response};
pub use connect::{ConnectError, connect};
pub use end::End;
pub use fetch::FetchError;
pub use json_lines::JsonLines;
pub use keep_alive::KeepAliveClient;
pub use nameko::{BrokerTls, BusDown, arguments as broker_arguments};
pub use outbox::Outbox;
pub use peer::Peer;
pub use publish::{PublishError, PublishMessage, Publisher};
pub use socket::Socket;
pub use target::Protocol;
pub use translated::{Brief, CallContext, RemoteBrief, Translation};

use std::io;

/// A fault at the upstream's end of a connection.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFault {
    /// The connection ended, or was reset, before the response did.
    #[error("{}", .0.kind())]
    Ended(#[from] io::Error),
    /// The bytes are not HTTP; the rule that they break.
    #[error("not HTTP: {0}")]
    Malformed(&'static str),
    /// The upstream says that it has not processed the request (HTTP/2: `REFUSED_STREAM`, or GOAWAY with a lower stream): any
    /// method may be sent again.
    #[error("not processed")]
    Unprocessed,
    /// The upstream wants this request over HTTP/1.1 (HTTP/2: `HTTP_1_1_REQUIRED`).
    #[error("HTTP/1.1 required")]
    NeedsHttp1,
    /// The request cannot be written for this version of HTTP, and this sentence says why. Nothing was sent, and the upstream is not to
    /// blame.
    #[error("{0}")]
    Unwritable(&'static str),
    /// The target says that it has not run the request: any method may be asked elsewhere.
    #[error(transparent)]
    NotRun(NotRun),
    /// The request cannot be put to this target; the status for the client, and the label of `refused_total`. Nothing was run.
    #[error("not possible for this target: {reason}")]
    Refused { status: u16, reason: &'static str },
}

/// Why a target has not run a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// There is no such function.
    #[error("the target does not exist")]
    Unknown,
    /// We may not call it, or have nothing to show that we may.
    #[error("the target may not be called")]
    Denied,
    /// It is called too often, or its broker takes no messages.
    #[error("the target is called too often")]
    Throttled,
    /// There is no connection to its broker.
    #[error("no connection to the broker")]
    Unreachable,
    /// No consumer listens at its broker.
    #[error("nobody listens at the broker")]
    NoConsumer,
}

impl UpstreamFault {
    /// The connection was closed where more was expected.
    #[must_use]
    pub fn closed() -> Self {
        Self::Ended(io::ErrorKind::UnexpectedEof.into())
    }
}
