//! The admin listener: metrics, health, the API. It never shares a thread with the request path, and little of the processor.

mod access;
mod api;
mod arrival;
mod button;
mod comparisons;
mod events;
mod guesses;
mod last_of_monolith;
mod learned;
mod moves;
mod pages;
mod plan;
mod reply;
mod seen;
mod status;
mod stood;
mod turns;

pub use access::from_our_pages;
pub use api::{explained, regions};
pub use arrival::{address, came_by_https, came_from};
pub use button::press;
pub use comparisons::{NotReplayed, ask_again, forget, prepared};
pub use events::{Manner, filter, has_room, head as stream_head, left, stream};
pub use guesses::{Guesses, guessed_wrong, refused_bearer, tell_failure};
pub use last_of_monolith::LastOfMonolith;
pub use learned::{report as learned_report, steps as next_steps};
pub use pages::{PageRequest, PageServer};
pub use plan::{Tried, tried, tried_all};
pub use reply::{Reply, nothing_compared};
pub use seen::seen;
pub use status::{
    Progress, RouteFigures, RouteSide, RouteStatus, SideAnswers, Status, Window, progress, route_row, route_status,
    rows_in_short, status, status_head,
};
pub use stood::{Stood, stood};

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::time::timeout;

use crate::app::App;
use crate::compile::Role;
use crate::gate::Gates;
use crate::reload::Reloader;
use crate::telemetry::EventFilter;
use access::Caller;
use turns::Turns;

/// The parts of the program that the admin listener shows and changes.
pub struct Parts {
    pub app: Arc<App>,
    pub reloader: Arc<Reloader>,
    pub gates: Arc<Gates>,
    pub ready: Arc<AtomicBool>,
    pub address: SocketAddr,
    /// Connections that may be open at once.
    pub connections: u64,
    /// Wrong tokens in the form.
    pub guesses: Guesses,
    /// Wrong tokens of programs; limits how many of them are logged.
    pub refused_bearers: Guesses,
    pub last_of_monolith: LastOfMonolith,
}

/// The application behind the admin listener.
pub struct Admin {
    parts: Arc<Parts>,
    turns: Arc<Turns>,
    pages: Arc<dyn PageServer>,
}

/// One listener of it, with a limit on its connections.
pub struct Listener {
    desk: Arc<Desk>,
}

/// Answers the requests of a connection.
struct Desk {
    parts: Arc<Parts>,
    turns: Arc<Turns>,
    pages: Arc<dyn PageServer>,
    /// `/metrics`, `/healthz` and `/readyz` alone, without a token.
    metrics_only: bool,
}

/// Requests of the API are small; larger ones would keep the listener busy.
const BODY_LIMIT: usize = 64 * 1024;
/// But for a whole file that is tried.
const FILE_LIMIT: usize = 1024 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two requests of a connection; scrapes come more often.
const IDLE: Duration = Duration::from_secs(60);

impl Admin {
    pub fn new(parts: Parts, pages: Arc<dyn PageServer>) -> Self {
        Self { turns: Arc::new(Turns::new(parts.connections)), parts: Arc::new(parts), pages }
    }

    pub fn full(&self) -> Listener {
        self.listener(false)
    }

    pub fn metrics_only(&self) -> Listener {
        self.listener(true)
    }

    fn listener(&self, metrics_only: bool) -> Listener {
        let (parts, turns, pages) = (Arc::clone(&self.parts), Arc::clone(&self.turns), Arc::clone(&self.pages));
        Listener { desk: Arc::new(Desk { parts, turns, pages, metrics_only }) }
    }
}

#[async_trait]
impl ServerApp for Listener {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let _seat = self.desk.turns.seat()?;
        self.desk.process_new(stream, shutdown).await
    }
}

