//! Answers "which route would this request take, and why" with the code that routes requests.

mod keys;
mod reason;
mod sent;
mod token;
mod upstream;
mod upstream_keys;
mod words;

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::request;
use crate::client::Translation;
use crate::compile::{Route, Snapshot};
use crate::endpoint::{TargetSpec, UpstreamId};
use crate::guard;
use crate::guard::headers::PeerFacts;
use crate::message::{Name, ProxyVersion, RequestHead, is_call, is_value};
use crate::migration::{BreakerState, CopyDecision, Decision, DecisionInput, Dial, Side, decide};
use crate::route::{RouteId, normalise_bytes};
use keys::Bearing;
use reason::{copy, reason};
use sent::{Sent, Writing};
use token::ExplainedToken;
use upstream::{buffer, limit, name_of, only_endpoint, timeouts};

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

impl ExplainRequest {
    /// A header as a person writes it: `name: value`.
    pub fn header(text: &str) -> Result<(String, String), ExplainError> {
        let (name, value) = text.split_once(':').ok_or_else(|| ExplainError::Header(text.to_owned()))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    }

    /// The same, one a line.
    pub fn headers(text: &str) -> Result<Vec<(String, String)>, ExplainError> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Self::header).collect()
    }
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
    pub candidates: Vec<LostRoute>,
    pub request: Sent,
    /// The message in its place, where the upstream is no server of HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation: Option<Translation>,
    /// How much of bodies is held on their way.
    pub buffer: ExplainedBuffer,
    /// How many requests the upstream takes at once; `null`: any number.
    pub limit: Option<ExplainedLimit>,
    /// The version of the PROXY header that the upstream's connections begin with; 0: none.
    pub proxy_protocol: u8,
    /// Whether the monolith may answer if the service fails.
    pub fallback: bool,
    /// Of a call of gRPC: whether the route declares that it changes nothing.
    pub safe_call: Option<bool>,
    /// The statuses of the service that count as its failure, where there is a fallback.
    pub fallback_statuses: Vec<u16>,
    /// Status and address, where the proxy answers with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<ExplainedRedirect>,
    /// The times of the upstream on this route, where the route has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<ExplainedTimeouts>,
    /// Failures on purpose that the request may suffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The token that the route asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<ExplainedToken>,
    /// The servers that identify the client, before a service answers or gets a copy.
    pub asked: Vec<ExplainedAsking>,
    /// Other keys of the file that bear on the request.
    pub keys: Vec<ExplainedKey>,
    /// Routes that another spelling of the path would reach.
    pub near_misses: Vec<Near>,
}

/// A server that identifies the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedAsking {
    /// The key of the file that says so.
    pub by: &'static str,
    pub url: String,
    /// Headers that it fills.
    pub headers: Vec<String>,
}

/// A key of the file that bears on the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedKey {
    /// With its tables: `server.tls.client_ca_hosts`.
    pub key: String,
    /// Its effect here, one sentence.
    pub effect: String,
}

/// A route that the request would reach under another path.
#[derive(Debug, Clone, Serialize)]
pub struct Near {
    pub route: String,
    pub path: String,
    pub why: &'static str,
}

/// How much of bodies is held, as the file writes it: `auto`, `none` or a size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedBuffer {
    pub request: String,
    pub answer: String,
}

/// How many requests an upstream takes at once, and how many more wait.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedLimit {
    pub max_in_flight: u32,
    pub queue_length: u32,
    pub queue_timeout_seconds: f64,
}

/// The redirect that the route answers with instead of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedRedirect {
    pub status: u16,
    pub location: String,
}

/// In seconds; `null` is no limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedTimeouts {
    pub connect: Option<f64>,
    pub answer: Option<f64>,
    pub idle: Option<f64>,
    pub total: Option<f64>,
}

/// The copy that the request would cause.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedCopy {
    pub upstream: Option<String>,
    pub why: String,
    /// The message, where the target is no server of HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation: Option<Translation>,
}

/// A route that could have taken the request, and why it did not.
#[derive(Debug, Clone, Serialize)]
pub struct LostRoute {
    pub route: String,
    pub lost: String,
}

