//! One request to a server that a URL names: registries, issuers of keys, collectors. Responses are bounded; connections are not kept.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};
use pingora::upstreams::peer::HttpPeer;
use tokio::time::timeout;

use super::ask::{Request, Response, ask};
use super::{BadUrl, ConnectError, Fault, Socket, Url, connect};
use crate::message::{Framing, Name, RequestHead, ResponseHead};

/// Responses of registries are lists of addresses: more than this is a mistake.
const LARGEST_JSON: usize = 16 << 20;
/// For a connection, its handshake of TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// The same while there is another address to go to (`localhost` has two).
const CONNECT_IN_TURN: Duration = Duration::from_secs(1);

/// Why there is no response, or none of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    BadUrl(BadUrl),
    Unresolved(String),
    Connect(String),
    Broken(String),
    TooSlow(Duration),
    TooLarge,
    Status(u16),
    NotUnderstood(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(bad) => bad.fmt(f),
            Self::Unresolved(host) => write!(f, "`{host}` does not resolve"),
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::TooSlow(limit) => write!(f, "no answer within {} s", limit.as_secs_f64()),
            Self::TooLarge => write!(f, "the answer is too large"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::NotUnderstood(why) => write!(f, "the answer was not understood: {why}"),
        }
    }
}

impl std::error::Error for FetchError {}

impl From<BadUrl> for FetchError {
    fn from(bad: BadUrl) -> Self {
        Self::BadUrl(bad)
    }
}

impl From<ConnectError> for FetchError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(match error {
            ConnectError::Timeout(_) => error.cause(),
            error => error.to_string(),
        })
    }
}

impl From<Fault> for FetchError {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault.to_string())
    }
}

/// The head of a request to the server of this URL, over a connection that is closed after it.
#[must_use]
pub fn request(url: &Url, method: Method, target: &str) -> RequestHead {
    let mut head = RequestHead::new(method, Version::HTTP_11, target.as_bytes());
    head.fields.append(Name::Host, url.authority().as_bytes());
    head.fields.append(Name::Connection, b"close");
    head
}

/// Sends a request and reads the head of its response; the body may be a stream without an end. There is no time limit here but for
/// the connection.
///
/// # Errors
/// The host does not resolve, none of its addresses takes a connection, the exchange broke.
pub async fn fetch(url: &Url, head: &RequestHead, body: Option<Bytes>) -> Result<Response, FetchError> {
    let socket = reach(url).await?;
    let framing = body.as_ref().map_or(Framing::None, |body| Framing::Length(body.len() as u64));
    Ok(ask(socket, &Request { head, framing, body: body.as_slice() }).await?)
}

/// The whole of a response with status 200 and at most `largest` bytes, within `limit`.
///
/// # Errors
/// As [`fetch`]; another status; a longer body; no whole response in time.
pub async fn whole(
    url: &Url,
    head: &RequestHead,
    body: Option<Bytes>,
    largest: usize,
    limit: Duration,
) -> Result<(ResponseHead, Vec<u8>), FetchError> {
    let exchange = async {
        let mut response = fetch(url, head, body).await?;
        if response.head.status != 200 {
            return Err(FetchError::Status(response.head.status.as_u16()));
        }
        let body = response.body(largest).await?.ok_or(FetchError::TooLarge)?;
        Ok((response.head, body))
    };
    timeout(limit, exchange).await.map_err(|_| FetchError::TooSlow(limit))?
}

/// A request to an API that speaks JSON. `path` is appended to the URL's own.
#[must_use]
pub fn json_request(url: &Url, method: Method, path: &str, body: Option<&serde_json::Value>) -> (RequestHead, Option<Bytes>) {
    let mut head = request(url, method, &format!("{}{path}", url.base()));
    head.fields.append("Accept", b"application/json");
    if body.is_some() {
        head.fields.append(Name::ContentType, b"application/json");
    }
    (head, body.map(|value| Bytes::from(value.to_string())))
}

/// The whole of a JSON response with status 200, within `limit`.
///
/// # Errors
/// As [`whole`]; a body that is no JSON.
pub async fn json(
    url: &Url,
    method: Method,
    path: &str,
    body: Option<&serde_json::Value>,
    limit: Duration,
) -> Result<(ResponseHead, serde_json::Value), FetchError> {
    let (head, body) = json_request(url, method, path, body);
    let (head, text) = whole(url, &head, body, LARGEST_JSON, limit).await?;
    let value = serde_json::from_slice(&text).map_err(|error| FetchError::NotUnderstood(error.to_string()))?;
    Ok((head, value))
}

/// A connection to the first address of the host that takes one.
async fn reach(url: &Url) -> Result<Socket, FetchError> {
    if let Some(path) = url.socket() {
        let peer = HttpPeer::new_uds(&path.to_string_lossy(), false, String::new());
        let peer = peer.map_err(|_| FetchError::Unresolved(path.display().to_string()))?;
        return Ok(connect(&peer, Some(CONNECT)).await?);
    }
    let addresses = resolve(url, url.port()).await?;
    let mut last = FetchError::Unresolved(url.host().to_owned());
    for (index, address) in (1..).zip(&addresses) {
        let limit = if index < addresses.len() { CONNECT_IN_TURN } else { CONNECT };
        match connect(&peer(url, *address), Some(limit)).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// All addresses of the URL's host.
///
/// # Errors
/// There are none.
pub async fn resolve(url: &Url, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
    let found = tokio::net::lookup_host((url.host(), port)).await;
    let addresses: Vec<_> = found.map(Iterator::collect).unwrap_or_default();
    if addresses.is_empty() { Err(FetchError::Unresolved(url.host().to_owned())) } else { Ok(addresses) }
}

/// How to connect to one of the addresses of the URL's host.
#[must_use]
pub fn peer(url: &Url, address: SocketAddr) -> HttpPeer {
    let server_name = if url.is_tls() { url.host().to_owned() } else { String::new() };
    HttpPeer::new(address, url.is_tls(), server_name)
}
