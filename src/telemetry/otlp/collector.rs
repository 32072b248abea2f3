//! The way to the collector: OTLP over HTTP/1.1, or gRPC over HTTP/2, with pingora's own connector.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::{HttpPeer, Peer as _};

/// For every step of an export.
const PATIENCE: Duration = Duration::from_secs(10);
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Where the collector listens and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    port: u16,
    tls: bool,
    grpc: bool,
    path: String,
}

impl Address {
    /// `http://…`, `https://…`; gRPC for `grpc://…`, `grpcs://…` and for port 4317, which is gRPC's everywhere.
    pub(super) fn parse(url: &str) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("`{url}` is no address of a collector"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (tls, named_grpc) = match uri.scheme_str() {
            Some("http") => (false, false),
            Some("https") => (true, false),
            Some("grpc") => (false, true),
            Some("grpcs") => (true, true),
            _ => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if named_grpc { 4317 } else { 4318 });
        let grpc = named_grpc || port == 4317;
        let base = uri.path().trim_end_matches('/');
        let path = match base.strip_suffix("/v1/traces") {
            _ if grpc => EXPORT.to_owned(),
            Some(_) => base.to_owned(),
            None => format!("{base}/v1/traces"),
        };
        Ok(Self { host, port, tls, grpc, path })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It may be taken later.
    Unreachable(String),
    /// It will never be taken.
    Final(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Final(why) => f.write_str(why),
        }
    }
}

impl From<Box<pingora::Error>> for Refusal {
    fn from(error: Box<pingora::Error>) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Keeps a connection between batches.
pub(super) struct Collector {
    address: Address,
    headers: Vec<(HeaderName, HeaderValue)>,
    connector: Connector,
}

impl Collector {
    /// `headers`: `name=value,…`, as `OTEL_EXPORTER_OTLP_HEADERS` has them; hosted collectors ask for a key that way.
    pub(super) fn new(address: Address, headers: &str) -> Self {
        let headers = headers.split(',').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
        });
        Self { address, headers: headers.collect(), connector: Connector::new(None) }
    }

    /// Sends one `ExportTraceServiceRequest`.
    pub(super) async fn export(&self, batch: Vec<u8>) -> Result<(), Refusal> {
        let peer = self.peer()?;
        let (mut session, _) = self.connector.get_http_session(&peer).await?;
        session.set_read_timeout(Some(PATIENCE));
        session.set_write_timeout(Some(PATIENCE));
        let body = if self.address.grpc { framed(&batch) } else { Bytes::from(batch) };
        let request = self.head(body.len())?;
        session.write_request_header(Box::new(request)).await?;
        session.write_request_body(body, true).await?;
        session.finish_request_body().await?;
        session.read_response_header().await?;
        while session.read_response_body().await?.is_some() {}
        let verdict = self.verdict(&mut session).await?;
        let idle = peer.idle_timeout();
        self.connector.release_http_session(session, &peer, idle).await;
        verdict
    }

    /// Resolved for each batch: a collector moves.
    fn peer(&self) -> Result<HttpPeer, Refusal> {
        let Address { host, port, tls, .. } = &self.address;
        let unknown = || Refusal::Unreachable(format!("`{host}` has no address"));
        let address = (host.as_str(), *port).to_socket_addrs().map_err(|_| unknown())?.next().ok_or_else(unknown)?;
        let mut peer = HttpPeer::new(address, *tls, host.clone());
        peer.options.connection_timeout = Some(PATIENCE);
        peer.options.total_connection_timeout = Some(PATIENCE);
        peer.options.idle_timeout = Some(Duration::from_secs(60));
        let version = if self.address.grpc { 2 } else { 1 };
        peer.options.set_http_version(version, version);
        Ok(peer)
    }

    fn head(&self, length: usize) -> Result<RequestHeader, Refusal> {
        let final_error = |error: Box<pingora::Error>| Refusal::Final(error.to_string());
        let mut request = RequestHeader::build("POST", self.address.path.as_bytes(), None).map_err(final_error)?;
        let authority = self.address.authority();
        if self.address.grpc {
            let scheme = if self.address.tls { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(self.address.path.as_str());
            request.set_uri(uri.build().map_err(|error| Refusal::Final(error.to_string()))?);
            request.insert_header("te", "trailers").map_err(final_error)?;
            request.insert_header("content-type", "application/grpc").map_err(final_error)?;
        } else {
            request.insert_header("host", authority).map_err(final_error)?;
            request.insert_header("content-type", "application/x-protobuf").map_err(final_error)?;
            request.insert_header("content-length", length.to_string()).map_err(final_error)?;
        }
        let agent = concat!("multilith/", env!("CARGO_PKG_VERSION"));
        request.insert_header("user-agent", agent).map_err(final_error)?;
        for (name, value) in &self.headers {
            request.insert_header(name, value).map_err(final_error)?;
        }
        Ok(request)
    }

    async fn verdict(&self, session: &mut HttpSession) -> Result<Result<(), Refusal>, Refusal> {
        let Some(response) = session.response_header() else {
            return Err(Refusal::Unreachable("no answer".to_owned()));
        };
        let status = response.status.as_u16();
        let mut grpc_status = response.headers.get("grpc-status").cloned();
        if let (true, None, HttpSession::H2(stream)) = (self.address.grpc, &grpc_status, session) {
            grpc_status = stream.read_trailers().await?.and_then(|trailers| trailers.get("grpc-status").cloned());
        }
        // 429 and 502 to 504 are the answers that the OTLP specification wants to be tried again.
        Ok(match (status, self.address.grpc) {
            (200..=299, false) => Ok(()),
            (429 | 502..=504, _) => Err(Refusal::Unreachable(format!("status {status}"))),
            (200, true) => match grpc_status.as_ref().map(HeaderValue::as_bytes) {
                Some(b"0") => Ok(()),
                // Cancelled, deadline, aborted, out of range, unavailable, data loss.
                Some(b"1" | b"4" | b"8" | b"10" | b"11" | b"14" | b"15") | None => {
                    Err(Refusal::Unreachable(format!("grpc-status {grpc_status:?}")))
                }
                Some(_) => Err(Refusal::Final(format!("grpc-status {grpc_status:?}"))),
            },
            _ => Err(Refusal::Final(format!("status {status}"))),
        })
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
            ("http://collector:4317", "collector", 4317, false, true, EXPORT),
            ("grpc://collector:9000", "collector", 9000, false, true, EXPORT),
            ("grpcs://collector", "collector", 4317, true, true, EXPORT),
            ("http://[::1]:4318", "::1", 4318, false, false, "/v1/traces"),
        ] {
            let wanted = Address { host: host.into(), port, tls, grpc, path: path.into() };
            assert_eq!(Address::parse(url).unwrap(), wanted, "{url}");
        }
        for url in ["", "collector:4318", "ftp://collector", "http://", "127.0.0.1"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
