//! One request to a server that a URL names: registries, issuers of keys, collectors. Responses are bounded; connections are not kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};
use pingora::upstreams::peer::HttpPeer;
use rustls::ClientConfig;
use tokio::time::timeout;

use super::ask::{Request, Response, ask};
use super::{ConnectError, End, Peer, Socket, UpstreamFault, connect};
use crate::endpoint::HttpVersions;
use crate::endpoint::{BadUrl, Url};
use crate::message::{Framing, Name, RequestHead, ResponseHead};

/// Responses of registries are lists of addresses: more than this is a mistake.
const LARGEST_JSON: usize = 16 << 20;
/// For a connection, its handshake of TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// The same while there is another address to go to (`localhost` has two).
const CONNECT_IN_TURN: Duration = Duration::from_secs(1);

/// Why there is no response, or none of use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    BadUrl(#[from] BadUrl),
    #[error("`{0}` does not resolve")]
    Unresolved(String),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("no answer within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    #[error("the answer is too large")]
    TooLarge,
    #[error("status {0}")]
    Status(u16),
    /// A status, and what the server says of it.
    #[error("status {0}: {1}")]
    Refused(u16, String),
    #[error("the answer was not understood: {0}")]
    NotUnderstood(String),
}

impl From<ConnectError> for FetchError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(match error {
            ConnectError::Timeout(_) => error.cause(),
            error => error.to_string(),
        })
    }
}

impl From<UpstreamFault> for FetchError {
    fn from(fault: UpstreamFault) -> Self {
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
    fetch_from(url, head, body, None).await
}

/// The same from a server that is trusted in another way than by the authorities of this machine.
///
/// # Errors
/// As [`fetch`].
pub async fn fetch_from(
    url: &Url,
    head: &RequestHead,
    body: Option<Bytes>,
    trust: Option<Arc<ClientConfig>>,
) -> Result<Response, FetchError> {
    let socket = reach(url, trust).await?;
    let framing = body.as_ref().map_or(Framing::None, |body| Framing::Length(body.len() as u64));
    Ok(ask(End::http1(socket), &Request { head, framing, body: body.as_slice() }).await?)
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
pub fn json_request(
    url: &Url,
    method: Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> (RequestHead, Option<Bytes>) {
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
pub(super) async fn reach(url: &Url, trust: Option<Arc<ClientConfig>>) -> Result<Socket, FetchError> {
    if let Some(path) = url.socket() {
        let peer = HttpPeer::new_uds(&path.to_string_lossy(), false, String::new());
        let peer = peer.map_err(|_| FetchError::Unresolved(path.display().to_string()))?;
        return Ok(connect(&Peer::new(peer, None, HttpVersions::Http1), Some(CONNECT)).await?);
    }
    let addresses = resolve(url, url.port()).await?;
    let mut last = FetchError::Unresolved(url.host().to_owned());
    for (index, address) in (1..).zip(&addresses) {
        let limit = if index < addresses.len() { CONNECT_IN_TURN } else { CONNECT };
        match connect(&trusting(url, *address, trust.clone()), Some(limit)).await {
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
pub fn peer(url: &Url, address: SocketAddr) -> Peer {
    trusting(url, address, None)
}

fn trusting(url: &Url, address: SocketAddr, trust: Option<Arc<ClientConfig>>) -> Peer {
    let server_name = if url.is_tls() { url.host().to_owned() } else { String::new() };
    Peer::new(HttpPeer::new(address, url.is_tls(), server_name), trust, HttpVersions::Http1)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    /// Takes one request to the end of its body and answers with this; gives the URL, and the request in the end.
    async fn server(said: &'static str) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/api/", listener.local_addr().unwrap().port()).parse().unwrap();
        let task = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.ends_with(b"}") && !read.ends_with(b"\r\n\r\n") {
                socket.read_buf(&mut read).await.unwrap();
            }
            socket.write_all(said.as_bytes()).await.unwrap();
            String::from_utf8(read).unwrap()
        });
        (url, task)
    }

    #[tokio::test]
    async fn json_is_asked_for_and_read() {
        let (url, task) = server("HTTP/1.1 200 OK\r\nX-Index: 7\r\n\r\n{\"a\":1}").await;
        let limit = Duration::from_secs(10);
        let (head, value) = json(&url, Method::GET, "/v1/x?y", None, limit).await.unwrap();
        assert_eq!((head.fields.text("x-index"), value), (Some("7"), serde_json::json!({ "a": 1 })));
        let port = url.port();
        assert_eq!(
            task.await.unwrap(),
            format!(
                "GET /api/v1/x?y HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAccept: application/json\r\n\r\n"
            )
        );
    }

    #[tokio::test]
    async fn a_response_without_use_is_an_error() {
        let limit = Duration::from_secs(10);
        for (said, expected) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n0123456789", "the connection broke: unexpected end of file"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n012345678901234567890123456789", "the answer is too large"),
            ("SSH-2.0\r\n", "the connection broke: not HTTP: no response"),
        ] {
            let (url, _task) = server(said).await;
            let head = request(&url, Method::GET, url.target());
            let found = whole(&url, &head, None, 20, limit).await.unwrap_err();
            assert_eq!(found.to_string(), expected, "{said}");
        }
        let (url, _task) = server("HTTP/1.1 200 OK\r\n\r\n<html>").await;
        let found = json(&url, Method::GET, "/", Some(&serde_json::json!({})), limit).await;
        assert!(matches!(found, Err(FetchError::NotUnderstood(_))), "{found:?}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent: Url = format!("http://127.0.0.1:{port}").parse().unwrap();
        let limit = Duration::from_millis(50);
        assert_eq!(json(&silent, Method::GET, "/", None, limit).await.unwrap_err(), FetchError::TooSlow(limit));
        drop(listener);
        let refused = json(&silent, Method::GET, "/", None, Duration::from_secs(10)).await.unwrap_err();
        assert!(matches!(&refused, FetchError::Connect(why) if why.contains("refused")), "{refused}");
        let nowhere: Url = "http://nowhere.invalid".parse().unwrap();
        let unresolved = json(&nowhere, Method::GET, "/", None, Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(unresolved, FetchError::Unresolved("nowhere.invalid".to_owned()));
    }

    #[tokio::test]
    async fn a_unix_socket_is_asked() {
        let path = std::env::temp_dir().join(format!("multilith-fetch-{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let url: Url = format!("unix:{}", path.display()).parse().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            while socket.read_buf(&mut Vec::with_capacity(512)).await.is_ok_and(|length| length > 0) {}
        });
        let found = json(&url, Method::GET, "/", None, Duration::from_secs(10)).await;
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found.unwrap().1, serde_json::json!({}));
    }
}
