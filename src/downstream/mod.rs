//! The client's end: connections of HTTP/1 and HTTP/2, their deadlines, what is refused on them.
//!
//! Like the ends in [`client`](crate::client), these are state machines with `poll_` methods that own what they have not written.

pub mod date;
pub mod http1;
pub mod http2;
mod signed_in;
mod socket_info;
mod timer;
mod write_stall;

pub use signed_in::SignedIn;
pub use socket_info::Descriptor;
pub use timer::Timer;
pub use write_stall::{Pace, WriteStall};

use std::io;

use crate::message::Malformed;

/// A fault at the client's end of an exchange.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The connection is gone.
    #[error("the client is gone: {}", .0.kind())]
    Gone(io::Error),
    /// HTTP/2: the client has given up this stream, or broke a rule for which the stream was reset.
    #[error("the client reset its stream: {0}")]
    Reset(h2::Reason),
    /// The body is not what its head says: the request can still be answered.
    #[error("{}", .0.reason)]
    Malformed(Malformed),
}

impl From<io::Error> for ClientFault {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<h2::Error> for ClientFault {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::Reset(reason),
            _ => Self::Gone(error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into())),
        }
    }
}
