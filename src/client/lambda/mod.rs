//! A function of AWS Lambda as an upstream: a request becomes an event, Invoke carries it, its payload becomes the response.

mod event;
mod response;
mod sign;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, Version};
use jiff::Timestamp;

use super::aws_keys::Keyring;
use super::http1::Conn;
use super::translated::{Answered, Passing, refused};
use super::{Brief, NotRun, Translation, UpstreamFault};
use crate::endpoint::LambdaSpec;
use crate::message::{Framing, Name, Piece, RequestHead, ResponseHead, percent_encoded};

/// The largest payload that Lambda takes and gives, in bytes of JSON.
const LARGEST: usize = 6 * 1024 * 1024;
/// The client's response for a larger one.
const TOO_LARGE: UpstreamFault = UpstreamFault::Refused { status: 413, reason: "body" };
/// Read at most of an answer: a payload may be written with spaces.
const LONGEST_ANSWER: usize = LARGEST + 64 * 1024;
/// Read at once of a request: all of it is gathered, so nothing waits for the service.
pub(super) const ROOM: usize = 64 * 1024;
/// At most one line in the log in this time: each request has a line of its own in the access log.
const COMPLAINT_EVERY: u64 = 10;

/// One function, and the credentials to call it with.
pub struct Function {
    spec: LambdaSpec,
    path: String,
    keys: Arc<Keyring>,
    began: Instant,
    /// The second, counted from the beginning and one more, of the last complaint.
    complained: AtomicU64,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("function", &self.spec.function).finish_non_exhaustive()
    }
}

impl Function {
    pub(super) fn new(spec: LambdaSpec, keys: Arc<Keyring>) -> Arc<Self> {
        Arc::new(Self { path: invoke_path(&spec), keys, began: Instant::now(), complained: AtomicU64::new(0), spec })
    }

    /// Said now and then.
    fn complain(&self, why: &dyn fmt::Display) {
        let now = self.began.elapsed().as_secs() + 1;
        let last = self.complained.load(Relaxed);
        let due = last == 0 || now >= last + COMPLAINT_EVERY;
        if due && self.complained.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
            tracing::error!(function = &*self.spec.function, %why, "a function of Lambda was not run");
        }
    }

    /// The head of Invoke for this event, signed.
    fn head(&self, event: &[u8], now: Timestamp) -> Result<RequestHead, UpstreamFault> {
        let keys = self.keys.load();
        let keys = keys.as_deref().filter(|keys| keys.until.is_none_or(|until| until > now));
        let Some(keys) = keys else {
            self.complain(&"there are no credentials, or they have expired");
            return Err(UpstreamFault::NotRun(NotRun::Denied));
        };
        let fields = sign::Signed {
            keys,
            region: &self.spec.region,
            authority: &self.spec.authority,
            path: &self.path,
            body: event,
            now,
        }
        .fields();
        let mut head = RequestHead::new(Method::POST, Version::HTTP_11, self.path.as_bytes());
        head.fields.append(Name::Host, self.spec.authority.as_bytes());
        head.fields.append(Name::ContentType, b"application/json");
        head.fields.append("X-Amz-Invocation-Type", b"RequestResponse");
        head.fields.append("X-Amz-Date", fields.date.as_bytes());
        if let Some(token) = &keys.token {
            head.fields.append("X-Amz-Security-Token", token.as_bytes());
        }
        head.fields.append(Name::Authorization, fields.authorization.as_bytes());
        Ok(head)
    }
}

fn invoke_path(spec: &LambdaSpec) -> String {
    format!("/2015-03-31/functions/{}/invocations", percent_encoded(&*spec.function))
}

/// The event of this request, for a person.
pub(super) fn translation(spec: &LambdaSpec, head: &RequestHead, brief: &Brief) -> Translation {
    let event = event::event(spec.event, head, brief, &[], Timestamp::now());
    Translation {
        target: "lambda",
        to: format!("POST {} at {}", invoke_path(spec), spec.authority),
        expires_seconds: None,
        headers: serde_json::Map::new(),
        message: serde_json::from_slice(&event).expect("an event is JSON"),
        refused: None,
    }
}

/// How far the call of a function has come.
#[derive(Debug)]
enum State {
    /// The request's body is gathered: the event has all of it.
    Gathering,
    Sent,
    /// Invoke's own head is there: its payload is gathered.
    Receiving(ResponseHead),
    Passing(Passing),
    /// It was not called, or there was no answer; told once.
    Broken(Option<UpstreamFault>),
}

/// One call of a function, over a connection to the service.
#[derive(Debug)]
pub struct Invocation {
    lambda: Arc<Function>,
    connection: Conn,
    brief: Brief,
    /// `None` before it was put.
    head: Option<RequestHead>,
    body: BytesMut,
    payload: BytesMut,
    /// The client waits for leave to send its body.
    expects: bool,
    state: State,
}

