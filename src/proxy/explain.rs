//! Answers "which route would this request take, and why" with the code that routes requests.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use pingora::http::RequestHeader;
use serde::{Deserialize, Serialize};

use super::intake;
use super::outbound::Outbound;
use crate::compile::Snapshot;
use crate::endpoint::{Source, UpstreamId};
use crate::guard;
use crate::guard::headers::Arrival;
use crate::migration::{Breaker, Bucket, Copy, Decision, Dial, Given, Policy, Reason, Stage, decide};
use crate::route::{Found, Route, RouteId, normalise_bytes};
use crate::telemetry::{RequestId, TraceContext};

/// A request as a person describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    pub method: String,
    /// `http://host/path?query`, or a path alone.
    pub url: String,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub client: Option<IpAddr>,
}

/// The answer; `explain --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    pub route: Option<String>,
    pub stage: &'static str,
    pub side: String,
    pub upstream: String,
    pub endpoint: Option<String>,
    pub reason: String,
    pub shadow: Option<ExplainedCopy>,
    pub candidates: Vec<Lost>,
    pub request: Sent,
    /// Whether the monolith may answer if the service fails.
    pub fallback: bool,
}

/// The copy that the request would cause.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedCopy {
    pub upstream: Option<String>,
    pub why: String,
}

/// A route that could have taken the request, and why it did not.
#[derive(Debug, Clone, Serialize)]
pub struct Lost {
    pub route: String,
    pub lost: String,
}

/// What the upstream would be sent.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
}

/// A request that cannot be explained because the proxy would refuse it, or because it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExplainError {
    Url(String),
    Header(String),
    Method(String),
    /// The status and the reason with which the proxy would refuse it.
    Refused(u16, String),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "`{url}` is not a URL: write `http://host/path` or `/path`"),
            Self::Header(header) => write!(f, "`{header}` is not a header: write `name: value`"),
            Self::Method(method) => write!(f, "`{method}` is not a method"),
            Self::Refused(status, reason) => write!(f, "the proxy would refuse this request with {status}: {reason}"),
        }
    }
}

/// The dial in force of a route; `None`: the file's own.
pub type Dials<'a> = &'a dyn Fn(RouteId) -> Option<Dial>;

/// Explains one request under a snapshot. Pure: breakers are taken as closed, and a client without a unit as new.
pub fn explain(
    snapshot: &Snapshot,
    asked: &ExplainRequest,
    monolith_only: bool,
    dials: Dials<'_>,
) -> Result<Explained, ExplainError> {
    let mut request = head(asked)?;
    guard::framing::check(&request, None, &snapshot.limits)
        .map_err(|refusal| ExplainError::Refused(refusal.status, refusal.reason.to_owned()))?;
    let arrival = Arrival {
        peer: asked.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        tls: asked.url.starts_with("https://"),
        subject: None,
        trusted: &snapshot.server.trusted,
        force: snapshot.server.force.as_ref(),
    };
    let received = guard::headers::receive(&mut request, &arrival);
    let refused = |path: crate::route::PathRefused| ExplainError::Refused(400, path.to_string());
    let normal = normalise_bytes(intake::path_bytes(&request), &snapshot.matching).map_err(refused)?;
    let announced = intake::announced_method(&request);
    let upgrade = request.headers.contains_key(http::header::UPGRADE);
    let facts = intake::facts(&request, normal.as_str(), announced.as_ref(), Some(received.client), upgrade);
    let found = snapshot.table.select(&facts, &normal).map_err(refused)?;
    if found.is_none() && snapshot.monolith_retired {
        return Err(ExplainError::Refused(404, "no route takes it, and the monolith is retired".to_owned()));
    }
    let route = found.and_then(|found| snapshot.routes.get(found.route.index()));
    let unrouted = super::edition::passing(snapshot);
    let policy = route.map_or(&unrouted, |route| &route.policy);
    let dial = found.and_then(|found| dials(found.route)).unwrap_or(policy.dial);
    let given = Given {
        facts: &facts,
        dial,
        monolith_only,
        breaker: Breaker::Closed,
        forced: received.forced.as_ref().and_then(|side| side.to_str().ok()),
        fresh: 0,
        sample: 0,
    };
    let decision = decide(policy, &given);
    let candidates = snapshot.table.explain(&facts).candidates;
    let lost = candidates.into_iter().filter_map(|candidate| {
        let route = snapshot.routes.get(candidate.route.index())?;
        Some(Lost { route: route.name.to_string(), lost: candidate.lost.to_string() })
    });
    let candidates = lost.collect();
    let upstream = name_of(snapshot, decision.upstream);
    let reason = reason(dial, &decision, route, monolith_only);
    let sent = sent(snapshot, request, found, route, policy, &decision)?;
    Ok(Explained {
        route: route.map(|route| route.name.to_string()),
        stage: dial.stage.as_str(),
        side: decision.side.name(policy).to_owned(),
        endpoint: only_endpoint(snapshot, decision.upstream),
        upstream,
        reason,
        shadow: copy(snapshot, policy, &decision),
        candidates,
        request: sent,
        fallback: decision.fallback,
    })
}

