//! One request to one endpoint on connections that no client's request uses, its response read within bounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::Translate;
use super::budget::Held;
use super::capture::{Seen, append, streams};
use super::gathered::Gathered;
use super::threads::busy_or_waiting;
use crate::client::ask::ask_over;
use crate::client::{self, End, Peer, UpstreamFault};
use crate::compare::{Body, ComparedResponse};
use crate::endpoint::{HttpVersions, UpstreamId};
use crate::message::{Fields, Framing, Name, Piece, ProxiedAddresses, RequestHead, is_call};
use crate::upstream::{EndpointFailure, Lease, Pool};

/// Idle connections that are kept, over all upstreams.
const IDLE_CONNECTIONS: usize = 128;

/// After a failed connect, skip the endpoint for this long: a target that is gone costs no more than one that is there.
const REST: Duration = Duration::from_millis(100);

/// More of a response is not read, not even to throw it away: it may have no end.
const LONGEST_RESPONSE: u64 = 16 * 1024 * 1024;

/// A request, and its upstream.
pub(super) struct Request<'a> {
    pub(super) pool: &'a Arc<Pool>,
    pub(super) upstream: UpstreamId,
    pub(super) unit: Option<u64>,
    pub(super) client: Option<ProxiedAddresses>,
    pub(super) head: &'a RequestHead,
    pub(super) body: &'a [Bytes],
    pub(super) translate: &'a dyn Translate,
}

/// A response that was read to its end, or as far as the bounds allow.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) endpoint: Box<str>,
    /// The kept parts of it; `None` where nothing was to be kept, or nothing more could be held.
    pub(super) seen: Option<Seen>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("it has no eligible endpoint")]
    NoEndpoint,
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection ended early, or what came is not HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// It cannot be asked for in the endpoint's version of HTTP: nothing was sent.
    #[error("{0}")]
    Unwritable(&'static str),
}

impl ClientError {
    /// The label in `shadow_requests_total`.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::NoEndpoint | Self::Connect(_) => "connect",
            Self::Broken(_) | Self::Unwritable(_) => "reset",
            Self::Timeout(_) => "timeout",
        }
    }
}

/// Never says what the endpoint said: that may hold secrets.
impl From<UpstreamFault> for ClientError {
    fn from(fault: UpstreamFault) -> Self {
        match fault {
            UpstreamFault::NotRun(_) => Self::Connect(fault.to_string()),
            UpstreamFault::Unwritable(why) => Self::Unwritable(why),
            _ => Self::Broken(fault.to_string()),
        }
    }
}

/// Connections of copies alone: they are kept by the thread that sends copies.
#[derive(Default)]
pub(super) struct Client {
    /// Where no connection could be made, when that was, and why.
    unreachable: Mutex<HashMap<u64, (Instant, String)>>,
}

impl Client {
    /// Asks and reads the whole response. With `keep`, up to that number of bytes of its body is held.
    pub(super) async fn ask(
        &self,
        request: &Request<'_>,
        limit: Duration,
        keep: Option<(u64, Held)>,
    ) -> Result<Response, ClientError> {
        let lease = request.pool.pick(request.unit, &[]).map_err(|_| ClientError::NoEndpoint)?;
        let whole = tokio::time::timeout(limit, self.of_endpoint(request, &lease, keep));
        let answered = whole.await.unwrap_or(Err(ClientError::Timeout(limit)));
        match &answered {
            Ok(_) => lease.copy_answered(),
            Err(ClientError::Connect(_)) => lease.copy_failed(EndpointFailure::Connect),
            Err(ClientError::Timeout(_)) => lease.copy_failed(EndpointFailure::Timeout),
            // It says nothing of the endpoint.
            Err(ClientError::Unwritable(_)) => {}
            Err(ClientError::NoEndpoint | ClientError::Broken(_)) => lease.copy_failed(EndpointFailure::Reset),
        }
        answered
    }

    async fn of_endpoint(
        &self,
        request: &Request<'_>,
        lease: &Lease,
        keep: Option<(u64, Held)>,
    ) -> Result<Response, ClientError> {
        let (spec, key) = (request.pool.spec(), lease.connection_key_for(request.client.as_ref()));
        let asked = client::Request { head: request.head, framing: framing(request), body: request.body };
        let (began, waited) = (Instant::now(), busy_or_waiting());
        let peer = lease.peer_for(request.client.as_ref(), false);
        let youngest = spec.keepalive.reuse_within(lease.idle_closes(), asked.is_harmless_twice());
        let kept = End::kept(key, spec.http, peer.is_tls(), began, youngest);
        let target = request.pool.target();
        let over = |end| if target.is_http() { end } else { target.over(end, request.translate.brief(request.head)) };
        let kept = target.shared().or(kept).map(over);
        let connected = async {
            if let Some(shared) = target.connected(peer.options.total_connection_timeout).await {
                return shared.map(over).map_err(|why| ClientError::Connect(why.cause()));
            }
            // In a box, made when it is needed: most copies find a connection.
            Box::pin(self.connect(&peer, (key, spec.http), spec.keepalive.http2())).await.map(over)
        };
        let mut response = ask_over(kept, connected, &asked).await?;
        let took = (began.elapsed(), busy_or_waiting().saturating_sub(waited));
        let (told, whole) = receive(&mut response, request, lease.address(), took, keep).await?;
        if whole {
            let (closes, shared) = (lease.idle_closes(), key == lease.connection_key());
            let wait = if shared { spec.keepalive.kept() } else { spec.keepalive.reuse_within(closes, true) };
            let closes = spec.keepalive.learns(closes).filter(|_| shared);
            response.keep_connection(key, wait, IDLE_CONNECTIONS, closes);
        }
        Ok(told)
    }