#[async_trait]
impl HttpServerApp for Desk {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        session.set_read_timeout(Some(READ_TIMEOUT));
        session.set_write_timeout(Some(READ_TIMEOUT));
        // Pingora's timeouts are for each read: a head that drips would never end.
        if !matches!(timeout(IDLE + READ_TIMEOUT, session.read_request()).await, Ok(Ok(true))) {
            return None;
        }
        self.turns.turn().await;
        session.set_keepalive(Some(IDLE.as_secs()));
        if let Some(inner) = self.below_base(&session.req_header().uri) {
            session.req_header_mut().set_uri(inner);
        }
        let uri = session.req_header().uri.clone();
        let path = uri.path();
        let asked = moves::ApiRequest::of(&self.parts, session.req_header(), peer(&session));
        let method = session.req_header().method.clone();
        let is_page = !self.metrics_only && (self.pages.has(path) || self.wants_slash(&uri).is_some());
        // Pages identify their visitor themselves.
        let permitted = if is_page { None } else { Some(self.permitted(&session, path)) };
        let reply = match permitted {
            None => self.page(&mut session, shutdown).await?,
            Some(Err(refused)) => refused,
            Some(Ok(caller)) if path == "/api/v1/events" && method == Method::GET => match self.watched(&session) {
                Err(refused) => refused,
                Ok(filter) => {
                    let written = match caller.role {
                        Role::Operate => events::as_json,
                        Role::Read => events::as_json_for_readers,
                    };
                    let manner =
                        events::Manner { written: &written, each_second: &|| ControlFlow::Continue(String::new()) };
                    events::stream(&self.parts.app.telemetry.events, filter, &mut session, shutdown, &manner)
                        .await
                        .ok()?;
                    return None;
                }
            },
            Some(Ok(caller)) => match timeout(READ_TIMEOUT, read_body(&mut session, body_limit(path))).await {
                Ok(Some(body)) => match access::check_body(session.req_header(), &body) {
                    Ok(()) => self.answer(&caller, &method, &uri, &asked, body).await,
                    Err(refused) => refused,
                },
                Ok(None) => {
                    let limit = if body_limit(path) == FILE_LIMIT { "1 MiB" } else { "64 KiB" };
                    Reply::problem(413, &format!("the body is longer than {limit}"))
                }
                Err(_) => return None,
            },
        };
        reply.send(&mut session, method == Method::HEAD).await.ok()?;
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }
}

impl Desk {
    /// The address of a request below `admin_base`, as at the proxy in front: here, too, the cookie of such a page comes back.
    fn below_base(&self, uri: &http::Uri) -> Option<http::Uri> {
        let path = uri.path_and_query()?.as_str();
        let generation = self.parts.app.in_force.load();
        let inner =
            path.strip_prefix(&*generation.snapshot.server.admin_base).filter(|inner| !inner.starts_with('/'))?;
        let inner: http::Uri = format!("/{inner}").parse().ok()?;
        let is_ours = |path: &str| self.pages.has(path) || path.starts_with("/api/");
        (!is_ours(uri.path()) && is_ours(inner.path())).then_some(inner)
    }

    /// `/edge` where `admin_base` is `/edge/`: where its pages begin.
    fn wants_slash(&self, uri: &http::Uri) -> Option<String> {
        let generation = self.parts.app.in_force.load();
        let base = generation.snapshot.server.admin_base.strip_suffix('/')?;
        let (_, last) = base.rsplit_once('/')?;
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        (uri.path() == base && !self.pages.has(base)).then(|| format!("{last}/{query}"))
    }

    /// `/healthz` and `/readyz` need no token; the rest needs one that may read.
    fn permitted(&self, session: &ServerSession, path: &str) -> Result<Caller, Reply> {
        if matches!(path, "/healthz" | "/readyz") || (self.metrics_only && path == "/metrics") {
            return Ok(Caller { name: "anybody".into(), role: Role::Read, key: None });
        }
        if self.metrics_only {
            return Err(Reply::problem(404, "this listener has /metrics, /healthz and /readyz"));
        }
        let head = session.req_header();
        access::check(&self.parts, head, peer(session)).or_else(|refused| {
            let reads = matches!(head.method, Method::GET | Method::HEAD)
                && path.starts_with("/api/")
                && path != "/api/v1/events";
            // A wrong token is refused, even if the request also has a session.
            if refused.status() != 401 || !reads || head.headers.contains_key(http::header::AUTHORIZATION) {
                return Err(refused);
            }
            let known = self.pages.known(&self.parts, &page_request(session));
            known.map(|(name, role)| Caller { name, role, key: None }).ok_or(refused)
        })
    }

