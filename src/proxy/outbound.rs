//! The request as an upstream gets it: what the client sent, with forwarding headers; for a service also the route's rewriting.

use http::{HeaderName, header};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OrErr, Result};

use super::exchange::Exchange;
use super::intake;
use crate::compile::Snapshot;
use crate::endpoint::{Address, Source, UpstreamId};
use crate::migration::{Policy, Side};
use crate::route::{HeaderEdits, Route, Template, normalise_bytes};
use crate::telemetry::{RequestId, TraceContext};

// Names that are written are text: pingora keeps their case, and of a `HeaderName` it would make a copy first.
pub const X_REQUEST_ID: &str = "X-Request-Id";
const TRACEPARENT: &str = "traceparent";
const X_MULTILITH_ROUTE: &str = "X-Multilith-Route";
const X_MULTILITH_SIDE: &str = "X-Multilith-Side";
// Names that are looked for are parsed once, here.
pub static X_REQUEST_ID_NAME: HeaderName = HeaderName::from_static("x-request-id");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Where a request goes, as far as it decides what is written in it. The same for the proxy and for `explain`.
pub struct Outbound<'a> {
    pub snapshot: &'a Snapshot,
    pub route: Option<&'a Route>,
    /// The one of the route's templates that took the path.
    pub template: Option<&'a Template>,
    pub policy: &'a Policy,
    pub side: Side,
    pub upstream: UpstreamId,
    pub request_id: &'a RequestId,
    pub trace: &'a TraceContext,
}

/// Pingora gives a copy of the client's cleaned head without hop-by-hop headers; this makes it the upstream's.
pub fn prepare(request: &mut RequestHeader, exchange: &Exchange) -> Result<()> {
    let entry = exchange.route();
    let outbound = Outbound {
        snapshot: &exchange.edition.snapshot,
        route: entry.route.as_deref(),
        template: exchange.found.map(|found| exchange.edition.snapshot.table.template(found)),
        policy: &entry.policy,
        side: exchange.side.unwrap_or(Side::Monolith),
        upstream: exchange.target,
        request_id: &exchange.request_id,
        trace: &exchange.attempt_trace(),
    };
    outbound.write(request)
}

impl Outbound<'_> {
    /// Writes what this upstream gets into a copy of the client's cleaned request.
    pub fn write(&self, request: &mut RequestHeader) -> Result<()> {
        request.insert_header(X_REQUEST_ID, self.request_id.header_value())?;
        request.insert_header(TRACEPARENT, self.trace.header_value())?;
        if request.uri.authority().is_none() && !request.headers.contains_key(header::HOST) {
            // A client of HTTP/1.0 need not name a host; what goes on is HTTP/1.1, where every server asks for one.
            request.insert_header(header::HOST, self.upstream_host())?;
        }
        if !self.trace.is_continued() {
            // It belongs to a trace that goes no further.
            request.remove_header(&TRACESTATE);
        }
        match self.route {
            Some(route) if self.upstream != UpstreamId::MONOLITH => self.write_for_service(request, route),
            _ => self.write_variant(request),
        }
    }

    /// The upstream's own name, as its address has it.
    fn upstream_host(&self) -> String {
        let spec = self.snapshot.upstreams.get(self.upstream.index());
        match spec.map(|spec| &spec.source) {
            Some(Source::Fixed(endpoints)) => match endpoints.first() {
                Some((address @ Address::Tcp { .. }, _)) => address.to_string(),
                _ => "localhost".to_owned(),
            },
            Some(Source::Dns { name, .. } | Source::Srv { name }) => name.to_string(),
            _ => "localhost".to_owned(),
        }
    }

    fn write_for_service(&self, request: &mut RequestHeader, route: &Route) -> Result<()> {
        let raw = intake::path_bytes(request);
        let normal = normalise_bytes(raw, &self.snapshot.matching)
            .map_err(|_| Error::explain(ErrorType::InternalError, "the path was normal when it was admitted"))?;
        let template = self.template.or_else(|| route.rule.paths.first());
        let rewritten = route.rewrite.path.as_ref().zip(template);
        let rewritten = rewritten.map(|(rewrite, template)| rewrite.expand(&template.captures(normal.as_str())));
        let path = rewritten.as_deref().unwrap_or_else(|| normal.as_str());
        if path.as_bytes() != raw {
            let target = request.uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
            request.set_uri(target.parse().or_err(ErrorType::InternalError, "a normal path is a valid target")?);
        }
        if let Some(host) = &route.rewrite.host {
            request.insert_header(header::HOST, host.clone())?;
        }
        edit(request, &route.rewrite.headers)?;
        self.write_variant(request)?;
        request.insert_header(X_MULTILITH_ROUTE, &*route.name)?;
        request.insert_header(X_MULTILITH_SIDE, self.side.name(self.policy))
    }

    /// What one variant of a split adds, also one of the monolith.
    fn write_variant(&self, request: &mut RequestHeader) -> Result<()> {
        match self.side {
            Side::Variant(index) => match self.policy.variants.get(usize::from(index)) {
                Some(variant) => edit(request, &variant.headers),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

fn edit(request: &mut RequestHeader, edits: &HeaderEdits) -> Result<()> {
    for name in &edits.remove {
        request.remove_header(name);
    }
    for (name, value) in &edits.set {
        request.insert_header(name.clone(), value.clone())?;
    }
    for (name, value) in &edits.add {
        request.append_header(name.clone(), value.clone())?;
    }
    Ok(())
}