    async fn connect(
        &self,
        peer: &Peer,
        (key, versions): (u64, HttpVersions),
        keepalive: Duration,
    ) -> Result<End, ClientError> {
        if let Some(why) = self.rests(key) {
            return Err(ClientError::Connect(why));
        }
        let limit = peer.options.total_connection_timeout;
        let connected = End::connect(peer, limit, (key, versions), keepalive).await;
        connected.map_err(|error| {
            let why = error.cause();
            self.unreachable.lock().insert(key, (Instant::now(), why.clone()));
            ClientError::Connect(why)
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
}

/// The copy's body is framed as the client's was.
fn framing(request: &Request<'_>) -> Framing {
    if request.body.is_empty() {
        Framing::None
    } else if request.head.fields.has(Name::ContentLength) {
        Framing::Length(request.body.iter().map(|chunk| chunk.len() as u64).sum())
    } else {
        Framing::Open
    }
}

/// Reads the body. `took`: the time of the head, and how much of it this thread was busy or waited for a processor. True: the body was read
/// to its end.
async fn receive(
    response: &mut client::Response,
    request: &Request<'_>,
    endpoint: &str,
    (took, waited): (Duration, Duration),
    keep: Option<(u64, Held)>,
) -> Result<(Response, bool), ClientError> {
    let endless = streams(&response.head.fields);
    let mut gathered = keep.map(|(limit, held)| Gathered::new(limit, held));
    let mut read = 0_u64;
    let mut whole = !endless;
    while whole {
        let data = match response.piece().await? {
            Piece::Data(data) => data,
            Piece::Trailers(trailers) if is_call(&request.head.fields) => {
                append(&mut response.head.fields, &trailers);
                break;
            }
            Piece::Trailers(_) | Piece::End => break,
        };
        read = read.saturating_add(data.len() as u64);
        whole = read <= LONGEST_RESPONSE;
        if let Some(gathered) = &mut gathered {
            gathered.push(&data);
        }
    }
    let answered = &mut response.head;
    let status = answered.status.as_u16();
    let told = |seen| Response { status, endpoint: endpoint.into(), seen };
    let Some(gathered) = gathered else { return Ok((told(None), whole)) };
    let location = answered.fields.text(Name::Location).map(Box::from);
    request.translate.response(answered, request.upstream, endpoint)?;
    let (body, mut held) = gathered.into_body();
    if !held.grow(weight(&answered.fields)) {
        return Ok((told(None), whole));
    }
    let body = match (endless, whole) {
        (true, _) => Body::Streamed,
        (false, true) => body,
        (false, false) => Body::Cut,
    };
    let compared = ComparedResponse { status: answered.status, headers: answered.fields.to_map(), body };
    let seen = Seen { response: compared, took, waited, location, endpoint: Some(endpoint.into()), held };
    Ok((told(Some(seen)), whole))
}

/// Bytes that a head takes, nearly: an endpoint may send 256 KiB of it.
fn weight(fields: &Fields) -> usize {
    const EACH: usize = 100;
    fields.weight() + fields.len() * EACH
}

#[cfg(test)]
mod tests {
    use pingora::upstreams::peer::HttpPeer;

    use super::*;

    #[test]
    fn after_a_failed_connect_the_endpoint_is_skipped_for_a_moment() {
        const KEY: u64 = 7;
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("loopback has a free port");
        let client = Client::default();
        let peer = Peer::new(HttpPeer::new(address, false, String::new()), None, HttpVersions::Http1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connect = |key| client.connect(&peer, (key, HttpVersions::Http1), Duration::ZERO);
        runtime.block_on(async {
            let failed = connect(KEY).await.expect_err("nothing listens");
            assert!(matches!(failed, ClientError::Connect(_)), "{failed:?}");
            let when = client.unreachable.lock()[&KEY].0;
            let _listener = std::net::TcpListener::bind(address).expect("the port is still free");
            assert!(connect(KEY + 1).await.is_ok(), "another endpoint is asked at once");
            while let Err(failed) = connect(KEY).await {
                assert!(matches!(failed, ClientError::Connect(_)), "{failed:?}");
                tokio::task::yield_now().await;
            }
            assert!(when.elapsed() >= REST);
        });
    }
}