/// A request that cannot be explained because the proxy would refuse it, or because it is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    #[error("`{0}` is not a URL: write `http://host/path` or `/path`")]
    Url(String),
    #[error("`{0}` is not a header: write `name: value`")]
    Header(String),
    #[error("`{0}` is not a method")]
    Method(String),
    /// The status and the reason with which the proxy would refuse it.
    #[error("the proxy would refuse this request with {0}: {1}")]
    Refused(u16, String),
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
    guard::framing::check(&request, Some(0), &snapshot.limits)
        .map_err(|refusal| ExplainError::Refused(refusal.status, refusal.reason.to_owned()))?;
    let arrival = PeerFacts {
        peer: asked.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        tls: asked.url.starts_with("https://"),
        subject: None,
        trusted: &snapshot.server.trusted,
        force: snapshot.server.force.as_ref(),
        forwarded: snapshot.server.forwarded,
    };
    let received = guard::headers::receive(&mut request, &arrival);
    if asked.url.starts_with("http://") && !snapshot.server.tls.redirect {
        let host = request::host(&request);
        if snapshot.server.tls.needs_client_certificate(host) {
            let why = format!("`client_ca_hosts` has `{host}`, and only TLS can show a client's certificate");
            return Err(ExplainError::Refused(403, why));
        }
    }
    let refused = |path: crate::route::PathRefused| ExplainError::Refused(400, path.to_string());
    let normal = normalise_bytes(request.path(), &snapshot.matching).map_err(refused)?;
    let announced = request::announced_method(&request);
    let facts = request::facts(&request, normal.as_str(), announced.as_ref(), Some(received.client), received.upgrade);
    let found = snapshot.table.select(&facts, &normal).map_err(refused)?;
    if found.is_none() && snapshot.monolith_retired {
        return Err(ExplainError::Refused(404, "no route takes it, and the monolith is retired".to_owned()));
    }
    let route = found.and_then(|found| snapshot.routes.get(found.route.index())).map(|route| &**route);
    if let Some(route) = route
        && !route.allow.is_empty()
        && !route.allow.iter().any(|network| network.contains(received.client))
    {
        let why = format!("`allow` of route `{}` does not have the client's address {}", route.name, received.client);
        return Err(ExplainError::Refused(403, why));
    }
    let unrouted = super::generation::passing(snapshot);
    let policy = route.map_or(&unrouted, |route| &route.policy);
    let dial = found.and_then(|found| dials(found.route)).unwrap_or(policy.dial);
    let given = DecisionInput {
        facts: &facts,
        dial,
        monolith_only,
        breaker: BreakerState::Closed,
        forced: received.forced.as_deref(),
        fresh: 0,
        sample: 0,
    };
    let decision = decide(policy, &given);
    let candidates = snapshot.table.explain(&facts).candidates;
    let lost = candidates.into_iter().filter_map(|candidate| {
        let route = snapshot.routes.get(candidate.route.index())?;
        Some(LostRoute { route: route.name.to_string(), lost: candidate.lost.to_string() })
    });
    let candidates = lost.collect();
    let near = snapshot.table.near_misses(&facts, found).into_iter().filter_map(|near| {
        let route = snapshot.routes.get(near.route.index())?;
        Some(Near { route: route.name.to_string(), path: near.path, why: near.why.as_str() })
    });
    let near_misses = near.collect();
    let statuses = policy.fallback.as_ref().filter(|_| decision.fallback).map(|fallback| fallback.statuses.iter());
    let fallback_statuses = statuses.into_iter().flatten().collect();
    let redirect = route.filter(|_| decision.side == Side::Service).and_then(|route| {
        let redirect = route.redirect.as_ref()?;
        let template = snapshot.table.template(found?);
        let location = redirect.location(&template.captures(normal.as_str()), request.query());
        Some(ExplainedRedirect { status: redirect.status, location: String::from_utf8_lossy(&location).into_owned() })
    });
    // A redirect needs no upstream.
    let asked = snapshot.upstreams.get(decision.upstream.index()).filter(|_| redirect.is_none());
    let upstream = if redirect.is_some() { "none".to_owned() } else { name_of(snapshot, decision.upstream) };
    let endpoint = only_endpoint(snapshot, decision.upstream).filter(|_| redirect.is_none());
    let reason = reason(dial, &decision, route, monolith_only);
    let call = request.method == http::Method::POST && is_call(&request.fields);
    let bearing = Bearing {
        snapshot,
        arrival: &arrival,
        received: &received,
        facts: &facts,
        route,
        policy,
        decision: &decision,
        redirects: redirect.is_some(),
    };
    let keys = bearing.keys();
    let rule = route.and_then(|route| route.jwt.as_ref());
    let token = rule.map(|rule| token::apply(&mut request, rule, announced.is_some()));
    let writing = Writing { snapshot, found, route, policy, client: received.client };
    let ours = |failure: Failure| ExplainError::Refused(500, failure.to_string());
    let copied = match decision.copy {
        CopyDecision::To(upstream) if snapshot.upstreams[upstream.index()].target != TargetSpec::Http => {
            let head = writing.head(&request, Side::Service, upstream).map_err(ours)?;
            writing.translation(&head, upstream)
        }
        _ => None,
    };
    let sent = writing.head(&request, decision.side, decision.upstream).map_err(ours)?;
    let translation = writing.translation(&sent, decision.upstream).filter(|_| redirect.is_none());
    Ok(Explained {
        route: route.map(|route| route.name.to_string()),
        stage: dial.stage.as_str(),
        side: decision.side.name(policy).to_owned(),
        endpoint,
        limit: limit(snapshot, decision.upstream).filter(|_| redirect.is_none()),
        redirect,
        timeouts: timeouts(snapshot, route, decision.upstream),
        fault: fault(route, &decision),
        upstream,
        reason,
        shadow: copy(snapshot, policy, &decision, call).map(|copy| ExplainedCopy { translation: copied, ..copy }),
        candidates,
        translation,
        request: Sent::of(&sent),
        buffer: buffer(snapshot, route, decision.upstream),
        proxy_protocol: match asked.and_then(|spec| spec.proxy_protocol) {
            None => 0,
            Some(ProxyVersion::V1) => 1,
            Some(ProxyVersion::V2) => 2,
        },
        fallback: decision.fallback,
        safe_call: call.then_some(decision.safe_call),
        fallback_statuses,
        token,
        asked: asked_servers(route, &decision),
        keys,
        near_misses,
    })
}

