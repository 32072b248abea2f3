//! One request to one endpoint on connections that no client's request uses, its answer read within bounds.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v1::client::HttpSession as Http1;
use pingora::upstreams::peer::{HttpPeer, Peer};

use super::budget::Held;
use super::capture::{Seen, streams};
use super::gathered::Gathered;
use super::{Translate, head};
use crate::compare::{Answer, Body};
use crate::endpoint::{HttpVersions, UpstreamId};
use crate::upstream::{Failure, Lease, Pool, kept};

/// Idle connections that are kept, over all upstreams.
const IDLE_CONNECTIONS: usize = 128;

/// Nobody took a connection there: for so long nobody is asked again. A target that is gone costs no more than one that is there.
const REST: Duration = Duration::from_millis(100);

/// More of an answer is not read, not even to throw it away: whoever sends that much has no end.
const LONGEST_ANSWER: u64 = 16 * 1024 * 1024;

/// Interim answers (1xx) before the answer; whoever sends more has none.
const MOST_INTERIM: usize = 100;

/// What is asked, and of whom.
pub(super) struct Question<'a> {
    pub(super) pool: &'a Arc<Pool>,
    pub(super) upstream: UpstreamId,
    pub(super) unit: Option<u64>,
    pub(super) head: &'a RequestHeader,
    pub(super) body: &'a [Bytes],
    pub(super) translate: &'a dyn Translate,
}

/// An answer that was read to its end, or as far as anybody would.
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) endpoint: Box<str>,
    /// What was kept of it; `None` where nothing was to be, or nothing more could be held.
    pub(super) seen: Option<Seen>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    NoEndpoint,
    Connect(String),
    /// The connection ended early, or what came is not HTTP.
    Broken(String),
    Timeout(Duration),
}

impl NoAnswer {
    /// The label in `shadow_requests_total`.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::NoEndpoint | Self::Connect(_) => "connect",
            Self::Broken(_) => "reset",
            Self::Timeout(_) => "timeout",
        }
    }
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoEndpoint => f.write_str("it has no eligible endpoint"),
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Broken(why) => write!(f, "the answer broke off: {why}"),
            Self::Timeout(limit) => write!(f, "no whole answer within {limit:?}"),
        }
    }
}

/// Connections of copies alone.
#[derive(Default)]
pub(super) struct Line {
    /// Made at first use: they read the machine's certificate authorities.
    connector: OnceLock<Connector>,
    /// To upstreams of HTTP/1, whose connections are kept as those of clients' requests are, by the thread that sends copies.
    http1: OnceLock<TransportConnector>,
    /// Where no connection could be made, when that was, and why.
    unreachable: Mutex<HashMap<u64, (Instant, String)>>,
}

impl Line {
    /// Asks and reads the whole answer. With `keep`, what is held of its body, up to so many bytes.
    pub(super) async fn ask(
        &self,
        question: &Question<'_>,
        limit: Duration,
        keep: Option<(u64, Held)>,
    ) -> Result<Told, NoAnswer> {
        let lease = question.pool.pick(question.unit, &[]).map_err(|_| NoAnswer::NoEndpoint)?;
        let whole = tokio::time::timeout(limit, self.of_endpoint(question, &lease, keep));
        let answered = whole.await.unwrap_or(Err(NoAnswer::Timeout(limit)));
        match &answered {
            Ok(_) => lease.copy_answered(),
            Err(NoAnswer::Connect(_)) => lease.copy_failed(Failure::Connect),
            Err(NoAnswer::Timeout(_)) => lease.copy_failed(Failure::Timeout),
            Err(NoAnswer::NoEndpoint | NoAnswer::Broken(_)) => lease.copy_failed(Failure::Reset),
        }
        answered
    }

    async fn of_endpoint(
        &self,
        question: &Question<'_>,
        lease: &Lease,
        keep: Option<(u64, Held)>,
    ) -> Result<Told, NoAnswer> {
        let mut peer = lease.peer().clone();
        // The limit of the whole exchange is the only one.
        peer.options.read_timeout = None;
        peer.options.write_timeout = None;
        let peer = &peer;
        let began = Instant::now();
        let (versions, key) = (question.pool.spec().http, lease.connection_key());
        let (session, reused) = self.connect(versions, key, peer).await?;
        let first = converse(session, question, peer).await;
        let session = match first {
            // An endpoint may close an idle connection at any time. Only what is harmless twice is sent twice.
            Err(_) if reused && question.head.method.is_safe() && question.head.method != Method::TRACE => {
                let (session, _) = self.connect(versions, key, peer).await?;
                converse(session, question, peer).await?
            }
            other => other?,
        };
        let took = began.elapsed();
        self.receive(session, question, (key, peer), lease.address(), took, keep).await
    }

    async fn connect(
        &self,
        versions: HttpVersions,
        key: u64,
        peer: &HttpPeer,
    ) -> Result<(HttpSession, bool), NoAnswer> {
        let speaks_http1 = versions == HttpVersions::Http1;
        let http1 = |stream| HttpSession::H1(Http1::new_with_options(stream, peer));
        if speaks_http1 && let Some(stream) = kept::take(key, Instant::now()) {
            return Ok((http1(stream), true));
        }
        if let Some(why) = self.rests(key) {
            return Err(NoAnswer::Connect(why));
        }
        // In boxes: most copies find a connection, and should not carry the room that making one takes.
        let session = if speaks_http1 {
            let connector = self.http1.get_or_init(|| TransportConnector::new(None));
            let stream = Box::pin(connector.new_stream(peer)).await;
            stream.map(|stream| (http1(stream), false))
        } else {
            Box::pin(self.connector().get_http_session(peer)).await
        };
        session.map_err(|error| {
            let why = cause(&error);
            self.unreachable.lock().insert(key, (Instant::now(), why.clone()));
            NoAnswer::Connect(why)
        })
    }

