//! The client's end: connections of HTTP/1 and HTTP/2, their deadlines, and one exchange on each as a state machine.

pub mod http2;

use std::fmt;
use std::io;

use crate::message::Malformed;

/// What went wrong at the client's end of a connection.
#[derive(Debug)]
pub enum ClientFault {
    /// The connection has ended.
    Gone(io::Error),
    /// HTTP/2: the client has given up this stream, or broke a rule for which the stream was reset.
    Reset(h2::Reason),
    /// What came of the request cannot be right: it can still be answered.
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

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(error) => write!(f, "{}", error.kind()),
            Self::Reset(reason) => write!(f, "reset: {reason}"),
            Self::Malformed(malformed) => f.write_str(malformed.reason),
        }
    }
}
