//! A small HTTP client over pingora's connector, for registries and checks: one request at a time, bounded answers.

use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Uri};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tokio::time::timeout;

/// Answers of registries are lists of addresses: more than this is a mistake.
const LARGEST_ANSWER: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    BadUrl(String),
    Unresolved(String),
    Connect(String),
    Broken(String),
    TooSlow(Duration),
    TooLarge,
    Status(u16),
    NotUnderstood(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(url) => write!(f, "`{url}` is no http(s) URL with a host"),
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

impl std::error::Error for NoAnswer {}

/// Where a registry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    tls: bool,
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl std::str::FromStr for Base {
    type Err = NoAnswer;

    fn from_str(url: &str) -> Result<Self, NoAnswer> {
        let bad = || NoAnswer::BadUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl Base {
    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// An answer whose body has not been read.
pub(crate) struct Answer {
    session: HttpSession,
    pub(crate) head: ResponseHeader,
}

/// Connections are not shared with the requests of clients.
#[derive(Default)]
pub(crate) struct HttpClient {
    /// Made at first use: it reads the machine's certificate authorities.
    connector: OnceLock<Connector>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpClient {
    /// The whole of a JSON answer with status 200, within `limit`.
    pub(crate) async fn json(
        &self,
        base: &Base,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        limit: Duration,
    ) -> Result<(ResponseHeader, serde_json::Value), NoAnswer> {
        let whole = async {
            let mut answer = self.ask(base, method, path, body).await?;
            if answer.head.status != 200 {
                return Err(NoAnswer::Status(answer.head.status.as_u16()));
            }
            let mut text = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                text.extend_from_slice(&chunk);
                if text.len() > LARGEST_ANSWER {
                    return Err(NoAnswer::TooLarge);
                }
            }
            let value = serde_json::from_slice(&text).map_err(|e| NoAnswer::NotUnderstood(e.to_string()))?;
            Ok((answer.head, value))
        };
        timeout(limit, whole).await.map_err(|_| NoAnswer::TooSlow(limit))?
    }

    /// Sends a request and reads the head of the answer. No time limit of its own.
    pub(crate) async fn ask(
        &self,
        base: &Base,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer, NoAnswer> {
        let body = body.map(|value| Bytes::from(value.to_string()));
        let target = format!("{}{path}", base.path);
        let mut head = RequestHeader::build(method, target.as_bytes(), None).map_err(|e| broken(&e))?;
        let mut insert = |name: &'static str, value: String| head.insert_header(name, value).map_err(|e| broken(&e));
        insert("host", base.authority())?;
        insert("accept", "application/json".to_owned())?;
        insert("connection", "close".to_owned())?;
        if let Some(body) = &body {
            insert("content-type", "application/json".to_owned())?;
            insert("content-length", body.len().to_string())?;
        }
        let peer = self.reach(base).await?;
        self.exchange(&peer, head, body).await
    }

    /// Sends a request to a peer and reads the head of the answer.
    pub(crate) async fn exchange(
        &self,
        peer: &HttpPeer,
        head: RequestHeader,
        body: Option<Bytes>,
    ) -> Result<Answer, NoAnswer> {
        let connector = self.connector.get_or_init(|| Connector::new(Some(ConnectorOptions::new(16))));
        let connected = connector.get_http_session(peer).await;
        let (mut session, _) = connected.map_err(|e| NoAnswer::Connect(cause(&e)))?;
        session.write_request_header(Box::new(head)).await.map_err(|e| broken(&e))?;
        if let Some(body) = body {
            session.write_request_body(body, true).await.map_err(|e| broken(&e))?;
        }
        session.finish_request_body().await.map_err(|e| broken(&e))?;
        loop {
            session.read_response_header().await.map_err(|e| broken(&e))?;
            let head = session.response_header().expect("it was read").clone();
            if !head.status.is_informational() {
                return Ok(Answer { session, head });
            }
        }
    }

    /// The first address of the registry's host that accepts a connection.
    async fn reach(&self, base: &Base) -> Result<HttpPeer, NoAnswer> {
        let unresolved = || NoAnswer::Unresolved(base.host.clone());
        let found = tokio::net::lookup_host((base.host.as_str(), base.port)).await.map_err(|_| unresolved())?;
        let addresses: Vec<SocketAddr> = found.collect();
        let mut last = unresolved();
        for address in &addresses {
            // With one address the exchange itself finds out; with several (`localhost`) one that refuses is passed over.
            if addresses.len() > 1 {
                let probe = timeout(Duration::from_secs(1), tokio::net::TcpStream::connect(address)).await;
                match probe {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        last = NoAnswer::Connect(error.to_string());
                        continue;
                    }
                    Err(_) => {
                        last = NoAnswer::TooSlow(Duration::from_secs(1));
                        continue;
                    }
                }
            }
            let mut peer = HttpPeer::new(*address, base.tls, if base.tls { base.host.clone() } else { String::new() });
            peer.options.connection_timeout = Some(Duration::from_secs(3));
            peer.options.total_connection_timeout = Some(Duration::from_secs(3));
            return Ok(peer);
        }
        Err(last)
    }
}

impl Answer {
    /// The next part of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, NoAnswer> {
        self.session.read_response_body().await.map_err(|e| broken(&e))
    }
}

fn broken(error: &pingora::Error) -> NoAnswer {
    NoAnswer::Broken(cause(error))
}

/// What went wrong underneath, in few words.
fn cause(error: &pingora::Error) -> String {
    match error.root_cause().downcast_ref::<std::io::Error>() {
        Some(io) => io.to_string(),
        None => error.etype().as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, expected) in [
            ("http://127.0.0.1:2379", Some((false, "127.0.0.1:2379", ""))),
            ("https://etcd.internal", Some((true, "etcd.internal:443", ""))),
            ("http://[::1]:8500/consul/", Some((false, "[::1]:8500", "/consul"))),
            ("127.0.0.1:2379", None),
            ("ftp://a", None),
            ("http://", None),
        ] {
            let read = url.parse::<Base>().ok();
            let read = read.map(|base| (base.tls, base.authority(), base.path));
            assert_eq!(read, expected.map(|(tls, a, p)| (tls, a.to_owned(), p.to_owned())), "{url}");
        }
    }
}