    /// Why no connection could be made there a moment ago.
    fn rests(&self, key: u64) -> Option<String> {
        let mut unreachable = self.unreachable.lock();
        if unreachable.is_empty() {
            return None;
        }
        unreachable.retain(|_, (when, _)| when.elapsed() < REST);
        unreachable.get(&key).map(|(_, why)| why.clone())
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| Connector::new(Some(ConnectorOptions::new(IDLE_CONNECTIONS))))
    }

    /// Reads the body and gives the connection back if it is whole.
    async fn receive(
        &self,
        mut session: HttpSession,
        question: &Question<'_>,
        peer: (u64, &HttpPeer),
        endpoint: &str,
        took: Duration,
        keep: Option<(u64, Held)>,
    ) -> Result<Told, NoAnswer> {
        let mut answered = session.response_header().expect("the head was read").clone();
        let endless = streams(&answered.headers);
        let mut gathered = keep.map(|(limit, held)| Gathered::new(limit, held));
        let mut read = 0_u64;
        let mut whole = !endless;
        while whole {
            let Some(chunk) = session.read_response_body().await.map_err(|error| broken(&error))? else { break };
            read = read.saturating_add(chunk.len() as u64);
            whole = read <= LONGEST_ANSWER;
            if let Some(gathered) = &mut gathered {
                gathered.push(&chunk);
            }
        }
        if whole {
            self.release(session, question.pool, peer).await;
        } else {
            session.shutdown().await;
        }
        let status = answered.status.as_u16();
        let told = |seen| Told { status, endpoint: endpoint.into(), seen };
        let Some(gathered) = gathered else { return Ok(told(None)) };
        let translated = question.translate.answer(&mut answered, question.upstream, endpoint);
        translated.map_err(|error| broken(&error))?;
        let (body, mut held) = gathered.into_body();
        if !held.grow(weight(&answered.headers)) {
            return Ok(told(None));
        }
        let body = match (endless, whole) {
            (true, _) => Body::Streamed,
            (false, true) => body,
            (false, false) => Body::Cut,
        };
        let answer = Answer { status: answered.status, headers: answered.headers.clone(), body };
        Ok(told(Some(Seen { answer, took, held })))
    }

    async fn release(&self, mut session: HttpSession, pool: &Pool, (key, peer): (u64, &HttpPeer)) {
        if let HttpSession::H1(session) = &mut session {
            session.respect_keepalive();
        }
        let spec = pool.spec();
        match session {
            HttpSession::H1(session) if spec.http == HttpVersions::Http1 => {
                if let Some(stream) = session.reuse().await {
                    kept::keep(key, stream, Instant::now(), spec.keepalive, IDLE_CONNECTIONS);
                }
            }
            session => {
                let idle = peer.options.idle_timeout;
                Box::pin(self.connector().release_http_session(session, peer, idle)).await;
            }
        }
    }
}

/// Bytes that a head takes, nearly: pingora lets an endpoint send a megabyte of it.
fn weight(headers: &HeaderMap) -> usize {
    const EACH: usize = 100;
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + EACH).sum()
}

/// Sends the request and reads the head of the answer.
async fn converse(mut session: HttpSession, question: &Question<'_>, peer: &HttpPeer) -> Result<HttpSession, NoAnswer> {
    let mut head = question.head.clone();
    head::for_session(&mut head, &session, peer.tls()).map_err(|error| broken(&error))?;
    session.write_request_header(Box::new(head)).await.map_err(|error| broken(&error))?;
    for chunk in question.body {
        session.write_request_body(chunk.clone(), false).await.map_err(|error| broken(&error))?;
    }
    session.finish_request_body().await.map_err(|error| broken(&error))?;
    for _ in 0..=MOST_INTERIM {
        session.read_response_header().await.map_err(|error| broken(&error))?;
        match session.response_header().map(|head| head.status) {
            // A copy never asks for an upgrade: what follows is not HTTP, and has no end.
            Some(StatusCode::SWITCHING_PROTOCOLS) => return Err(NoAnswer::Broken("it switched protocols".to_owned())),
            Some(status) if !status.is_informational() => return Ok(session),
            _ => {}
        }
    }
    Err(NoAnswer::Broken(format!("more than {MOST_INTERIM} interim answers")))
}

fn broken(error: &pingora::Error) -> NoAnswer {
    NoAnswer::Broken(cause(error))
}

/// What went wrong underneath, in few words. Never what the endpoint said: that may hold secrets.
fn cause(error: &pingora::Error) -> String {
    match error.root_cause().downcast_ref::<std::io::Error>() {
        Some(io) => io.kind().to_string(),
        None => error.etype().as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_took_a_connection_nobody_is_asked_for_a_moment() {
        const KEY: u64 = 7;
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("loopback has a free port");
        let line = Line::default();
        let peer = HttpPeer::new(address, false, String::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let failed = line.connect(HttpVersions::Http1, KEY, &peer).await.err().expect("nobody listens");
            assert!(matches!(failed, NoAnswer::Connect(_)), "{failed:?}");
            let when = line.unreachable.lock()[&KEY].0;
            let _listener = std::net::TcpListener::bind(address).expect("the port is still free");
            assert!(
                line.connect(HttpVersions::Http1, KEY + 1, &peer).await.is_ok(),
                "another endpoint is asked at once"
            );
            while let Err(failed) = line.connect(HttpVersions::Http1, KEY, &peer).await {
                assert!(matches!(failed, NoAnswer::Connect(_)), "{failed:?}");
                tokio::task::yield_now().await;
            }
            assert!(when.elapsed() >= REST);
        });
    }
}
