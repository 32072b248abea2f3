//! Requests to a server that is asked often and that a URL names: connections to it are kept.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use super::ask::{Request, ask};
use super::{End, FetchError, UpstreamFault, fetch};
use crate::endpoint::HttpVersions;
use crate::endpoint::Url;
use crate::message::{Framing, RequestHead, ResponseHead};

/// Less than Node keeps an idle connection (5 s). A server that keeps it for less (gunicorn: 2 s) may have closed it, which costs
/// another attempt.
const YOUNGEST: Duration = Duration::from_secs(4);

/// A client of one server. Its requests may reach the server twice without harm.
#[derive(Debug)]
pub struct KeepAliveClient {
    url: Url,
    /// Connections of one key may be taken for one another.
    key: u64,
}

impl KeepAliveClient {
    #[must_use]
    pub fn new(url: Url) -> Self {
        let mut hasher = DefaultHasher::new();
        ("keep-alive", url.scheme(), url.host(), url.port()).hash(&mut hasher);
        Self { url, key: hasher.finish() }
    }

    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The whole of a response, within `limit`; no body if it has more than `largest` bytes. The head names the host and has no
    /// `Connection`.
    ///
    /// # Errors
    /// The host does not resolve, there is no connection, the exchange broke; no whole response in time.
    pub async fn ask(
        &self,
        head: &RequestHead,
        body: Option<Bytes>,
        largest: usize,
        limit: Duration,
    ) -> Result<(ResponseHead, Option<Vec<u8>>), FetchError> {
        let framing = body.as_ref().map_or(Framing::None, |body| Framing::Length(body.len() as u64));
        let request = Request { head, framing, body: body.as_slice() };
        let exchange = async {
            let mut response = self.response(&request).await?;
            let body = response.body(largest).await?;
            let head = std::mem::replace(&mut response.head, ResponseHead::new(http::StatusCode::OK));
            if body.is_some() {
                // Requests are bounded elsewhere, and each had this connection to itself.
                response.keep_connection(self.key, YOUNGEST, usize::MAX, None);
            }
            Ok((head, body))
        };
        timeout(limit, exchange).await.map_err(|_| FetchError::TooSlow(limit))?
    }

    async fn response(&self, request: &Request<'_>) -> Result<super::Response, FetchError> {
        let tls = self.url.is_tls();
        while let Some(kept) = End::kept(self.key, HttpVersions::Http1, tls, Instant::now(), YOUNGEST) {
            match ask(kept, request).await {
                Err(UpstreamFault::Ended(_) | UpstreamFault::Unprocessed) => {}
                other => return Ok(other?),
            }
        }
        let socket = fetch::reach(&self.url, None).await?;
        Ok(ask(End::http1(socket), request).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, Version};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::message::Name;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Answers this number of requests on each connection, then closes it. Gives its URL and the number of connections so far.
    async fn server(each: usize) -> (Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    for _ in 0..each {
                        let mut read = Vec::new();
                        while !read.ends_with(b"\r\n\r\n") {
                            if socket.read_buf(&mut read).await.unwrap_or(0) == 0 {
                                return;
                            }
                        }
                        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                    }
                });
            }
        });
        (url, connections)
    }

    async fn asked(client: &KeepAliveClient) -> Vec<u8> {
        let mut head = RequestHead::new(Method::GET, Version::HTTP_11, b"/");
        head.fields.append(Name::Host, client.url().authority().as_bytes());
        client.ask(&head, None, 10, LIMIT).await.expect("an answer").1.expect("a body")
    }

    #[tokio::test]
    async fn one_connection_serves_many_requests_and_one_that_was_closed_costs_none() {
        let (url, connections) = server(100).await;
        let client = KeepAliveClient::new(url);
        for _ in 0..5 {
            assert_eq!(asked(&client).await, b"ok");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1);
        let (url, connections) = server(1).await;
        let client = KeepAliveClient::new(url);
        for _ in 0..3 {
            assert_eq!(asked(&client).await, b"ok");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 3);
    }
}
