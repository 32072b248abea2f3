//! The way to the collector: OTLP over HTTP/1.1, or gRPC over HTTP/2.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Version};
use pingora::upstreams::peer::Peer as _;
use tokio::time::timeout;

use crate::client::ask::ask_over;
use crate::client::{AskError, End, FetchError, OUR_AGENT, Peer, Request, Response, fetch};
use crate::endpoint::HttpVersions;
use crate::endpoint::Url;
use crate::message::{Fields, Framing, Name, Piece, RequestHead};

/// For a whole export; a collector takes a batch in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection is kept this long between two batches.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The paths at which a collector takes one kind of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal {
    http: &'static str,
    grpc: &'static str,
}

pub(super) const TRACES: Signal =
    Signal { http: "/v1/traces", grpc: "/opentelemetry.proto.collector.trace.v1.TraceService/Export" };
pub(super) const METRICS: Signal =
    Signal { http: "/v1/metrics", grpc: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" };

/// Where the collector listens and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    url: Url,
    port: u16,
    grpc: bool,
    path: String,
}

impl Address {
    /// `http://…`, `https://…`; gRPC for `grpc://…`, `grpcs://…` and for port 4317, which is gRPC's everywhere.
    pub(super) fn parse(text: &str, signal: Signal) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("`{text}` is no address of a collector"));
        let url: Url = text.parse().map_err(|_| wrong())?;
        if url.socket().is_some() {
            return Err(wrong());
        }
        let named_grpc = url.scheme().is_grpc();
        let port = url.explicit_port().unwrap_or(if named_grpc { 4317 } else { 4318 });
        let grpc = named_grpc || port == 4317;
        let base = url.base();
        let path = match base.strip_suffix(signal.http) {
            _ if grpc => signal.grpc.to_owned(),
            Some(_) => base.to_owned(),
            None => format!("{base}{}", signal.http),
        };
        Ok(Self { url, port, grpc, path })
    }
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It may be taken later.
    #[error("{0}")]
    Unreachable(String),
    /// It will never be taken.
    #[error("{0}")]
    Final(String),
}

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Keeps a connection between batches.
pub(super) struct Collector {
    address: Address,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Collector {
    /// `headers`: `name=value,…`, as `OTEL_EXPORTER_OTLP_HEADERS` has them; hosted collectors ask for a key that way.
    pub(super) fn new(address: Address, headers: &str) -> Self {
        let headers = headers.split(',').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
        });
        Self { address, headers: headers.collect() }
    }

    /// Sends one `ExportTraceServiceRequest`, or one of metrics.
    pub(super) async fn export(&self, batch: Vec<u8>) -> Result<(), Refusal> {
        let late = || Refusal::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()));
        timeout(PATIENCE, self.exchange(batch)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(&self, batch: Vec<u8>) -> Result<(), Refusal> {
        let peer = self.peer().await?;
        let body = [if self.address.grpc { framed(&batch) } else { Bytes::from(batch) }];
        let head = self.head();
        let request = Request { head: &head, framing: Framing::Length(body[0].len() as u64), body: &body };
        let (key, versions) =
            (peer.reuse_hash(), if self.address.grpc { HttpVersions::Http2 } else { HttpVersions::Http1 });
        let kept = End::kept(key, versions, peer.is_tls(), Instant::now(), Duration::MAX);
        let connected =
            async { Ok::<_, AskError>(End::connect(&peer, Some(PATIENCE), (key, versions), KEEPALIVE).await?) };
        let mut response = ask_over(kept, connected, &request).await?;
        let trailers = read(&mut response).await?;
        let verdict = self.verdict(&response, trailers.as_ref());
        response.keep_connection(key, KEEPALIVE, 1, None);
        verdict
    }

    /// Resolved for each batch: a collector moves.
    async fn peer(&self) -> Result<Peer, Refusal> {
        let Address { url, port, grpc, .. } = &self.address;
        let addresses = fetch::resolve(url, *port).await?;
        let mut peer = fetch::peer(url, addresses[0]);
        peer.options.connection_timeout = Some(PATIENCE);
        peer.options.total_connection_timeout = Some(PATIENCE);
        peer.options.idle_timeout = Some(KEEPALIVE);
        peer.speak(if *grpc { HttpVersions::Http2 } else { HttpVersions::Http1 });
        Ok(peer)
    }

    fn head(&self) -> RequestHead {
        let Address { url, port, grpc, path } = &self.address;
        let mut head = RequestHead::new(Method::POST, Version::HTTP_11, path.as_bytes());
        let fields = &mut head.fields;
        fields.append(Name::Host, url.authority_at(*port).as_bytes());
        if *grpc {
            fields.append(Name::Te, b"trailers");
            fields.append(Name::ContentType, b"application/grpc");
        } else {
            fields.append(Name::ContentType, b"application/x-protobuf");
        }
        fields.append(Name::UserAgent, OUR_AGENT.as_bytes());
        for (name, value) in &self.headers {
            fields.set(name, value.as_bytes());
        }
        head
    }

    fn verdict(&self, response: &Response, trailers: Option<&Fields>) -> Result<(), Refusal> {
        const GRPC_STATUS: &str = "grpc-status";
        let status = response.head.status.as_u16();
        // 429 and 502 to 504 are the answers that the OTLP specification wants to be tried again.
        match (status, self.address.grpc) {
            (200..=299, false) => Ok(()),
            (429 | 502..=504, _) => Err(Refusal::Unreachable(format!("status {status}"))),
            (200, true) => {
                let said = response.head.fields.text(GRPC_STATUS);
                match said.or_else(|| trailers?.text(GRPC_STATUS)) {
                    Some("0") => Ok(()),
                    // Cancelled, deadline, aborted, out of range, unavailable, data loss.
                    said @ (Some("1" | "4" | "8" | "10" | "11" | "14" | "15") | None) => {
                        Err(Refusal::Unreachable(format!("grpc-status {said:?}")))
                    }
                    said => Err(Refusal::Final(format!("grpc-status {said:?}"))),
                }
            }
            _ => Err(Refusal::Final(format!("status {status}"))),
        }
    }
}