    /// A page of the console, which checks its visitor's role itself. `None`: it was a stream, and has ended.
    async fn page(&self, session: &mut ServerSession, shutdown: &ShutdownWatch) -> Option<Reply> {
        let head = session.req_header();
        if let Err(refused) = access::from_our_pages(&self.parts, head, peer(session)) {
            return Some(refused);
        }
        let mut request = page_request(session);
        if let Some(place) = self.wants_slash(&request.uri) {
            return Some(Reply::moved(place));
        }
        if self.pages.is_stream(request.uri.path()) {
            return self.pages.stream(&self.parts, &request, session, shutdown).await;
        }
        request.body = match timeout(READ_TIMEOUT, read_body(session, self.pages.longest_body(&request))).await {
            Ok(Some(body)) => body,
            Ok(None) => return Some(Reply::problem(413, "the body is too long")),
            Err(_) => return None,
        };
        if self.pages.is_urgent(&request) {
            return Some(self.pages.answer(&self.parts, request).await);
        }
        let answered = self.turns.long(self.pages.answer(&self.parts, request)).await;
        Some(answered.unwrap_or_else(|| Reply::problem(503, "too many ask at once; ask again in a moment")))
    }

    async fn answer(
        &self,
        caller: &Caller,
        method: &Method,
        uri: &http::Uri,
        asked: &moves::ApiRequest,
        body: Vec<u8>,
    ) -> Reply {
        let get = *method == Method::GET || *method == Method::HEAD;
        match uri.path() {
            "/api/v1/console" if *method == Method::POST => self.link(caller, asked),
            "/api/v1/console" => Reply::not_allowed("POST"),
            "/healthz" if get => Reply::text(200, "alive\n"),
            "/readyz" if get => self.ready(),
            // The red button must act at once, and a replay waits for upstreams: neither takes a turn in the queue.
            path if path == "/api/v1/monolith-only" || path.ends_with("/rollback") || path.ends_with("/replay") => {
                api::answer(&self.parts, caller, method, uri, asked, body).await
            }
            _ => {
                let answered = self.turns.long(async {
                    match uri.path() {
                        "/metrics" if get => api::metrics(&self.parts).await,
                        _ => api::answer(&self.parts, caller, method, uri, asked, body).await,
                    }
                });
                answered.await.unwrap_or_else(|| Reply::problem(503, "too many ask at once; ask again in a moment"))
            }
        }
    }

    /// A link that opens the console once.
    fn link(&self, caller: &Caller, asked: &moves::ApiRequest) -> Reply {
        let generation = self.parts.app.in_force.load();
        let base = generation.snapshot.server.admin_base.trim_start_matches('/');
        let link = self.pages.link(asked.name().unwrap_or(&caller.name), caller.role, caller.key.clone());
        let path = format!("{base}{link}");
        Reply::json(200, &serde_json::json!({ "path": path, "seconds": 60 }))
    }

    /// The filter of a watcher of the live stream.
    fn watched(&self, session: &ServerSession) -> Result<EventFilter, Reply> {
        if !events::has_room(&self.parts.app.telemetry.events) {
            return Err(Reply::problem(503, "too many are watching already"));
        }
        Ok(events::filter(session.req_header().uri.query())?)
    }

    fn ready(&self) -> Reply {
        if self.parts.ready.load(Ordering::Acquire) {
            Reply::text(200, "ready\n")
        } else {
            Reply::text(503, "not ready\n")
        }
    }
}

fn peer(session: &ServerSession) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(SocketAddr::ip)
}

fn page_request(session: &ServerSession) -> PageRequest {
    let head = session.req_header();
    PageRequest {
        method: head.method.clone(),
        uri: head.uri.clone(),
        fields: head.headers.clone(),
        peer: peer(session),
        body: Vec::new(),
    }
}

fn body_limit(path: &str) -> usize {
    // A file in a JSON string takes more than itself.
    let is_long = matches!(path, "/api/v1/check" | "/api/v1/plan" | "/api/v1/plan/learn" | "/api/v1/inventory/known");
    if is_long { FILE_LIMIT } else { BODY_LIMIT }
}

async fn read_body(session: &mut ServerSession, limit: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = session.read_request_body().await {
        if body.len() + chunk.len() > limit {
            session.set_keepalive(None);
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}
