//! One call on the bus, with the state machine of an upstream's end.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use http::{Method, StatusCode};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::super::translated::{Passing, refused};
use super::super::{Brief, NotRun, RemoteBrief, UpstreamFault};
use super::session::uuid;
use super::{Bus, BusState, Heard, Publish, begins_within, reply};
use crate::message::{Framing, Name, Piece, RequestHead, ResponseHead};
use crate::route::RemoteCall;

/// A larger body is no set of arguments.
const LARGEST: usize = 1024 * 1024;
/// The client's request does not make a call.
const BAD: UpstreamFault = UpstreamFault::Refused { status: 400, reason: "arguments" };

#[derive(Debug)]
enum State {
    Gathering,
    Asked(oneshot::Receiver<Heard>),
    Passing(Passing),
    Broken(Option<UpstreamFault>),
}

/// One call; it needs no connection of its own.
#[derive(Debug)]
pub struct BusCall {
    nameko: Arc<Bus>,
    brief: Option<Brief>,
    method: Method,
    call: Option<Arc<RemoteCall>>,
    body: BytesMut,
    expects: bool,
    state: State,
}

impl BusCall {
    pub(in super::super) fn new(nameko: &Arc<Bus>) -> Self {
        Self {
            nameko: Arc::clone(nameko),
            brief: None,
            method: Method::GET,
            call: None,
            body: BytesMut::new(),
            expects: false,
            state: State::Gathering,
        }
    }

    pub(in super::super) fn briefed(mut self: Box<Self>, brief: Brief) -> Box<Self> {
        self.brief = Some(brief);
        self
    }

    pub(in super::super) fn put_head(&mut self, head: &RequestHead, framing: Framing) -> Result<(), UpstreamFault> {
        if let Some(reason) = refused(head) {
            return Err(UpstreamFault::Refused { status: 501, reason });
        }
        self.method = head.method.clone();
        if framing == Framing::None {
            return self.publish();
        }
        self.expects = head.fields.has(Name::Expect);
        Ok(())
    }

    pub(in super::super) fn put(&mut self, piece: Piece) {
        if !matches!(self.state, State::Gathering) {
            return;
        }
        match piece {
            Piece::Data(data) if self.body.len() + data.len() > LARGEST => {
                self.state = State::Broken(Some(UpstreamFault::Refused { status: 413, reason: "body" }));
            }
            Piece::Data(data) => self.body.extend_from_slice(&data),
            Piece::Trailers(_) | Piece::End => {
                if let Err(fault) = self.publish() {
                    self.state = State::Broken(Some(fault));
                }
            }
        }
    }

    /// The request is whole: the message is handed to the task that publishes.
    fn publish(&mut self) -> Result<(), UpstreamFault> {
        match *self.nameko.standing.borrow() {
            BusState::Open(Some(0)) => return Err(UpstreamFault::NotRun(NotRun::NoConsumer)),
            BusState::Blocked => return Err(UpstreamFault::NotRun(NotRun::Throttled)),
            BusState::Open(_) => {}
            BusState::Down(_) | BusState::Unknown => return Err(UpstreamFault::NotRun(NotRun::Unreachable)),
        }
        let brief = self.brief.take().unwrap_or_default();
        let limit = Instant::now() + begins_within(&brief);
        let until = brief.end.map_or(limit, |end| end.min(limit));
        let remote = brief.remote.ok_or(UpstreamFault::Unwritable("The route has no call."))?;
        let RemoteBrief { call, arguments, context } = *remote;
        let body = std::mem::take(&mut self.body);
        let body = arguments.map_err(|_| BAD)?.envelope(&body).map_err(|_| BAD)?;
        let (heard, hears) = oneshot::channel();
        let publish = Publish {
            routing_key: format!("{}.{}", self.nameko.spec.service, call.method),
            body,
            correlation: uuid(),
            context,
            until,
            heard,
        };
        self.call = Some(call);
        match self.nameko.publishes.try_send(publish) {
            Ok(()) => {
                self.state = State::Asked(hears);
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(UpstreamFault::NotRun(NotRun::Throttled)),
            Err(TrySendError::Closed(_)) => Err(UpstreamFault::NotRun(NotRun::Unreachable)),
        }
    }

    pub(in super::super) fn poll_send(&self) -> Poll<Result<(), UpstreamFault>> {
        match self.state {
            // Why is told by the head that does not come.
            State::Broken(_) => Poll::Ready(Err(UpstreamFault::closed())),
            _ => Poll::Ready(Ok(())),
        }
    }

    pub(in super::super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, UpstreamFault>> {
        if std::mem::take(&mut self.expects) && matches!(self.state, State::Gathering) {
            return Poll::Ready(Ok(ResponseHead::new(StatusCode::CONTINUE)));
        }
        match &mut self.state {
            State::Gathering => Poll::Pending,
            State::Broken(fault) => Poll::Ready(Err(fault.take().unwrap_or_else(UpstreamFault::closed))),
            State::Passing(_) => Poll::Ready(Err(UpstreamFault::Malformed("no head is awaited"))),
            State::Asked(hears) => {
                let reply = match ready!(Pin::new(hears).poll(cx)) {
                    Ok(Heard::Reply(reply)) => reply,
                    Ok(Heard::NotSent) => return Poll::Ready(Err(UpstreamFault::NotRun(NotRun::Unreachable))),
                    Ok(Heard::NoQueue) => return Poll::Ready(Err(UpstreamFault::NotRun(NotRun::NoConsumer))),
                    Ok(Heard::Refused) => return Poll::Ready(Err(UpstreamFault::NotRun(NotRun::Throttled))),
                    // The connection ended: it may have run.
                    Err(_) => return Poll::Ready(Err(UpstreamFault::closed())),
                };
                let call = self.call.as_ref().expect("what was published is a call");
                let (head, passing) = reply::answered(&reply, call, &self.method).pass();
                self.state = State::Passing(passing);
                Poll::Ready(Ok(head))
            }
        }
    }

    pub(in super::super) const fn framing(&self) -> Framing {
        match &self.state {
            State::Passing(passing) => passing.framing(),
            _ => Framing::None,
        }
    }

    pub(in super::super) fn poll_piece(&mut self) -> Poll<Result<Piece, UpstreamFault>> {
        match &mut self.state {
            State::Passing(passing) => Poll::Ready(Ok(passing.next())),
            _ => Poll::Ready(Err(UpstreamFault::Malformed("no body is awaited"))),
        }
    }
}
