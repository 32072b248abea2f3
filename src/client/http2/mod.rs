//! The upstream's end over HTTP/2, on the h2 crate itself: connections that are shared, and one exchange on each stream.

mod fields;
mod outbox;
mod pool;
mod request;
mod stream;

pub use fields::{header_map, is_of_connection};
pub use outbox::{OutboxState, Stopped, StreamOutbox};
pub use pool::{Handle, connect, reserve};
pub use stream::Stream;

use std::io;

use h2::Reason;

use super::UpstreamFault;

/// The meaning of the library's error. `begun`: the final head of the response has come, so the request was processed.
fn fault(error: h2::Error, begun: bool) -> UpstreamFault {
    let reason = error.reason();
    if error.is_library() {
        return UpstreamFault::Malformed(rule(reason));
    }
    match reason {
        Some(Reason::HTTP_1_1_REQUIRED) if error.is_remote() && !begun => UpstreamFault::NeedsHttp1,
        Some(Reason::REFUSED_STREAM) if error.is_reset() && error.is_remote() && !begun => UpstreamFault::Unprocessed,
        // The library gives it to streams that are higher than the last one of the GOAWAY.
        Some(Reason::NO_ERROR) if error.is_go_away() && error.is_remote() && !begun => UpstreamFault::Unprocessed,
        Some(reason) => UpstreamFault::Ended(io::Error::new(io::ErrorKind::ConnectionReset, reason.description())),
        None => UpstreamFault::Ended(error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())),
    }
}

/// The rule of RFC 9113 that an upstream breaks, as far as the library says it.
const fn rule(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::FLOW_CONTROL_ERROR) => "HTTP/2 flow control",
        Some(Reason::FRAME_SIZE_ERROR) => "HTTP/2 frame size",
        Some(Reason::STREAM_CLOSED) => "HTTP/2 stream closed",
        Some(Reason::COMPRESSION_ERROR) => "HTTP/2 header block",
        Some(Reason::ENHANCE_YOUR_CALM) => "HTTP/2 flood",
        _ => "HTTP/2 protocol",
    }
}

#[cfg(test)]
mod tests;
