//! Keeps the keys that an issuer publishes under a URL: fetched away from the request path, the last good ones kept.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::Uri;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::{Keys, KeysError};

/// Whole, from the lookup of the name to the last byte.
const FETCH: Duration = Duration::from_secs(10);
/// Between two fetches, whatever unknown keys are asked for, or how often they fail.
const PAUSE: Duration = Duration::from_secs(10);
/// A set of keys has a few hundred bytes for each.
const LARGEST: usize = 1024 * 1024;

/// The keys under one URL. Until they were fetched for the first time there are none.
#[derive(Debug)]
pub struct KeySource {
    url: Uri,
    keys: ArcSwapOption<Keys>,
    wanted: Notify,
}

/// Why a fetch brought no keys.
#[derive(Debug)]
pub enum FetchError {
    /// Not `http://HOST…` or `https://HOST…`.
    Url,
    Unreachable(Box<pingora::Error>),
    Lookup(std::io::Error),
    TimedOut,
    Status(u16),
    TooLarge,
    Keys(KeysError),
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url => f.write_str("not a URL of http or https with a host"),
            Self::Unreachable(error) => write!(f, "the issuer cannot be reached: {}", error.etype().as_str()),
            Self::Lookup(error) => write!(f, "the issuer's name does not resolve: {error}"),
            Self::TimedOut => f.write_str("the issuer took too long to answer"),
            Self::Status(status) => write!(f, "the issuer answered with {status}"),
            Self::TooLarge => f.write_str("the issuer's answer is larger than a set of keys"),
            Self::Keys(error) => error.fmt(f),
        }
    }
}

impl KeySource {
    #[must_use]
    pub fn new(url: Uri) -> Self {
        Self { url, keys: ArcSwapOption::empty(), wanted: Notify::new() }
    }

    #[must_use]
    pub fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// A token named a key that is not there: the issuer may have a new one.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Fetches for ever: at once, then this often, and sooner when a key is wanted. The last good keys stay in force while the
    /// issuer cannot be reached; each failure is handed to `failed`.
    pub async fn keep_fresh(&self, every: Duration, failed: impl Fn(&FetchError)) {
        loop {
            let fetched = timeout(FETCH, fetch(&self.url)).await.unwrap_or(Err(FetchError::TimedOut));
            let again = match fetched {
                Ok(keys) => {
                    self.keys.store(Some(Arc::new(keys)));
                    every
                }
                Err(error) => {
                    failed(&error);
                    PAUSE.min(every)
                }
            };
            sleep(PAUSE.min(again)).await;
            let rest = again.saturating_sub(PAUSE);
            // Either way it is time.
            drop(timeout(rest, self.wanted.notified()).await);
        }
    }
}

/// One GET, without redirects: an issuer that moves is an issuer to be configured anew.
pub async fn fetch(url: &Uri) -> Result<Keys, FetchError> {
    let tls = match url.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(FetchError::Url),
    };
    let host = url.host().filter(|host| !host.is_empty()).ok_or(FetchError::Url)?;
    let authority = url.authority().ok_or(FetchError::Url)?;
    let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = tokio::net::lookup_host((bare, port)).await.map_err(FetchError::Lookup)?.next();
    let address = address.ok_or_else(|| FetchError::Lookup(std::io::ErrorKind::NotFound.into()))?;

    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).map_err(FetchError::Unreachable)?;
    for (name, value) in [("Host", authority.as_str()), ("Accept", "application/json"), ("Connection", "close")] {
        request.insert_header(name, value).map_err(FetchError::Unreachable)?;
    }
    let peer = HttpPeer::new(address, tls, bare.to_owned());
    let body = exchange(&peer, request).await?;
    Keys::from_jwks(&body).map_err(FetchError::Keys)
}

async fn exchange(peer: &HttpPeer, request: RequestHeader) -> Result<Vec<u8>, FetchError> {
    let connector = Connector::new(None);
    let (mut session, _) = connector.get_http_session(peer).await.map_err(FetchError::Unreachable)?;
    session.write_request_header(Box::new(request)).await.map_err(FetchError::Unreachable)?;
    session.finish_request_body().await.map_err(FetchError::Unreachable)?;
    session.read_response_header().await.map_err(FetchError::Unreachable)?;
    let status = session.response_header().map_or(0, |response| response.status.as_u16());
    if status != 200 {
        return Err(FetchError::Status(status));
    }
    let mut body = Vec::new();
    while let Some(bytes) = session.read_response_body().await.map_err(FetchError::Unreachable)? {
        if body.len() + bytes.len() > LARGEST {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const JWKS: &str =
        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}";

    /// Answers one request with this, and gives the URL.
    async fn issuer(answer: String) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys?x=y", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"GET /keys?x=y HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        url.parse().unwrap()
    }

    fn said(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn keys_are_fetched() {
        let keys = fetch(&issuer(said("200 OK", JWKS)).await).await.unwrap();
        assert!(keys.contains("a") && !keys.contains("b"));
    }

    #[tokio::test]
    async fn what_is_no_set_of_keys_is_said() {
        let found = fetch(&issuer(said("404 Not Found", JWKS)).await).await;
        assert!(matches!(found, Err(FetchError::Status(404))));
        let found = fetch(&issuer(said("200 OK", "<html>")).await).await;
        assert!(matches!(found, Err(FetchError::Keys(KeysError::Unreadable))));
        assert!(matches!(fetch(&"ftp://a/b".parse().unwrap()).await, Err(FetchError::Url)));
    }

    #[tokio::test]
    async fn a_source_has_no_keys_until_they_came() {
        let source = Arc::new(KeySource::new(issuer(said("200 OK", JWKS)).await));
        assert!(source.keys().is_none());
        let keeper = Arc::clone(&source);
        let task = tokio::spawn(async move { keeper.keep_fresh(Duration::from_secs(3600), |_| {}).await });
        let came = timeout(FETCH, async {
            while source.keys().is_none() {
                tokio::task::yield_now().await;
            }
        });
        came.await.unwrap();
        assert!(source.keys().unwrap().contains("a"));
        task.abort();
    }
}