fn fault(route: Option<&Route>, decision: &Decision) -> Option<String> {
    let fault = route?.fault.filter(|fault| fault.side == decision.side)?;
    let late = fault.delay.map(|delay| format!("come {delay:?} late"));
    let status = fault.status.map(|status| format!("are answered {status} without the service"));
    let what: Vec<_> = late.into_iter().chain(status).collect();
    Some(format!("{} of such requests {}, on purpose", fault.share, what.join(" and ")))
}

/// The servers of identity that this request needs: none where the monolith answers and no service gets a copy.
fn asked_servers(route: Option<&Route>, decision: &Decision) -> Vec<ExplainedAsking> {
    let Some(route) = route else { return Vec::new() };
    let answers = decision.upstream != UpstreamId::MONOLITH;
    let copied = matches!(decision.copy, CopyDecision::To(upstream) if upstream != UpstreamId::MONOLITH);
    let mut asked = Vec::new();
    if let Some(rule) = route.identity.forward.as_deref().filter(|_| answers || copied) {
        let headers = rule.headers.iter().map(ToString::to_string).collect();
        asked.push(ExplainedAsking { by: "auth.forward", url: rule.url.to_string(), headers });
    }
    let exchanges = [
        ("auth.exchange", &route.identity.exchange, answers),
        ("shadow.credentials", &route.identity.for_copies, copied),
    ];
    for (by, rule, due) in exchanges {
        if let Some(rule) = rule.as_deref().filter(|_| due) {
            let headers = rule.set.iter().map(|(name, _)| name.to_string()).collect();
            asked.push(ExplainedAsking { by, url: rule.url.to_string(), headers });
        }
    }
    asked
}

fn head(asked: &ExplainRequest) -> Result<RequestHead, ExplainError> {
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
    let method =
        http::Method::from_bytes(asked.method.as_bytes()).map_err(|_| ExplainError::Method(asked.method.clone()))?;
    if target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) || !is_value(host.as_bytes()) {
        return Err(bad_url());
    }
    let mut request = RequestHead::new(method, http::Version::HTTP_11, target.as_bytes());
    let names_host = asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !names_host {
        request.fields.append(Name::Host, host.as_bytes());
    }
    for (name, value) in &asked.headers {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() || !is_value(value.as_bytes()) {
            return Err(ExplainError::Header(format!("{name}: {value}")));
        }
        request.fields.push_raw(name.as_bytes(), value.trim().as_bytes());
    }
    Ok(request)
}
