//! The client's end of one exchange over HTTP/2: a state machine that owns what it has not handed to the library yet.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Response, StatusCode, Version};

use super::Shared;
use super::heads::OutgoingBlock;
use crate::client::http2::{OutboxState, Stopped, StreamOutbox};
use crate::downstream::{ClientFault, Timer};
use crate::message::{Framing, Malformed, Name, Piece, RequestHead, ResponseHead, digits};

/// A request, and the response to it.
#[derive(Debug)]
pub struct ServerStream {
    id: u32,
    pub(super) shared: Arc<Shared>,
    /// For the deadlines of the exchange. The next stream of the connection has it after this one.
    pub timer: Timer,
    head: Option<RequestHead>,
    malformed: Option<Malformed>,
    upload: Upload,
    response: ResponseState,
    outbox: StreamOutbox,
    /// The library's error for something that was put.
    fault: Option<ClientFault>,
    /// This stream has something to send and the client's windows are closed.
    waits: bool,
}

/// The request's body.
#[derive(Debug)]
struct Upload {
    body: RecvStream,
    /// The length that the head announces, and the bytes that have come.
    announced: Option<u64>,
    come: u64,
    /// Bytes that were read and not passed on yet.
    held: usize,
    /// Read ahead, to see whether there is a body.
    first: Option<Piece>,
    /// The data that completes the announced length, until the end of the stream is read; then that end.
    last: Option<Piece>,
    /// The last piece was read.
    over: bool,
    /// There may be no body although the stream has not ended with its head.
    unsettled: bool,
}

#[derive(Debug)]
enum ResponseState {
    Awaited(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    /// The stream has ended from our side, which the handle outlives: it knows whether the client gives up.
    Ended(Option<SendStream<Bytes>>),
}

impl ServerStream {
    pub(super) fn new(body: RecvStream, respond: SendResponse<Bytes>, shared: &Arc<Shared>) -> Self {
        let id = respond.stream_id().as_u32();
        let accepted = shared.heads.lock().accept(id);
        let (head, malformed) = accepted.unwrap_or_else(|| (nothing(), Some(Malformed::because("framing"))));
        shared.begin_stream();
        let over = body.is_end_stream();
        let length = head.fields.text(Name::ContentLength).and_then(|length| length.parse().ok());
        let plain = malformed.is_none() && !matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        let unsettled = !over && (length == Some(0) || length.is_none() && plain);
        Self {
            id,
            shared: Arc::clone(shared),
            timer: shared.timer(),
            head: Some(head),
            malformed,
            upload: Upload { body, announced: length, come: 0, held: 0, first: None, last: None, over, unsettled },
            response: ResponseState::Awaited(respond),
            outbox: StreamOutbox::default(),
            fault: None,
            waits: false,
        }
    }

    /// The request's head, once.
    ///
    /// # Errors
    /// The fault of the head; the stream can still be answered, and [`ServerStream::known_head`] is for its line in the log.
    pub fn take_head(&mut self) -> Result<RequestHead, Malformed> {
        match self.malformed {
            Some(malformed) => Err(malformed),
            None => self.head.take().ok_or(Malformed::because("framing")),
        }
    }

    /// As much of a malformed head as is known, once.
    pub fn known_head(&mut self) -> RequestHead {
        self.head.take().unwrap_or_else(nothing)
    }

    /// Whether the request has a body; exact once [`ServerStream::poll_settled`] was ready.
    #[must_use]
    pub const fn has_body(&self) -> bool {
        !self.upload.over
    }

    /// The length that the head announces.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.upload.announced
    }

