//! The admin listener: metrics, health, the API. It never shares a thread with the request path.

mod access;
mod api;
mod events;
mod reply;
mod status;

pub use status::{Status, status};

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use crate::live::{InForce, Live};
use crate::proxy::Edition;
use crate::reload::Reloader;
use crate::shadow::Shadow;
use crate::telemetry::{EventFilter, Telemetry};
use crate::upstream::Upstreams;
use reply::Reply;

/// What the admin listener shows and changes.
pub struct Parts {
    pub in_force: Arc<InForce<Edition>>,
    pub live: Arc<Live>,
    pub telemetry: Arc<Telemetry>,
    pub upstreams: Arc<Upstreams>,
    pub reloader: Arc<Reloader>,
    pub shadow: Arc<Shadow>,
    pub ready: Arc<AtomicBool>,
    /// Required from everybody when it is there.
    pub token: Option<Arc<str>>,
    pub address: SocketAddr,
}

/// The application behind the admin listener.
pub struct Admin {
    parts: Arc<Parts>,
}

/// One listener of it.
pub struct Listener {
    parts: Arc<Parts>,
    /// `/metrics`, `/healthz` and `/readyz` alone, without a token.
    metrics_only: bool,
}

/// A request of the API is small; nobody may keep the listener busy with more.
const BODY_LIMIT: usize = 64 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(10);

impl Admin {
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    pub fn full(&self) -> Listener {
        Listener { parts: Arc::clone(&self.parts), metrics_only: false }
    }

    pub fn metrics_only(&self) -> Listener {
        Listener { parts: Arc::clone(&self.parts), metrics_only: true }
    }
}

#[async_trait]
impl HttpServerApp for Listener {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        session.set_read_timeout(Some(READ_TIMEOUT));
        session.set_write_timeout(Some(READ_TIMEOUT));
        if !matches!(session.read_request().await, Ok(true)) {
            return None;
        }
        session.set_keepalive(Some(60));
        let path = session.req_header().uri.path().to_owned();
        let method = session.req_header().method.clone();
        let reply = match self.permitted(&session, &path) {
            Err(refused) => refused,
            Ok(()) if path == "/api/v1/events" && method == Method::GET => match self.watched(&session) {
                Err(refused) => refused,
                Ok(filter) => {
                    events::stream(&self.parts.telemetry.events, &filter, &mut session, shutdown).await.ok()?;
                    return None;
                }
            },
            Ok(()) => match read_body(&mut session).await {
                Some(body) => self.answer(&method, &path, body).await,
                None => Reply::problem(413, "the body is longer than 64 KiB"),
            },
        };
        reply.send(&mut session, method == Method::HEAD).await.ok()?;
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }
}

impl Listener {
    /// Health is for everybody; the rest is for those who may see it.
    fn permitted(&self, session: &ServerSession, path: &str) -> Result<(), Reply> {
        if matches!(path, "/healthz" | "/readyz") || (self.metrics_only && path == "/metrics") {
            return Ok(());
        }
        if self.metrics_only {
            return Err(Reply::problem(404, "this listener has /metrics, /healthz and /readyz"));
        }
        access::check(&self.parts, session.req_header())
    }

    async fn answer(&self, method: &Method, path: &str, body: Vec<u8>) -> Reply {
        let get = *method == Method::GET || *method == Method::HEAD;
        match path {
            "/healthz" if get => Reply::text(200, "alive\n"),
            "/readyz" if get => self.ready(),
            "/metrics" if get => api::metrics(&self.parts).await,
            _ => api::answer(&self.parts, method, path, body).await,
        }
    }

    /// What a watcher of the live stream wants to hear of.
    fn watched(&self, session: &ServerSession) -> Result<EventFilter, Reply> {
        if !events::has_room(&self.parts.telemetry.events) {
            return Err(Reply::problem(503, "too many are watching already"));
        }
        events::filter(session.req_header().uri.query())
    }

    fn ready(&self) -> Reply {
        if self.parts.ready.load(Ordering::Acquire) {
            Reply::text(200, "ready\n")
        } else {
            Reply::text(503, "not ready\n")
        }
    }
}

async fn read_body(session: &mut ServerSession) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = session.read_request_body().await {
        if body.len() + chunk.len() > BODY_LIMIT {
            session.set_keepalive(None);
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}
