//! One request to one endpoint on connections that no client's request uses, its response read within bounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use pingora::upstreams::peer::HttpPeer;

use super::Translate;
use super::budget::Held;
use super::capture::{Seen, streams};
use super::gathered::Gathered;
use crate::client::ask::ask_over;
use crate::client::pingora_http2::Http2Connector;
use crate::client::{self, AskError, ConnectError, Fault, Socket, connect, idle_pool};
use crate::compare::{Answer, Body};
use crate::endpoint::{HttpVersions, UpstreamId};
use crate::message::{Fields, Framing, Name, RequestHead};
use crate::upstream::Pool;

/// Idle connections that are kept, over all upstreams.
const IDLE_CONNECTIONS: usize = 128;

/// After a failed connect, skip the endpoint for this long: a target that is gone costs no more than one that is there.
const REST: Duration = Duration::from_millis(100);

/// More of a response is not read, not even to throw it away: it may have no end.
const LONGEST_RESPONSE: u64 = 16 * 1024 * 1024;

/// What is asked, and of which upstream.
pub(super) struct Request<'a> {
    pub(super) pool: &'a Arc<Pool>,
    pub(super) upstream: UpstreamId,
    pub(super) unit: Option<u64>,
    pub(super) head: &'a RequestHead,
    pub(super) body: &'a [Bytes],
    pub(super) translate: &'a dyn Translate,
}

/// A response that was read to its end, or as far as the bounds allow.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) endpoint: Box<str>,
    /// What was kept of it; `None` where nothing was to be, or nothing more could be held.
    pub(super) seen: Option<Seen>,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum ClientError {
    NoEndpoint,
    Connect(String),
    /// The connection ended early, or what came is not HTTP.
    Broken(String),
    Timeout(Duration),
}

impl ClientError {
    /// The label in `shadow_requests_total`.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::NoEndpoint | Self::Connect(_) => "connect",
            Self::Broken(_) => "reset",
            Self::Timeout(_) => "timeout",
        }
    }
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoEndpoint => f.write_str("it has no eligible endpoint"),
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Broken(why) => write!(f, "the answer broke off: {why}"),
            Self::Timeout(limit) => write!(f, "no whole answer within {limit:?}"),
        }
    }
}

/// Never says what the endpoint said: that may hold secrets.
impl From<Fault> for ClientError {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault.to_string())
    }
}

/// Connections of copies alone. Those of HTTP/1 wait in the idle pool of the thread that sends copies.
pub(super) struct Client {
    http2: Http2Connector,
    /// Where no connection could be made, when that was, and why.
    unreachable: Mutex<HashMap<u64, (Instant, String)>>,
}

impl Default for Client {
    fn default() -> Self {
        Self { http2: Http2Connector::new(IDLE_CONNECTIONS), unreachable: Mutex::default() }
    }
}

impl Client {
    /// Asks and reads the whole response. With `keep`, what is held of its body, up to so many bytes.
    pub(super) async fn ask(
        &self,
        request: &Request<'_>,
        limit: Duration,
        keep: Option<(u64, Held)>,
    ) -> Result<Response, ClientError> {
        let whole = tokio::time::timeout(limit, self.without_limit(request, keep));
        whole.await.unwrap_or(Err(ClientError::Timeout(limit)))
    }

