//! The upstream's end of one exchange over HTTP/2: a state machine that owns what it has not handed to the library yet.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::uri::Scheme;
use http::{Response, StatusCode, Version};

use super::super::UpstreamFault;
use super::request::request;
use super::{Handle, OutboxState, Stopped, StreamOutbox, fault, header_map};
use crate::message::{Fields, Framing, Name, Piece, RequestHead, ResponseHead};

/// A request, and the response to it.
#[derive(Debug)]
pub struct Stream {
    /// Before the streams below, which it counts: the place is free when they are gone.
    sending: Option<SendStream<Bytes>>,
    response: ResponseState,
    outbox: StreamOutbox,
    handle: Handle,
}

/// How far the response is.
#[derive(Debug)]
enum ResponseState {
    /// No request was put.
    None,
    Awaited(ResponseFuture),
    Body {
        body: RecvStream,
        framing: Framing,
    },
    /// All of it was read.
    Over,
}

impl Stream {
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { sending: None, response: ResponseState::None, outbox: StreamOutbox::default(), handle }
    }

    /// Puts the head of a request. [`Framing::None`] ends the request with it.
    ///
    /// # Errors
    /// [`UpstreamFault::Unwritable`]: the request cannot be sent over HTTP/2. [`UpstreamFault::Unprocessed`]: the connection takes no more
    /// requests; this one was not sent.
    pub fn put_head(&mut self, head: &RequestHead, framing: Framing, scheme: &Scheme) -> Result<(), UpstreamFault> {
        let request = request(head, framing, scheme)?;
        let bodiless = matches!(framing, Framing::None | Framing::Length(0));
        match self.handle.sender().send_request(request, bodiless) {
            Ok((response, stream)) => {
                self.response = ResponseState::Awaited(response);
                self.sending = (!bodiless).then_some(stream);
                self.outbox.announce(if let Framing::Length(length) = framing { Some(length) } else { None });
                Ok(())
            }
            Err(error) if error.is_go_away() || error.is_io() || error.is_reset() => Err(UpstreamFault::Unprocessed),
            Err(_) => Err(UpstreamFault::Unwritable("The head cannot be sent over HTTP/2.")),
        }
    }

    /// How much of the request's body may be put; 0: it waits for the upstream.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.outbox.room()
    }

    /// A piece of the request's body.
    pub fn put(&mut self, piece: Piece) {
        if self.sending.is_some() {
            self.outbox.put(piece);
        }
    }

    /// Hands on what was put. Ready: nothing is left, or the upstream takes no more. `moved` is set when something left.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), UpstreamFault>> {
        let Some(stream) = &mut self.sending else { return Poll::Ready(Ok(())) };
        let stopped = match ready!(self.outbox.poll_send(stream, cx, moved, |fields| header_map(&fields, of_head))) {
            Ok(OutboxState::Empty) => return Poll::Ready(Ok(())),
            Ok(OutboxState::Ended) => {
                self.sending = None;
                return Poll::Ready(Ok(()));
            }
            Err(stopped) => stopped,
        };
        self.outbox.clear();
        Poll::Ready(Err(match stopped {
            Stopped::WrongLength => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                UpstreamFault::Ended(std::io::ErrorKind::InvalidData.into())
            }
            Stopped::Reset(reset) => reset_fault(reset),
            Stopped::Library(error) => fault(error, false),
        }))
    }

    /// The next head of the response: heads before the final one (1xx) first, each once.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, UpstreamFault>> {
        let ResponseState::Awaited(response) = &mut self.response else { return Poll::Pending };
        if let Some(interim) = ready!(response.poll_informational(cx)) {
            let head = interim.map_err(|error| fault(error, false)).map(|interim| head(&interim));
            return Poll::Ready(match head {
                // There is no such thing over HTTP/2 (RFC 9113, 8.6).
                Ok(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    Err(UpstreamFault::Malformed("a switch of protocols"))
                }
                head => head,
            });
        }
        let (parts, body) = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => response.into_parts(),
            Err(error) => return Poll::Ready(Err(fault(error, false))),
        };
        let head = head(&Response::from_parts(parts, ()));
        let length = head.fields.text(Name::ContentLength).and_then(|length| length.parse().ok());
        let framing = match length {
            _ if body.is_end_stream() => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Open,
        };
        self.response = ResponseState::Body { body, framing };
        Poll::Ready(Ok(head))
    }

    /// How the end of the response is told; known behind its final head. [`Framing::None`]: it ended with it.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        match &self.response {
            ResponseState::Body { framing, .. } => *framing,
            _ => Framing::None,
        }
    }

    /// The next piece of the response's body. Behind the last piece it is pending for ever.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, UpstreamFault>> {
        let ResponseState::Body { body, .. } = &mut self.response else { return Poll::Pending };
        while let Some(data) = ready!(body.poll_data(cx)) {
            match data {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Ok(Piece::Data(data))),
                Err(error) => return Poll::Ready(Err(fault(error, true))),
            }
        }
        let trailers = match ready!(body.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Fields::from(&trailers)),
            Err(error) => return Poll::Ready(Err(fault(error, true))),
        };
        self.response = ResponseState::Over;
        Poll::Ready(Ok(trailers.filter(|fields| !fields.is_empty()).map_or(Piece::End, Piece::Trailers)))
    }

    /// Bytes of the response that were passed on: the upstream may send as many again.
    pub fn passed(&mut self, bytes: usize) {
        if let ResponseState::Body { body, .. } = &mut self.response {
            // An error says that the stream is over.
            let _ = body.flow_control().release_capacity(bytes);
        }
    }

    /// All of the response was read.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self.response, ResponseState::Over)
    }

    /// Cancels the request. Dropping the stream does the same, unless it has ended.
    pub fn cancel(&mut self) {
        if let Some(stream) = &mut self.sending {
            stream.send_reset(Reason::CANCEL);
        }
        self.sending = None;
        self.response = ResponseState::Over;
        self.outbox.clear();
    }
}

/// Fields that say something of a head, and stand behind no body.
const fn of_head(name: Name) -> bool {
    matches!(name, Name::ContentLength | Name::Host)
}

fn reset_fault(reset: Poll<Result<Reason, h2::Error>>) -> UpstreamFault {
    match reset {
        Poll::Ready(Ok(Reason::REFUSED_STREAM)) => UpstreamFault::Unprocessed,
        Poll::Ready(Ok(Reason::HTTP_1_1_REQUIRED)) => UpstreamFault::NeedsHttp1,
        Poll::Ready(Ok(reason)) => {
            UpstreamFault::Ended(std::io::Error::new(std::io::ErrorKind::ConnectionReset, reason.description()))
        }
        Poll::Ready(Err(error)) => fault(error, false),
        Poll::Pending => UpstreamFault::closed(),
    }
}

fn head(response: &Response<()>) -> ResponseHead {
    let mut head = ResponseHead::new(response.status());
    head.version = Version::HTTP_2;
    head.fields = Fields::from(response.headers());
    head
}
