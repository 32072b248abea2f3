//! Keeps the keys that an issuer publishes under a URL: fetched away from the request path, the last good ones kept.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::Method;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::{Keys, KeysError};
use crate::client::{FetchError, fetch};
use crate::endpoint::Url;

/// Whole, from the lookup of the name to the last byte.
const FETCH_LIMIT: Duration = Duration::from_secs(10);
/// Between two fetches, whatever unknown keys are asked for, or how often they fail.
const PAUSE: Duration = Duration::from_secs(10);
/// A set of keys has a few hundred bytes for each.
const LARGEST: usize = 1024 * 1024;

/// The keys under one URL. Until they were fetched for the first time there are none.
#[derive(Debug)]
pub struct KeySource {
    url: Url,
    keys: ArcSwapOption<Keys>,
    wanted: Notify,
}

/// Why a fetch brought no keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("{0}")]
    Keys(KeysError),
}

impl KeySource {
    #[must_use]
    pub fn new(url: Url) -> Self {
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
    pub async fn keep_fresh(&self, every: Duration, failed: impl Fn(&JwksError)) {
        loop {
            let again = match fetch_keys(&self.url).await {
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
pub async fn fetch_keys(url: &Url) -> Result<Keys, JwksError> {
    let mut head = fetch::request(url, Method::GET, url.target());
    head.fields.append("Accept", b"application/json");
    let (_, body) = fetch::whole(url, &head, None, LARGEST, FETCH_LIMIT).await?;
    Keys::from_jwks(&body).map_err(JwksError::Keys)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const JWKS: &str =
        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}";

    /// Answers one request with this, and gives the URL.
    async fn issuer(answer: String) -> Url {
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
        let keys = fetch_keys(&issuer(said("200 OK", JWKS)).await).await.unwrap();
        assert!(keys.contains("a") && !keys.contains("b"));
    }

    #[tokio::test]
    async fn what_is_no_set_of_keys_is_said() {
        let found = fetch_keys(&issuer(said("404 Not Found", JWKS)).await).await;
        assert!(matches!(found, Err(JwksError::Fetch(FetchError::Status(404)))));
        let found = fetch_keys(&issuer(said("200 OK", "<html>")).await).await;
        assert!(matches!(found, Err(JwksError::Keys(KeysError::Unreadable))));
    }

    #[tokio::test]
    async fn a_source_has_no_keys_until_they_came() {
        let source = Arc::new(KeySource::new(issuer(said("200 OK", JWKS)).await));
        assert!(source.keys().is_none());
        let keeper = Arc::clone(&source);
        let task = tokio::spawn(async move { keeper.keep_fresh(Duration::from_secs(3600), |_| {}).await });
        let came = timeout(FETCH_LIMIT, async {
            while source.keys().is_none() {
                tokio::task::yield_now().await;
            }
        });
        came.await.unwrap();
        assert!(source.keys().unwrap().contains("a"));
        task.abort();
    }
}