/// Reads the body, which says nothing of use, to its end, and gives the fields behind it.
async fn read(response: &mut Response) -> Result<Option<Fields>, AskError> {
    loop {
        match response.piece().await? {
            Piece::Data(_) => {}
            Piece::Trailers(fields) => return Ok(Some(fields)),
            Piece::End => return Ok(None),
        }
    }
}

/// gRPC's frame: not compressed, and the length.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    Bytes::from(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_says_how_the_collector_is_spoken_to() {
        for (url, host, port, tls, grpc, path) in [
            ("http://127.0.0.1:4318", "127.0.0.1", 4318, false, false, "/v1/traces"),
            ("http://collector/", "collector", 4318, false, false, "/v1/traces"),
            ("https://collector:443/otlp/", "collector", 443, true, false, "/otlp/v1/traces"),
            ("http://collector:4318/v1/traces", "collector", 4318, false, false, "/v1/traces"),
            ("http://collector:4317", "collector", 4317, false, true, TRACES.grpc),
            ("grpc://collector:9000", "collector", 9000, false, true, TRACES.grpc),
            ("grpcs://collector", "collector", 4317, true, true, TRACES.grpc),
            ("http://[::1]:4318", "::1", 4318, false, false, "/v1/traces"),
        ] {
            let read = Address::parse(url, TRACES).unwrap();
            let seen = (read.url.host(), read.port, read.url.is_tls(), read.grpc, &*read.path);
            assert_eq!(seen, (host, port, tls, grpc, path), "{url}");
        }
        let metrics = |url| Address::parse(url, METRICS).unwrap().path;
        assert_eq!(metrics("http://collector/otlp"), "/otlp/v1/metrics");
        assert_eq!(metrics("grpc://collector"), "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
        for url in ["", "collector:4318", "ftp://collector", "http://", "127.0.0.1", "unix:/run/a.sock"] {
            assert!(Address::parse(url, TRACES).is_err(), "{url}");
        }
    }
}
