//! The body of `GET /api/v1/upstreams`.

use serde::Serialize;

/// Where an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// Nothing was asked of it yet, so nothing is known.
    #[default]
    Unchecked,
    /// The last that was asked of it was answered: a check, a request or a copy.
    Healthy,
    /// Gets requests or copies and refuses them, is silent or fails all of them: no other endpoint can take them, or they are copies.
    Failing,
    /// Ejected, or found ill by its checks: gets nothing.
    Unhealthy,
    /// Left the list: gets no new request and finishes those it has.
    Draining,
    /// Waits for its first check.
    Starting,
}

impl EndpointState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Healthy => "healthy",
            Self::Failing => "failing",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::Starting => "starting",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastFailure {
    pub kind: &'static str,
    pub seconds_ago: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointStatus {
    pub address: String,
    pub weight: u32,
    pub state: EndpointState,
    /// Empty when there is nothing to say.
    pub why: String,
    pub in_flight: u32,
    pub last_failure: Option<LastFailure>,
    /// Since the source last named it.
    pub seen_seconds_ago: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpstreamStatus {
    pub name: String,
    /// http, lambda or nameko.
    pub target: &'static str,
    /// fixed, dns, srv, file, etcd, consul, kubernetes or docker.
    pub source: &'static str,
    /// The source does not answer: these are the endpoints known last.
    pub stale: bool,
    /// The fault of the source, or of the upstream as a whole.
    pub trouble: Option<String>,
    /// `None`: no limit of requests at once.
    pub queue: Option<QueueStatus>,
    pub endpoints: Vec<EndpointStatus>,
}

/// Requests at an upstream with `max_in_flight`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueStatus {
    pub max_in_flight: u32,
    /// Above `max_in_flight` for a moment after a reload that lowered it.
    pub in_flight: u32,
    pub waiting: usize,
    /// Most requests that may wait.
    pub length: u32,
    pub timeout_seconds: f64,
}
