//! An answer that pingora reads and frames: whatever is not [`plain`].

use http::{Method, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::v1::client::HttpSession as Upstream;
use pingora::proxy::Session;

use super::exchange::Exchange;
use super::panic::{Hook, caught};
use super::{Edge, answer, attempt, body, copying, plain};

/// Passes an answer on; of one that switches protocols, the head.
pub async fn pass(edge: &Edge, session: &mut Session, exchange: &mut Exchange, upstream: &mut Upstream) -> Result<()> {
    loop {
        let task = async { upstream.read_response_task().await.map_err(|error| error.into_up()) };
        let (chunk, end) = match plain::while_client_stays(session, task).await? {
            HttpTask::Header(mut head, end) => {
                caught(edge, Hook::AnswerHead, exchange, |exchange| {
                    attempt::head_arrived(edge, session, &mut head, exchange)
                })?;
                frame(&mut head, end, &session.req_header().method)?;
                caught(edge, Hook::Answer, exchange, |exchange| answer::prepare(session, &mut head, exchange))?;
                if end && session.as_http2().is_some() {
                    // There, the end of an answer without a body is said in its head.
                    let last = vec![HttpTask::Header(head, end)];
                    return session.as_downstream_mut().response_duplex_vec(last).await.map(drop);
                }
                session.as_downstream_mut().write_response_header(head).await.map_err(|error| error.into_down())?;
                if session.was_upgraded() {
                    return Ok(());
                }
                (None, end)
            }
            HttpTask::Body(mut chunk, end) => {
                caught(edge, Hook::AnswerBody, exchange, |exchange| {
                    body::answer_chunk(end, exchange)?;
                    copying::answer_passes(chunk.as_ref(), exchange);
                    body::to_client(chunk.as_mut(), exchange);
                    Ok(())
                })?;
                (chunk, end)
            }
            HttpTask::Failed(error) => return Err(error.into_up()),
            HttpTask::Trailer(_) | HttpTask::Done | HttpTask::UpgradedBody(..) => (None, true),
        };
        let written = session.as_downstream_mut().write_response_body(chunk.unwrap_or_default(), end).await;
        written.map_err(|error| error.into_down())?;
        if end {
            return Ok(());
        }
    }
}

/// An answer whose end is that of the upstream's connection gets chunks, so that the client's connection can stay.
fn frame(head: &mut ResponseHeader, end: bool, method: &Method) -> Result<()> {
    let bodiless =
        end || *method == Method::HEAD || head.status.is_informational() || matches!(head.status.as_u16(), 204 | 304);
    if bodiless
        || head.headers.contains_key(header::TRANSFER_ENCODING)
        || head.headers.contains_key(header::CONTENT_LENGTH)
    {
        return Ok(());
    }
    head.set_version(Version::HTTP_11);
    head.insert_header(header::TRANSFER_ENCODING, "chunked")
}
