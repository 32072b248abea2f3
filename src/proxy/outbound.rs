//! The request as an upstream gets it: what the client sent, with forwarding headers; for a service also the route's rewriting.

use std::time::Instant;

use http::{HeaderName, Uri, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OrErr, Result};

use super::exchange::Exchange;
use super::intake;
use crate::guard;
use crate::guard::headers::Forwarding;
use crate::migration::Side;
use crate::route::{HeaderEdits, normalise};

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_MULTILITH_ROUTE: HeaderName = HeaderName::from_static("x-multilith-route");
const X_MULTILITH_SIDE: HeaderName = HeaderName::from_static("x-multilith-side");

/// Pingora gives a copy of the client's head without hop-by-hop headers; this makes it the upstream's.
pub fn prepare(session: &Session, request: &mut RequestHeader, exchange: &mut Exchange) -> Result<()> {
    let edition = exchange.edition.clone();
    let server = &edition.snapshot.server;
    let client = session.req_header();
    let forwarding = Forwarding {
        peer: session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip),
        trusted: &server.trusted,
        proto: if session.digest().is_some_and(|digest| digest.ssl_digest.is_some()) { "https" } else { "http" },
        host: intake::authority(client),
    };
    guard::headers::prepare_request(request, &forwarding)?;
    if let Some(force) = &server.force {
        request.remove_header(&force.header);
    }
    request.insert_header(X_REQUEST_ID, exchange.request_id.header_value())?;
    request.insert_header(TRACEPARENT, exchange.trace.header_value())?;
    if exchange.asks_service() {
        for_service(client, request, exchange)?;
    } else {
        to_origin_form(request)?;
    }
    if let Some(watch) = &exchange.watch {
        // The time for the answer starts again when the body has been sent.
        watch.within(Instant::now(), edition.pool(exchange.target).spec().timeouts.answer);
    }
    Ok(())
}

/// The target of an absolute-form request without its authority, which is in the Host header already.
fn to_origin_form(request: &mut RequestHeader) -> Result<()> {
    if request.raw_path().first() == Some(&b'/') {
        return Ok(());
    }
    let path = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let uri: Uri = path.parse().or_err(ErrorType::InternalError, "origin form")?;
    request.set_uri(uri);
    Ok(())
}

fn for_service(client: &RequestHeader, request: &mut RequestHeader, exchange: &Exchange) -> Result<()> {
    let entry = exchange.route();
    let Some(route) = &entry.route else { return to_origin_form(request) };
    let snapshot = &exchange.edition.snapshot;
    let normal = normalise(intake::path_bytes(client), &snapshot.matching)
        .map_err(|_| Error::explain(ErrorType::InternalError, "the path was normal when it was admitted"))?;
    let query = client.uri.query();
    let rewritten = match &route.rewrite.path {
        Some(rewrite) => Some(route.rewrite_path(rewrite, normal.text(), &snapshot.matching)),
        None => None,
    };
    let path = rewritten.as_deref().unwrap_or_else(|| normal.text());
    let unchanged = path.as_bytes() == intake::path_bytes(client) && request.raw_path().first() == Some(&b'/');
    if !unchanged {
        let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        request.set_uri(target.parse().or_err(ErrorType::InternalError, "a normal path is a valid target")?);
    }
    if let Some(host) = &route.rewrite.host {
        request.insert_header(header::HOST, host.clone())?;
    }
    edit(request, &route.rewrite.headers)?;
    if let Some(Side::Variant(index)) = exchange.side
        && let Some(variant) = entry.policy.variants.get(usize::from(index))
    {
        edit(request, &variant.headers)?;
    }
    request.insert_header(X_MULTILITH_ROUTE, &*route.name)?;
    request.insert_header(X_MULTILITH_SIDE, exchange.side_name())?;
    Ok(())
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