    async fn without_limit(&self, request: &Request<'_>, keep: Option<(u64, Held)>) -> Result<Response, ClientError> {
        let lease = request.pool.pick(request.unit, &[]).map_err(|_| ClientError::NoEndpoint)?;
        let (spec, key) = (request.pool.spec(), lease.connection_key());
        let asked = client::Request { head: request.head, framing: framing(request), body: request.body };
        let began = Instant::now();
        if spec.http == HttpVersions::Http1 {
            let kept = idle_pool::take(key, began, Duration::MAX, |_| {});
            let mut response = ask_over(kept, self.connect(key, lease.peer_http1()), &asked).await?;
            let (told, whole) = receive(&mut response, request, lease.address(), began.elapsed(), keep).await?;
            if let Some(socket) = response.reuse().filter(|_| whole) {
                idle_pool::keep(key, socket, Instant::now(), spec.keepalive, IDLE_CONNECTIONS);
            }
            return Ok(told);
        }
        // In a box: most copies go over HTTP/1, and should not carry the room that this takes.
        Box::pin(async move {
            if let Some(why) = self.rests(key) {
                return Err(ClientError::Connect(why));
            }
            let mut peer = lease.peer().clone();
            // The limit of the whole exchange is the only one.
            peer.options.read_timeout = None;
            peer.options.write_timeout = None;
            let mut response = self.http2.ask(&peer, &asked).await.map_err(|error| match error {
                AskError::Connect(error) => self.not_connected(key, &error),
                AskError::Broken(fault) => fault.into(),
            })?;
            let (told, whole) = receive(&mut response, request, lease.address(), began.elapsed(), keep).await?;
            if whole {
                response.give_back(&self.http2, &peer).await;
            }
            Ok(told)
        })
        .await
    }

    async fn connect(&self, key: u64, peer: &HttpPeer) -> Result<Socket, ClientError> {
        if let Some(why) = self.rests(key) {
            return Err(ClientError::Connect(why));
        }
        connect(peer, peer.options.total_connection_timeout).await.map_err(|error| self.not_connected(key, &error))
    }

    fn not_connected(&self, key: u64, error: &ConnectError) -> ClientError {
        let why = error.cause();
        self.unreachable.lock().insert(key, (Instant::now(), why.clone()));
        ClientError::Connect(why)
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

/// Reads the body. True: it was read to its end.
async fn receive(
    response: &mut client::Response,
    request: &Request<'_>,
    endpoint: &str,
    took: Duration,
    keep: Option<(u64, Held)>,
) -> Result<(Response, bool), ClientError> {
    let endless = streams(&response.head.fields);
    let mut gathered = keep.map(|(limit, held)| Gathered::new(limit, held));
    let mut read = 0_u64;
    let mut whole = !endless;
    while whole {
        let Some(data) = response.data().await? else { break };
        read = read.saturating_add(data.len() as u64);
        whole = read <= LONGEST_RESPONSE;
        if let Some(gathered) = &mut gathered {
            gathered.push(&data);
        }
    }
    let head = &mut response.head;
    let status = head.status.as_u16();
    let told = |seen| Response { status, endpoint: endpoint.into(), seen };
    let Some(gathered) = gathered else { return Ok((told(None), whole)) };
    request.translate.response(head, request.upstream, endpoint)?;
    let (body, mut held) = gathered.into_body();
    if !held.grow(weight(&head.fields)) {
        return Ok((told(None), whole));
    }
    let body = match (endless, whole) {
        (true, _) => Body::Streamed,
        (false, true) => body,
        (false, false) => Body::Cut,
    };
    let answer = Answer { status: head.status, headers: head.fields.to_map(), body };
    Ok((told(Some(Seen { answer, took, held })), whole))
}

/// Bytes that a head takes, nearly: an endpoint may send 256 KiB of it.
fn weight(fields: &Fields) -> usize {
    const EACH: usize = 100;
    fields.weight() + fields.len() * EACH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failed_connect_the_endpoint_is_skipped_for_a_moment() {
        const KEY: u64 = 7;
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("loopback has a free port");
        let client = Client::default();
        let peer = HttpPeer::new(address, false, String::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let failed = client.connect(KEY, &peer).await.expect_err("nothing listens");
            assert!(matches!(failed, ClientError::Connect(_)), "{failed:?}");
            let when = client.unreachable.lock()[&KEY].0;
            let _listener = std::net::TcpListener::bind(address).expect("the port is still free");
            assert!(client.connect(KEY + 1, &peer).await.is_ok(), "another endpoint is asked at once");
            while let Err(failed) = client.connect(KEY, &peer).await {
                assert!(matches!(failed, ClientError::Connect(_)), "{failed:?}");
                tokio::task::yield_now().await;
            }
            assert!(when.elapsed() >= REST);
        });
    }
}
