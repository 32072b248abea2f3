//! The compiled file: immutable, shared by every request that began under it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::Pages;
use super::cookies::CookieSettings;
use super::fleet::FleetSettings;
use crate::compile::Route;
use crate::config::{Notice, NotifyFormat};
use crate::diagnostic::Sources;
use crate::endpoint::{PublishSpec, Timeouts, UpstreamSpec};
use crate::migration::Percent;
use crate::migration::gate::Gate;
use crate::route::{Matching, Network, RouteTable, SecretSource};

/// The clients that may name a side, and the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForceRule {
    pub header: HeaderName,
    pub from: Vec<Network>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    pub listen: Vec<Arc<str>>,
    pub certificates: Vec<Certificate>,
    pub redirect: bool,
    /// `max-age` of Strict-Transport-Security; `None`: not sent.
    pub hsts: Option<Duration>,
    /// The authority of client certificates.
    pub client_ca: Option<PathBuf>,
    /// Clients without a certificate are refused.
    pub client_ca_required: bool,
    /// Requests for these hosts need a certificate of the client; in lower case, without ports.
    pub client_ca_hosts: Vec<Box<str>>,
    /// Names that no certificate is for are refused.
    pub strict_sni: bool,
    pub min_version: TlsVersion,
    pub acme: Option<Acme>,
    /// The listeners answer challenges of tls-alpn-01, of this proxy's orders or of those of its fleet.
    pub tls_alpn_proofs: bool,
}

impl TlsSettings {
    /// Whether requests for this host need a certificate of the client. Hosts are the same in any case, and with the dot of the root
    /// behind them.
    #[must_use]
    pub fn needs_client_certificate(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.client_ca_hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}

/// The oldest version of TLS that is spoken with clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    #[default]
    Tls12,
    Tls13,
}

/// Certificates that are ordered from an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// In lower case.
    pub hosts: Vec<Box<str>>,
    pub email: Option<Box<str>>,
    /// An https URL.
    pub directory: Box<str>,
    /// The authority of the directory's certificate; `None`: those of this machine.
    pub ca: Option<PathBuf>,
    /// The challenges that the listeners can answer.
    pub http: bool,
    pub tls_alpn: bool,
}

/// The rights on the admin listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Look, and ask what would be.
    Read,
    /// Everything.
    Operate,
}

/// A caller that may use the admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    pub name: Arc<str>,
    pub token: SecretSource,
    pub role: Role,
}

/// Users that a proxy in front of the console has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedUser {
    pub header: HeaderName,
    pub from: Vec<Network>,
    pub role: Role,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// `host:port`.
    pub listen: Vec<Arc<str>>,
    pub tls: TlsSettings,
    pub admin: Arc<str>,
    pub metrics: Option<Arc<str>>,
    /// The tokens of `admin`; without any, all clients that reach it may use it.
    pub tokens: Vec<AdminToken>,
    pub admin_hosts: Vec<Box<str>>,
    /// Begins and ends with `/`.
    pub admin_base: Box<str>,
    /// The console's rights on loopback without a token.
    pub console: Role,
    pub trusted_user: Option<TrustedUser>,
    /// 0: one per core.
    pub threads: usize,
    pub state_dir: PathBuf,
    pub drain: Duration,
    pub lame_duck: Duration,
    pub monolith_only: bool,
    pub trusted: Vec<Network>,
    /// Upstreams get `Forwarded`, too, where the peer has sent none.
    pub forwarded: bool,
    pub proxy_protocol: ProxyProtocol,
    pub force: Option<ForceRule>,
    pub cookies: CookieSettings,
    /// Lines of a request's head may end in LF alone.
    pub allow_bare_lf: bool,
    pub debug_headers: bool,
}

/// Whether clients' connections begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    Off,
    /// They may.
    Accept,
    /// They must.
    Require,
}

/// A recipient of moves and its format: one of `[notify.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyTarget {
    pub name: Arc<str>,
    pub url: SecretSource,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<SecretSource>,
    pub format: NotifyFormat,
    pub on: Vec<Notice>,
    /// Patterns of routes' names, in which `*` stands for any part.
    pub routes: Vec<Box<str>>,
}

impl NotifyTarget {
    /// Whether it is told of this route; of what concerns no route, always.
    #[must_use]
    pub fn is_about(&self, route: &str) -> bool {
        route.is_empty() || self.routes.iter().any(|pattern| super::pattern::takes(pattern, route))
    }
}