impl Invocation {
    pub(super) fn new(lambda: &Arc<Function>, connection: Conn, brief: Brief) -> Self {
        Self {
            lambda: Arc::clone(lambda),
            connection,
            brief,
            head: None,
            body: BytesMut::new(),
            payload: BytesMut::new(),
            expects: false,
            state: State::Gathering,
        }
    }

    pub(super) fn put_head(&mut self, head: &RequestHead, framing: Framing) -> Result<(), UpstreamFault> {
        if let Some(reason) = refused(head) {
            return Err(UpstreamFault::Refused { status: 501, reason });
        }
        self.head = Some(head.clone());
        if framing == Framing::None {
            return self.send();
        }
        self.expects = head.fields.has(Name::Expect);
        Ok(())
    }

    pub(super) fn put(&mut self, piece: Piece) {
        if !matches!(self.state, State::Gathering) {
            return;
        }
        match piece {
            Piece::Data(data) if self.body.len() + data.len() > LARGEST => {
                self.state = State::Broken(Some(TOO_LARGE));
            }
            Piece::Data(data) => self.body.extend_from_slice(&data),
            Piece::Trailers(_) | Piece::End => {
                if let Err(fault) = self.send() {
                    self.state = State::Broken(Some(fault));
                }
            }
        }
    }

    /// The request is whole: the function is called.
    fn send(&mut self) -> Result<(), UpstreamFault> {
        let head = self.head.as_ref().expect("the head was put before the body");
        let now = Timestamp::now();
        let event = event::event(self.lambda.spec.event, head, &self.brief, &self.body, now);
        self.body = BytesMut::new();
        if event.len() > LARGEST {
            return Err(TOO_LARGE);
        }
        let invoke = self.lambda.head(&event, now)?;
        self.connection.put_head(&invoke, Framing::Length(event.len() as u64));
        self.connection.put(Piece::Data(event.into()));
        self.state = State::Sent;
        Ok(())
    }

    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), UpstreamFault>> {
        match self.state {
            State::Sent | State::Receiving(_) => self.connection.poll_send(cx, moved),
            // Why is told by the head that does not come.
            State::Broken(_) => Poll::Ready(Err(UpstreamFault::closed())),
            State::Gathering | State::Passing(_) => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, UpstreamFault>> {
        if std::mem::take(&mut self.expects) && matches!(self.state, State::Gathering) {
            return Poll::Ready(Ok(ResponseHead::new(StatusCode::CONTINUE)));
        }
        loop {
            match &mut self.state {
                State::Gathering => return Poll::Pending,
                State::Sent => {
                    let head = ready!(self.connection.poll_head(cx))?;
                    if !head.is_interim() {
                        self.state = State::Receiving(head);
                    }
                }
                State::Receiving(head) => match ready!(self.connection.poll_piece(cx))? {
                    Piece::Data(data) if self.payload.len() + data.len() > LONGEST_ANSWER => {
                        return Poll::Ready(Err(UpstreamFault::Malformed("an answer that is too long for Lambda")));
                    }
                    Piece::Data(data) => {
                        self.payload.extend_from_slice(&data);
                    }
                    Piece::Trailers(_) | Piece::End => {
                        let payload = std::mem::take(&mut self.payload).freeze();
                        let answered = self.lambda.answered(head, payload, self.head.as_ref())?;
                        let (head, passing) = answered.pass();
                        self.state = State::Passing(passing);
                        return Poll::Ready(Ok(head));
                    }
                },
                State::Passing(_) => return Poll::Ready(Err(UpstreamFault::Malformed("no head is awaited"))),
                State::Broken(fault) => return Poll::Ready(Err(fault.take().unwrap_or_else(UpstreamFault::closed))),
            }
        }
    }

    pub(super) const fn framing(&self) -> Framing {
        match &self.state {
            State::Passing(passing) => passing.framing(),
            _ => Framing::None,
        }
    }

    pub(super) fn poll_piece(&mut self) -> Poll<Result<Piece, UpstreamFault>> {
        match &mut self.state {
            State::Passing(passing) => Poll::Ready(Ok(passing.next())),
            _ => Poll::Ready(Err(UpstreamFault::Malformed("no body is awaited"))),
        }
    }

    /// The connection to the service: its exchange is whole once the payload was read.
    pub(super) fn into_connection(self) -> Conn {
        self.connection
    }
}

impl Function {
    fn answered(
        &self,
        head: &ResponseHead,
        payload: Bytes,
        asked: Option<&RequestHead>,
    ) -> Result<Answered, UpstreamFault> {
        let method = asked.map_or(&Method::GET, |asked| &asked.method);
        let answered = response::answered(self.spec.event, head, payload, method);
        if let Err(UpstreamFault::NotRun(NotRun::Denied | NotRun::Unknown)) = &answered {
            self.complain(&response::complaint(head));
        }
        answered
    }
}
