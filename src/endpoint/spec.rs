//! An upstream as the file describes it, compiled and immutable.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::{Buffering, DockerContainers, InFlightLimit, Keepalive, KubernetesService, TargetSpec};
use crate::message::ProxyVersion;

/// An upstream's place in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

impl UpstreamId {
    /// The monolith is always there, and always first.
    pub const MONOLITH: Self = Self(0);

    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A name or an address literal, and a port. Names are resolved away from the request path.
    Tcp {
        host: Box<str>,
        port: u16,
    },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the set of endpoints comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `url` or `endpoints`: fixed, names among them resolved again and again.
    Fixed(Vec<(Address, u32)>),
    Dns {
        name: Box<str>,
        port: u16,
    },
    Srv {
        name: Box<str>,
    },
    File {
        path: PathBuf,
    },
    Etcd {
        endpoints: Vec<Box<str>>,
        prefix: Box<str>,
    },
    Consul {
        url: Box<str>,
        service: Box<str>,
        tag: Option<Box<str>>,
    },
    Kubernetes(Box<KubernetesService>),
    Docker(DockerContainers),
}

/// How an endpoint is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Power of two choices on requests in flight.
    LeastBusy,
    /// Consistent hashing on the sticky unit.
    Sticky,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    Connect,
    Http(HealthRequest),
    /// The target itself knows whether a call would be answered.
    Target,
}

/// The request that checks an endpoint's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRequest {
    pub method: Method,
    pub path: Box<str>,
    /// `None`: the endpoint's own address.
    pub host: Option<HeaderValue>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The statuses that mean healthy, inclusive.
    pub statuses: (u16, u16),
}

impl HealthRequest {
    /// GET of this path.
    #[must_use]
    pub fn get(path: &str, statuses: (u16, u16)) -> Self {
        Self { method: Method::GET, path: path.into(), host: None, headers: Vec::new(), statuses }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub check: HealthCheck,
    pub interval: Duration,
    pub timeout: Duration,
    /// Successes in a row that make an unhealthy endpoint healthy.
    pub healthy: u32,
    /// Failures in a row that make a healthy endpoint unhealthy.
    pub unhealthy: u32,
}

/// Passive ejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    pub failures: u32,
    pub base: Duration,
    pub max: Duration,
    /// The last endpoint of an upstream too.
    pub last: bool,
}

impl Ejection {
    /// Where the file says nothing else.
    pub const DEFAULT: Self =
        Self { failures: 5, base: Duration::from_secs(30), max: Duration::from_secs(300), last: false };
    /// Where the file says nothing at all, of endpoints that refuse connections: a third of dead endpoints would otherwise use up
    /// the budget of retries, and one that is started anew is soon back.
    const REFUSING: Self =
        Self { failures: 3, base: Duration::from_secs(1), max: Duration::from_secs(10), last: false };
}

/// Whether endpoints that fail are left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eject {
    Never,
    /// The file does not mention it.
    Usual,
    Rule(Ejection),
}

impl Eject {
    /// The rule for an endpoint that refuses connections, or fails otherwise.
    #[must_use]
    pub const fn rule(&self, refuses: bool) -> Option<&Ejection> {
        match self {
            Self::Never => None,
            Self::Usual if refuses => Some(&Ejection::REFUSING),
            Self::Usual => Some(&Ejection::DEFAULT),
            Self::Rule(rule) => Some(rule),
        }
    }

    /// The last endpoint may be ejected, too.
    #[must_use]
    pub const fn ejects_last(&self) -> bool {
        matches!(self, Self::Rule(Ejection { last: true, .. }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersions {
    Http1,
    /// Prior knowledge on plain connections, ALPN on TLS.
    Http2,
    /// ALPN; HTTP/1.1 on plain connections.
    Auto,
}

/// TLS towards the upstream; `None` in the specification means plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// Never empty: pingora skips verification for an empty name.
    pub server_name: Box<str>,
    pub ca: Option<PathBuf>,
    pub client: Option<(PathBuf, PathBuf)>,
    pub verify: Verify,
    /// When there are any, the server's key is one of these.
    pub pins: Vec<KeyPin>,
}

impl TlsIdentity {
    /// The files of certificates and keys that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.client.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca.iter().chain(own).map(PathBuf::as_path)
    }
}

/// The checked parts of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Its chain and its name.
    #[default]
    Full,
    /// Its chain.
    Chain,
    Off,
}

/// The SHA-256 of a public key, as the certificate has it (`SubjectPublicKeyInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPin(pub [u8; 32]);

/// A route's own value of one of the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnTimeout {
    /// Nothing: it is the upstream's.
    #[default]
    Upstream,
    Unlimited,
    After(Duration),
}

impl OwnTimeout {
    const fn over(self, base: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Upstream => base,
            Self::Unlimited => None,
            Self::After(time) => Some(time),
        }
    }
}

/// A route's own values of the times that an upstream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnTimeouts {
    pub connect: OwnTimeout,
    pub answer: OwnTimeout,
    pub idle: OwnTimeout,
    pub total: OwnTimeout,
}

impl OwnTimeouts {
    /// The times of an upstream on this route.
    #[must_use]
    pub const fn over(self, base: Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.over(base.connect),
            answer: self.answer.over(base.answer),
            idle: self.idle.over(base.idle),
            total: self.total.over(base.total),
        }
    }
}

/// `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Option<Duration>,
    /// To the first byte of the answer.
    pub answer: Option<Duration>,
    /// Longest pause inside an answer.
    pub idle: Option<Duration>,
    pub total: Option<Duration>,
}

/// One upstream. Equal specifications of one name keep their pool, and its health, over a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSpec {
    pub name: Arc<str>,
    pub target: TargetSpec,
    pub source: Source,
    /// The Host that it is asked under; `None`: the client's.
    pub host: Option<Box<str>>,
    pub balance: Balance,
    pub health: Option<Health>,
    pub eject: Eject,
    pub http: HttpVersions,
    pub tls: Option<TlsIdentity>,
    pub timeouts: Timeouts,
    pub keepalive: Keepalive,
    /// The PROXY header that begins each connection; `None`: there is none.
    pub proxy_protocol: Option<ProxyVersion>,
    /// `None`: no limit.
    pub limit: Option<InFlightLimit>,
    /// How much of bodies is held where a route does not say.
    pub buffer: Buffering,
    /// Writes may be copied here.
    pub sandbox: bool,
}
