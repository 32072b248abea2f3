//! An answer of the plain kind, passed on as the lines in which it came.
//!
//! Most answers have a length, and nothing in their heads concerns the proxy. For these, the maps of names and values that
//! pingora's session fills, copies and writes again cost more than everything that is decided on the way. What is read here is
//! read strictly; whatever is not plain is put back, and pingora reads it as it reads every other answer.

use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use memchr::{memchr, memmem};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Unencrypted;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::exchange::Exchange;
use super::outbound::X_REQUEST_ID_NAME;
use super::panic::{Hook, caught};
use super::plain_head::{Head, Parsed, Wants, parse};
use super::{Edge, answer, attempt, body, copying};

/// Read at once; heads of usual length fit, with a small body.
const FIRST_READ: usize = 8 * 1024;
/// Of a longer body.
const NEXT_READ: usize = 64 * 1024;
/// A longer head is left to pingora.
const LONGEST_HEAD: usize = 16 * 1024;
/// Fields that the head of our own making has: length, date and connection.
const OWN_FIELDS: usize = 4;

/// What became of an answer.
pub enum Passed {
    /// It was passed on. The connection is given back if it may be used again.
    Done(Option<Stream>),
    /// It is not plain: nothing of it was passed on, and the connection will give it once more.
    Other(Stream),
}

/// Reads the answer to a request that was sent over this connection, and passes it on if it is plain.
pub async fn pass(edge: &Edge, session: &mut Session, exchange: &mut Exchange, stream: Stream) -> Result<Passed> {
    // Only a connection without TLS can be given back what was read of it.
    let can_read = stream.as_any().is::<Unencrypted>();
    let Some(wants) = Wants::of(session, exchange).filter(|_| can_read) else { return Ok(Passed::Other(stream)) };
    let mut stream = stream.into_any().downcast::<Unencrypted>().expect("its kind was looked at");
    let mut buffer = BytesMut::new();
    let head = loop {
        while_client_stays(session, first_read(&mut stream, &mut buffer)).await?;
        match parse(&buffer, wants) {
            Parsed::Part if buffer.len() < LONGEST_HEAD => {}
            Parsed::Plain(length, head) if !attempt::counts_as_failure(exchange, head.status) => {
                drop(buffer.split_to(length));
                break head;
            }
            _ => {
                stream.rewind(&buffer);
                return Ok(Passed::Other(stream));
            }
        }
    };
    let stays = head.stays;
    let mut left = head.length;
    begin(edge, session, exchange, head).await?;
    loop {
        let piece = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut piece = buffer.split_to(piece).freeze();
        left -= piece.len() as u64;
        if !piece.is_empty() || left == 0 {
            caught(edge, Hook::AnswerBody, exchange, |exchange| {
                body::answer_chunk(left == 0, exchange)?;
                copying::answer_passes(Some(&piece), exchange);
                body::to_client(Some(&mut piece), exchange);
                Ok(())
            })?;
            let written = session.as_downstream_mut().write_response_body(piece, left == 0).await;
            written.map_err(Error::into_down)?;
        }
        if left == 0 {
            break;
        }
        buffer.reserve(usize::try_from(left).map_or(NEXT_READ, |left| left.min(NEXT_READ)));
        while_client_stays(session, next_read(&mut stream, &mut buffer)).await?;
    }
    // More than was announced: nobody knows what it is an answer to.
    Ok(Passed::Done((stays && buffer.is_empty()).then_some(stream as Stream)))
}

/// Its head goes to the client.
async fn begin(edge: &Edge, session: &mut Session, exchange: &mut Exchange, head: Head) -> Result<()> {
    let http2 = session.as_http2().is_some();
    let mut own = Box::new(if http2 {
        ResponseHeader::build_no_case(head.status, Some(OWN_FIELDS + head.count))?
    } else {
        ResponseHeader::build(head.status, Some(OWN_FIELDS))?
    });
    own.set_reason_phrase(head.reason.as_deref())?;
    own.append_header("Content-Length", HeaderValue::from(head.length))?;
    caught(edge, Hook::AnswerHead, exchange, |exchange| attempt::head_arrived(edge, session, &mut own, exchange))?;
    let mut lines = head.lines;
    caught(edge, Hook::Answer, exchange, |exchange| {
        answer::prepare_plain(own.status, head.fields.as_ref(), &mut lines, exchange);
        Ok(())
    })?;
    if http2 {
        put_lines(&mut own, lines.freeze())?;
    } else if let Some(watch) = &exchange.watch {
        watch.lines.put(lines);
    }
    session.as_downstream_mut().write_response_header(own).await.map_err(Error::into_down)
}

/// On a stream of HTTP/2, lines are fields like others.
fn put_lines(head: &mut ResponseHeader, lines: Bytes) -> Result<()> {
    let invalid = || Error::explain(ErrorType::InvalidHTTPHeader, "a line of the answer's head").into_up();
    let mut begin = 0;
    for end in memmem::find_iter(&lines, b"\r\n") {
        let line = lines.slice(begin..end);
        begin = end + 2;
        let colon = memchr(b':', &line).ok_or_else(invalid)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| invalid())?;
        let mut value = HeaderValue::from_maybe_shared(line.slice(colon + 2..)).map_err(|_| invalid())?;
        // No two are alike: the tables of HTTP/2's compression have no use for it.
        value.set_sensitive(name == X_REQUEST_ID_NAME);
        head.append_header(name, value)?;
    }
    Ok(())
}

/// The beginning of an answer is awaited without a buffer: upstreams may take their time, and many requests may wait.
async fn first_read(stream: &mut Unencrypted, buffer: &mut BytesMut) -> Result<()> {
    let read = poll_fn(|cx| {
        let mut bytes = [MaybeUninit::uninit(); FIRST_READ];
        let mut read = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        buffer.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    });
    arrived(read.await)
}

async fn next_read(stream: &mut Unencrypted, buffer: &mut BytesMut) -> Result<()> {
    arrived(stream.read_buf(buffer).await)
}

fn arrived(read: std::io::Result<usize>) -> Result<()> {
    match read {
        Ok(1..) => Ok(()),
        Ok(0) => Err(Error::explain(ErrorType::ConnectionClosed, "before the end of the answer").into_up()),
        Err(error) => Err(Error::because(ErrorType::ReadError, "while reading the answer", error).into_up()),
    }
}

/// What this future gives, or an error if the client goes before. The request has no body: there is nothing else to read.
pub async fn while_client_stays<T>(session: &mut Session, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    let mut client = pin!(session.as_downstream_mut().read_body_or_idle(true));
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        match client.as_mut().poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into_down())),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    })
    .await
}