fn head(asked: &ExplainRequest) -> Result<RequestHeader, ExplainError> {
    let bad_url = || ExplainError::Url(asked.url.clone());
    let (host, target) = match asked.url.split_once("://") {
        Some((_, rest)) => {
            let slash = rest.find(['/', '?']).unwrap_or(rest.len());
            let (host, target) = rest.split_at(slash);
            (host, if target.starts_with('/') { target.to_owned() } else { format!("/{target}") })
        }
        None if asked.url.starts_with('/') => ("localhost", asked.url.clone()),
        None => return Err(bad_url()),
    };
    let target = target.split('#').next().unwrap_or("/");
    let mut request = RequestHeader::build(asked.method.as_bytes(), target.as_bytes(), None).map_err(|_| {
        http::Method::from_bytes(asked.method.as_bytes())
            .map_or(ExplainError::Method(asked.method.clone()), |_| bad_url())
    })?;
    request.set_version(http::Version::HTTP_11);
    let names_host = asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !names_host {
        request.insert_header(http::header::HOST, host).map_err(|_| bad_url())?;
    }
    for (name, value) in &asked.headers {
        request
            .append_header(name.clone(), value.clone())
            .map_err(|_| ExplainError::Header(format!("{name}: {value}")))?;
    }
    Ok(request)
}

fn name_of(snapshot: &Snapshot, id: UpstreamId) -> String {
    snapshot.upstreams.get(id.index()).map_or_else(String::new, |spec| spec.name.to_string())
}

/// The endpoint, where there is only one that it could be.
fn only_endpoint(snapshot: &Snapshot, id: UpstreamId) -> Option<String> {
    match &snapshot.upstreams.get(id.index())?.source {
        Source::Fixed(endpoints) => match &endpoints[..] {
            [(address, _)] => Some(address.to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn reason(dial: Dial, decision: &Decision, route: Option<&std::sync::Arc<Route>>, monolith_only: bool) -> String {
    let Some(route) = route else {
        return "no route takes this request, so it goes to the monolith".to_owned();
    };
    let stage = dial.stage;
    match decision.reason {
        Reason::MonolithOnly => {
            "the big red button is on: every route that is not retired goes to the monolith".to_owned()
        }
        Reason::Stage => {
            let button = if monolith_only { "; the big red button does not move retired routes" } else { "" };
            format!("route `{}` is in stage {stage}{button}", route.name)
        }
        Reason::Bucket(bucket) | Reason::NoUnit(bucket) => share(dial, decision, bucket),
        Reason::Pinned => "the client's conversation began on this side (its pin cookie says so)".to_owned(),
        Reason::Forced => "a trusted client named this side".to_owned(),
        Reason::BreakerOpen => "the breaker is open".to_owned(),
    }
}

fn share(dial: Dial, decision: &Decision, Bucket(bucket): Bucket) -> String {
    let unit = match (decision.issue, decision.reason) {
        (Some(_), _) => "the client has no unit yet and gets a cookie: its side depends on that cookie, here",
        (None, Reason::NoUnit(_)) => "the client has no unit and gets none: each request is assigned anew, here",
        _ => "the client's unit falls into",
    };
    match dial {
        Dial { stage: Stage::Split, .. } => format!("{unit} bucket {bucket} of 10000"),
        Dial { weight, .. } => {
            format!("{unit} bucket {bucket} of 10000; the service has those below {} ({weight})", weight.buckets())
        }
    }
}

fn copy(snapshot: &Snapshot, policy: &Policy, decision: &Decision) -> Option<ExplainedCopy> {
    let sample = policy.shadow.as_ref()?.sample;
    let (upstream, why) = match decision.copy {
        Copy::None => return None,
        Copy::To(upstream) => (Some(name_of(snapshot, upstream)), format!("{sample} of such requests are copied")),
        // The sample depends on the request's id, which is made when it arrives.
        Copy::SampledOut => (None, format!("{sample} of such requests are copied")),
        Copy::Method => (None, "this method is not copied".to_owned()),
        Copy::Upgrade => (None, "upgrades are never copied".to_owned()),
    };
    Some(ExplainedCopy { upstream, why })
}

/// Shown in the place of what the file takes from the environment.
const FROM_A_VARIABLE: &str = "(from a variable)";

fn sent(
    snapshot: &Snapshot,
    mut request: RequestHeader,
    found: Option<Found>,
    route: Option<&std::sync::Arc<Route>>,
    policy: &Policy,
    decision: &Decision,
) -> Result<Sent, ExplainError> {
    let outbound = Outbound {
        snapshot,
        route: route.map(|route| &**route),
        template: found.map(|found| snapshot.table.template(found)),
        policy,
        side: decision.side,
        upstream: decision.upstream,
        request_id: &RequestId::made(0),
        trace: TraceContext::continue_or_start(&request.headers, 1, 1),
    };
    outbound.write(&mut request).map_err(|error| ExplainError::Refused(500, error.to_string()))?;
    let mut headers = Vec::new();
    for (name, value) in request.case_header_iter() {
        let value =
            if value.is_sensitive() { FROM_A_VARIABLE.into() } else { String::from_utf8_lossy(value.as_bytes()) };
        headers.push((String::from_utf8_lossy(name.as_slice()).into_owned(), value.into_owned()));
    }
    Ok(Sent {
        method: request.method.to_string(),
        target: String::from_utf8_lossy(request.raw_path()).into_owned(),
        headers,
    })
}