    /// Ready: it is known whether there is a body. A GET may end with an empty frame of data, and a body that contradicts its
    /// length, or trailers that are none, are seen before anything is sent anywhere if they have come with the head.
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        if self.upload.over || self.upload.first.is_some() {
            return Poll::Ready(Ok(()));
        }
        if let Some(malformed) = self.shared.heads.lock().malformed_trailers(self.id) {
            return Poll::Ready(Err(ClientFault::Malformed(malformed)));
        }
        match self.poll_upload(cx) {
            Poll::Ready(Ok(Piece::End)) => self.upload.over = true,
            Poll::Ready(Ok(piece)) => self.upload.first = Some(piece),
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
            Poll::Pending if self.upload.unsettled => return Poll::Pending,
            Poll::Pending => {}
        }
        Poll::Ready(Ok(()))
    }

    /// The next piece of the request's body. Behind the last piece it is pending for ever.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, ClientFault>> {
        if let Some(first) = self.upload.first.take() {
            self.upload.over = first.is_last();
            return Poll::Ready(Ok(first));
        }
        if self.upload.over {
            return Poll::Pending;
        }
        let piece = ready!(self.poll_upload(cx));
        self.upload.over = piece.as_ref().map_or(true, Piece::is_last);
        Poll::Ready(piece)
    }

    /// A body of an announced length is whole for the upstream with its last byte, and malformed if more comes behind it, or trailers that
    /// are none: that byte is not handed on before the stream has ended well.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, ClientFault>> {
        const LENGTH: Malformed = Malformed::because("content_length");
        let upload = &mut self.upload;
        if let Some(end) = upload.last.take_if(|last| last.is_last()) {
            return Poll::Ready(Ok(end));
        }
        while let Some(data) = ready!(upload.body.poll_data(cx)) {
            let data = data?;
            if data.is_empty() {
                continue;
            }
            upload.come += data.len() as u64;
            upload.held += data.len();
            match upload.announced {
                Some(announced) if upload.come > announced => {
                    return Poll::Ready(Err(ClientFault::Malformed(LENGTH)));
                }
                Some(announced) if upload.come == announced => upload.last = Some(Piece::Data(data)),
                _ => return Poll::Ready(Ok(Piece::Data(data))),
            }
        }
        let trailers = ready!(upload.body.poll_trailers(cx))?;
        if upload.announced.is_some_and(|announced| upload.come < announced) {
            return Poll::Ready(Err(ClientFault::Malformed(LENGTH)));
        }
        let trailers = trailers.and_then(|_| self.shared.heads.lock().take_trailers(self.id));
        let end = match trailers {
            None => Piece::End,
            Some(Ok(fields)) if fields.is_empty() => Piece::End,
            Some(Ok(fields)) => Piece::Trailers(fields),
            Some(Err(malformed)) => return Poll::Ready(Err(ClientFault::Malformed(malformed))),
        };
        Poll::Ready(Ok(match upload.last.take() {
            Some(data) => {
                upload.last = Some(end);
                data
            }
            None => end,
        }))
    }

    /// Bytes of the request's body that were passed on: the client may send as many again. Bytes that are passed on a second time count
    /// once.
    pub fn passed(&mut self, bytes: usize) {
        let bytes = bytes.min(self.upload.held);
        self.upload.held -= bytes;
        // An error says that the stream is over.
        let _ = self.upload.body.flow_control().release_capacity(bytes);
    }

    /// How much of the response may be put; 0: nothing should be.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.outbox.room()
    }

    /// HTTP/2 always takes heads before the final one.
    #[must_use]
    pub const fn takes_interim(&self) -> bool {
        true
    }

    /// HTTP/2 always takes trailers.
    #[must_use]
    pub const fn takes_trailers(&self) -> bool {
        true
    }

    /// Sends a head that comes before the final one (1xx).
    pub fn put_interim(&mut self, head: &ResponseHead) {
        let ResponseState::Awaited(respond) = &mut self.response else { return };
        if head.is_interim() && self.fault.is_none() {
            self.shared.heads.lock().send(self.id, block(head.clone(), Framing::Open));
            if let Err(error) = respond.send_informational(stand_in(head.status)) {
                self.shared.heads.lock().take_back();
                self.fault = Some(error.into());
            }
        }
    }

    /// Sends the final head. [`Framing::None`] ends the stream with it.
    pub fn put_head(&mut self, head: ResponseHead, framing: Framing) {
        let ResponseState::Awaited(respond) = &mut self.response else { return };
        let status = head.status;
        self.shared.heads.lock().send(self.id, block(head, framing));
        match respond.send_response(stand_in(status), framing == Framing::None) {
            Ok(stream) if framing == Framing::None => self.response = ResponseState::Ended(Some(stream)),
            Ok(stream) => self.response = ResponseState::Body(stream),
            Err(error) => {
                self.shared.heads.lock().take_back();
                self.fault = Some(error.into());
                self.response = ResponseState::Ended(None);
            }
        }
        if let Framing::Length(length) = framing {
            self.outbox.announce(Some(length));
        }
    }

    /// A piece of the response's body.
    pub fn put(&mut self, piece: Piece) {
        if matches!(self.response, ResponseState::Body(_)) {
            self.outbox.put(piece);
        }
    }

    /// Hands on what was put. Ready: nothing is left. `moved` is set when something left.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), ClientFault>> {
        if let Some(fault) = self.fault.take() {
            return Poll::Ready(Err(fault));
        }
        let ResponseState::Body(stream) = &mut self.response else { return Poll::Ready(Ok(())) };
        let mut trailed = false;
        let sent = self.outbox.poll_send(stream, cx, moved, |mut fields| {
            fields.remove(Name::ContentLength);
            self.shared.heads.lock().send(self.id, OutgoingBlock { status: None, fields });
            trailed = true;
            HeaderMap::new()
        });
        if trailed && matches!(sent, Poll::Ready(Err(_))) {
            self.shared.heads.lock().take_back();
        }
        self.waits(sent.is_pending());
        Poll::Ready(match ready!(sent) {
            Ok(OutboxState::Empty) => Ok(()),
            Ok(OutboxState::Ended) => {
                self.end();
                Ok(())
            }
            Err(Stopped::WrongLength) => {
                self.abort();
                Err(ClientFault::Reset(Reason::INTERNAL_ERROR))
            }
            Err(Stopped::Reset(reset)) => Err(reset_fault(reset)),
            Err(Stopped::Library(error)) => Err(error.into()),
        })
    }

    /// Ready: the client has given up this request, or its connection has ended.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<ClientFault> {
        let reset = match &mut self.response {
            ResponseState::Awaited(respond) => respond.poll_reset(cx),
            ResponseState::Body(stream) | ResponseState::Ended(Some(stream)) => stream.poll_reset(cx),
            ResponseState::Ended(None) => return Poll::Pending,
        };
        reset.map(|reset| reset.map_or_else(Into::into, ClientFault::Reset))
    }

    /// Resets the stream: what was sent of a response does not pass for a whole one.
    pub fn abort(&mut self) {
        match &mut self.response {
            ResponseState::Awaited(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            ResponseState::Body(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
            ResponseState::Ended(_) => {}
        }
        self.response = ResponseState::Ended(None);
        self.outbox.clear();
        self.waits(false);
    }

    /// Bytes of the response's body that were sent.
    #[must_use]
    pub const fn bytes_sent(&self) -> u64 {
        self.outbox.bytes_sent()
    }

    /// The final head was put.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        !matches!(self.response, ResponseState::Awaited(_))
    }

    /// This stream waits for the client's windows.
    #[must_use]
    pub const fn is_stuck(&self) -> bool {
        self.waits
    }

    fn end(&mut self) {
        if let ResponseState::Body(stream) = std::mem::replace(&mut self.response, ResponseState::Ended(None)) {
            self.response = ResponseState::Ended(Some(stream));
        }
    }

    fn waits(&mut self, waits: bool) {
        if self.waits != waits {
            self.waits = waits;
            if waits {
                self.shared.unread.fetch_add(1, Relaxed);
            } else {
                self.shared.unread.fetch_sub(1, Relaxed);
            }
        }
    }
}

