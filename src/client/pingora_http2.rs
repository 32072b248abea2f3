//! HTTP/2 towards upstreams by pingora's connector, for requests of the proxy's own.

use std::fmt;
use std::io;
use std::sync::OnceLock;

use http::{Uri, Version};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::{HttpPeer, Peer as _};

use super::ask::{AskError, MOST_INTERIM, Request, Response};
use super::{ConnectError, Fault};
use crate::message::{Fields, Framing, Name, Piece, ResponseHead};

/// Makes and keeps connections over HTTP/2, or over what the server chooses where the peer leaves it to ALPN.
pub struct Http2Connector {
    /// Made at first use: it reads the machine's certificate authorities.
    connector: OnceLock<Connector>,
    /// Connections that are kept.
    most: usize,
}

impl fmt::Debug for Http2Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http2Connector")
    }
}

impl Http2Connector {
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { connector: OnceLock::new(), most }
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| Connector::new(Some(ConnectorOptions::new(self.most))))
    }

    /// As [`super::ask::ask_over`], with a connection that is kept here or made.
    ///
    /// # Errors
    /// There is no connection; the exchange broke.
    pub async fn ask(&self, peer: &HttpPeer, request: &Request<'_>) -> Result<Response, AskError> {
        let (session, reused) = self.connect(peer).await?;
        match converse(session, request, peer).await {
            Err(Fault::Ended(_)) if reused && request.is_harmless_twice() => {
                let (session, _) = self.connect(peer).await?;
                Ok(converse(session, request, peer).await?)
            }
            other => Ok(other?),
        }
    }

    async fn connect(&self, peer: &HttpPeer) -> Result<(HttpSession, bool), ConnectError> {
        Ok(Box::pin(self.connector().get_http_session(peer)).await?)
    }

    /// Keeps the connection of a response that was read to its end.
    pub(super) async fn keep(&self, mut session: HttpSession, peer: &HttpPeer) {
        if let HttpSession::H1(session) = &mut session {
            session.respect_keepalive();
        }
        Box::pin(self.connector().release_http_session(session, peer, peer.idle_timeout())).await;
    }
}

async fn converse(mut session: HttpSession, request: &Request<'_>, peer: &HttpPeer) -> Result<Response, Fault> {
    let head =
        header(request, &session, peer.is_tls()).ok_or(Fault::Unwritable("the head cannot be sent over HTTP/2"))?;
    session.write_request_header(Box::new(head)).await.map_err(|error| fault(&error))?;
    for chunk in request.body {
        session.write_request_body(chunk.clone(), false).await.map_err(|error| fault(&error))?;
    }
    session.finish_request_body().await.map_err(|error| fault(&error))?;
    for _ in 0..=MOST_INTERIM {
        session.read_response_header().await.map_err(|error| fault(&error))?;
        let Some(head) = session.response_header() else { break };
        let mut read = ResponseHead::new(head.status);
        read.version = head.version;
        read.fields = Fields::from(&head.headers);
        if !read.status.is_informational() {
            return Ok(Response::of_pingora(read, session));
        }
    }
    Err(Fault::Malformed("interim responses without a response"))
}

fn header(request: &Request<'_>, session: &HttpSession, tls: bool) -> Option<RequestHeader> {
    let head = request.head;
    let mut header = RequestHeader::build(head.method.clone(), head.target(), None).ok()?;
    let http2 = matches!(session, HttpSession::H2(_));
    if http2 {
        let host = head.fields.get(Name::Host)?;
        let target = std::str::from_utf8(head.target()).ok()?;
        let scheme = if tls { "https" } else { "http" };
        header.set_uri(Uri::builder().scheme(scheme).authority(host).path_and_query(target).build().ok()?);
        header.set_version(Version::HTTP_2);
    }
    for (known, name, value) in head.fields.named() {
        if !(http2 && matches!(known, Name::Host | Name::Connection)) {
            header.append_header(String::from_utf8_lossy(name).into_owned(), value).ok()?;
        }
    }
    match request.framing {
        Framing::Length(length) => header.insert_header("Content-Length", length).ok()?,
        Framing::Open | Framing::Close if !http2 => header.insert_header("Transfer-Encoding", "chunked").ok()?,
        _ => {}
    }
    Some(header)
}

pub(super) async fn piece(session: &mut HttpSession) -> Result<Piece, Fault> {
    loop {
        match session.read_response_body().await.map_err(|error| fault(&error))? {
            Some(data) if data.is_empty() => {}
            Some(data) => return Ok(Piece::Data(data)),
            None => break,
        }
    }
    if let HttpSession::H2(stream) = session
        && let Some(trailers) = stream.read_trailers().await.map_err(|error| fault(&error))?
    {
        return Ok(Piece::Trailers(Fields::from(&trailers)));
    }
    Ok(Piece::End)
}

fn fault(error: &pingora::Error) -> Fault {
    let kind = error.root_cause().downcast_ref::<io::Error>().map_or(io::ErrorKind::ConnectionReset, io::Error::kind);
    Fault::Ended(kind.into())
}