/// `[limits]`; `None` and 0 mean no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub request_head: Option<u64>,
    pub headers: Option<u64>,
    pub body: Option<u64>,
    pub connections: Option<u64>,
    pub connections_per_client: Option<u64>,
    pub requests_per_connection: Option<u32>,
    /// Requests at once on a connection of HTTP/2; one more is refused, and may be sent again.
    pub http2_streams: u32,
    pub header_timeout: Option<Duration>,
    pub body_timeout: Option<Duration>,
    pub write_timeout: Option<Duration>,
    /// Bytes a second.
    pub min_rate: Option<u64>,
    pub idle_timeout: Option<Duration>,
    pub upgraded_idle: Option<Duration>,
    /// Bytes of all bodies on disk together.
    pub buffer_disk: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_head: Some(16 * 1024),
            headers: Some(100),
            body: None,
            connections: Some(10_000),
            connections_per_client: None,
            requests_per_connection: None,
            // The limits that nginx, haproxy and Envoy's guide for edges set.
            http2_streams: 100,
            header_timeout: Some(Duration::from_secs(10)),
            body_timeout: Some(Duration::from_secs(30)),
            write_timeout: Some(Duration::from_secs(60)),
            min_rate: Some(240),
            idle_timeout: Some(Duration::from_secs(75)),
            upgraded_idle: Some(Duration::from_secs(3600)),
            buffer_disk: Some(1 << 30),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Common,
    Combined,
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    Stdout,
    Stderr,
    File(PathBuf),
}

/// `[logs]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    pub format: LogFormat,
    pub output: LogOutput,
    /// Of answers below 400; the others are always written.
    pub sample: Percent,
}

/// `[tracing]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracingSettings {
    pub otlp: Option<Box<str>>,
    pub sample: Percent,
}

/// `[events]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsSettings {
    pub to: PublishSpec,
    /// The subject or the routing key, with `{kind}` and `{route}`; not for Kafka.
    pub subject: Box<str>,
    /// Words of the file.
    pub kinds: Vec<&'static str>,
    /// Of exchanges.
    pub sample: Percent,
}

impl EventsSettings {
    /// The subject or the routing key of an event; the key of a record is the route. A route's name may have what no subject has.
    #[must_use]
    pub fn key(&self, kind: &str, route: &str) -> String {
        if matches!(self.to, PublishSpec::Kafka { .. }) {
            return route.to_owned();
        }
        let fine = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
        let route: String = if route.is_empty() { "_".to_owned() } else { route.chars().map(fine).collect() };
        self.subject.replace("{kind}", kind).replace("{route}", &route)
    }
}

/// `[inventory]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventorySettings {
    pub learn: bool,
    /// Paths without parameters.
    pub literal: Vec<Box<str>>,
    pub parameter: Vec<Box<str>>,
    pub retire_after: Duration,
}

/// A compiled file.
#[derive(Debug)]
pub struct Snapshot {
    /// The files it was compiled from.
    pub sources: Arc<Sources>,
    pub server: ServerSettings,
    pub matching: Matching,
    pub limits: Limits,
    /// `[timeouts]`, for upstreams that have none of their own.
    pub timeouts: Timeouts,
    pub logs: AccessLog,
    pub tracing: TracingSettings,
    pub inventory: InventorySettings,
    /// The share of one processor for copies and comparisons; `None`: what requests leave.
    pub copy_cpu: Option<Percent>,
    /// Upper bounds of the latency histograms, in seconds, rising.
    pub buckets: Vec<f64>,
    /// The collector that gets the metrics.
    pub metrics_otlp: Option<Box<str>>,
    /// Own error pages.
    pub pages: Pages,
    /// The monolith first, then the services in the order of their names.
    pub upstreams: Vec<Arc<UpstreamSpec>>,
    /// A request that no route takes gets 404 instead of the monolith.
    pub monolith_retired: bool,
    /// In the order of their names; `RouteId` is the index.
    pub routes: Vec<Arc<Route>>,
    pub table: RouteTable,
    /// `[gate]`, with the steps of routes that have no gate of their own.
    pub gate_defaults: Arc<Gate>,
    /// The recipients of moves.
    pub notify: Vec<NotifyTarget>,
    pub events: Option<EventsSettings>,
    /// The state shared with other replicas; `None`: this proxy is alone.
    pub fleet: Option<FleetSettings>,
}

impl Snapshot {
    /// The keys that are read once, when the program starts, and differ in the new file.
    #[must_use]
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let (was, is) = (&self.server, &new.server);
        let checks = [
            (was.listen != is.listen, "listen"),
            (was.admin != is.admin, "admin"),
            (was.metrics != is.metrics, "metrics"),
            (was.threads != is.threads, "threads"),
            (was.state_dir != is.state_dir, "state_dir"),
            (was.tls.listen != is.tls.listen, "tls.listen"),
            (self.buckets != new.buckets, "buckets"),
            (self.fleet != new.fleet, "fleet"),
        ];
        checks.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key).collect()
    }
}