impl Drop for ServerStream {
    /// A stream that has not ended is reset by the library: with CANCEL, or, where the response is whole and the request's body
    /// was not read to its end, with `NO_ERROR` (RFC 9113, 8.1).
    fn drop(&mut self) {
        self.waits(false);
        if matches!(self.response, ResponseState::Awaited(_) | ResponseState::Body(_)) {
            self.abort();
        }
        self.shared.heads.lock().forget(self.id);
        self.shared.end_stream(std::mem::take(&mut self.timer));
    }
}

/// A head of which nothing is known.
fn nothing() -> RequestHead {
    RequestHead::new(Method::GET, Version::HTTP_2, b"-")
}

fn reset_fault(reset: Poll<Result<Reason, h2::Error>>) -> ClientFault {
    match reset {
        Poll::Ready(Ok(reason)) => ClientFault::Reset(reason),
        Poll::Ready(Err(error)) => error.into(),
        Poll::Pending => ClientFault::Reset(Reason::CANCEL),
    }
}

/// The library's stand-in for a head. Its own header blocks reach no client.
fn stand_in(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response
}

/// A head as the client gets it.
fn block(head: ResponseHead, framing: Framing) -> OutgoingBlock {
    let ResponseHead { status, mut fields, .. } = head;
    let open = matches!(framing, Framing::Open | Framing::Close) || status == StatusCode::NO_CONTENT;
    if open {
        fields.remove(Name::ContentLength);
    } else if let Framing::Length(length) = framing {
        let mut lines = fields.all(Name::ContentLength);
        let first = lines.next().filter(|said| !said.starts_with(b"0")).and_then(digits);
        // Of two lines, even equal ones, clients of HTTP/2 take neither: one is written anew.
        let said = first.filter(|_| lines.next().is_none());
        drop(lines);
        if said != Some(length) {
            fields.set(Name::ContentLength, length.to_string().as_bytes());
        }
    }
    OutgoingBlock { status: Some(status), fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_one_line_however_often_the_upstream_says_it() {
        let mut head = ResponseHead::new(StatusCode::OK);
        for lengths in [vec!["5", "5"], vec!["5"], vec!["05"], vec!["7"], vec![]] {
            head.fields = lengths.iter().map(|length| ("Content-Length", *length)).collect();
            let sent = block(head.clone(), Framing::Length(5));
            let sent: Vec<_> = sent.fields.all("content-length").collect();
            assert_eq!(sent, [b"5"], "{lengths:?}");
        }
    }
}
