//! The request as an upstream gets it: what the client sent, with forwarding headers; for a service also the route's rewriting.

use bytes::{BufMut, BytesMut};
use http::{HeaderName, HeaderValue, Method, Version, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OrErr, Result};

use super::exchange::Exchange;
use super::panic::{Hook, caught};
use super::{Edge, intake};
use crate::compile::Snapshot;
use crate::endpoint::{Address, Source, UpstreamId};
use crate::guard::headers::{Introduction, put_line};
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
    pub trace: TraceContext,
}

/// Makes the upstream's head of a copy of the client's, which is clean and has no hop-by-hop headers.
pub fn prepare(request: &mut RequestHeader, exchange: &Exchange) -> Result<()> {
    if let Some(introduction) = &exchange.introduction {
        introduction.write(request);
    }
    of(exchange).write(request)
}

/// The head of a request of the express way to which more than lines is added.
pub fn head(edge: &Edge, session: &Session, exchange: &mut Exchange) -> Result<Box<RequestHeader>> {
    let mut request = Box::new(session.req_header().clone());
    if request.version == Version::HTTP_2
        && !request.headers.contains_key(header::HOST)
        && let Some(authority) = request.uri.authority().map(ToString::to_string)
    {
        request.insert_header(header::HOST, authority)?;
    }
    request.set_version(Version::HTTP_11);
    if !exchange.upgrade {
        // The only header of the connection that a request of this way may have.
        request.remove_header(&header::CONNECTION);
    }
    caught(edge, Hook::Outbound, exchange, |exchange| prepare(&mut request, exchange))?;
    Ok(request)
}

/// What [`prepare`] makes, at once as the text that an upstream of HTTP/1 gets, for a request to which nothing but lines is added.
pub fn text(request: &RequestHeader, exchange: &Exchange) -> Option<BytesMut> {
    exchange.introduction.as_ref().and_then(|introduction| of(exchange).text(request, introduction))
}

fn of(exchange: &Exchange) -> Outbound<'_> {
    let entry = exchange.route();
    Outbound {
        snapshot: &exchange.edition.snapshot,
        route: entry.route.as_deref(),
        template: exchange.found.map(|found| exchange.edition.snapshot.table.template(found)),
        policy: &entry.policy,
        side: exchange.side.unwrap_or(Side::Monolith),
        upstream: exchange.target,
        request_id: &exchange.request_id,
        trace: exchange.attempt_trace(),
    }
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

    fn text(&self, request: &RequestHeader, introduction: &Introduction) -> Option<BytesMut> {
        // Room for a usual head with what is added to it.
        const ROOM: usize = 1024;
        let service = self.route.filter(|_| self.upstream != UpstreamId::MONOLITH);
        let variant = match self.side {
            Side::Variant(index) => self.policy.variants.get(usize::from(index)),
            _ => None,
        };
        let authority = if request.headers.contains_key(header::HOST) { None } else { Some(request.uri.authority()?) };
        // Of a HEAD, pingora has to know that no body comes.
        let plain = request.method != Method::HEAD
            && variant.is_none_or(|variant| variant.headers.is_empty())
            && service.is_none_or(|route| route.rewrite.is_empty() && self.is_normal(request));
        if !plain {
            return None;
        }
        let mut head = BytesMut::with_capacity(ROOM);
        head.put_slice(request.method.as_str().as_bytes());
        head.put_slice(b" ");
        head.put_slice(request.raw_path());
        head.put_slice(b" HTTP/1.1\r\n");
        if let Some(authority) = authority {
            put_line(&mut head, b"Host", authority.as_str().as_bytes());
        }
        let mut put = |name: &[u8], value: &HeaderValue| {
            if !self.replaces(name) {
                put_line(&mut head, name, value.as_bytes());
            }
        };
        if request.has_case() {
            request.case_header_iter().for_each(|(name, value)| put(name.as_slice(), value));
        } else {
            request.headers.iter().for_each(|(name, value)| put(name.as_str().as_bytes(), value));
        }
        introduction.put(request, &mut head);
        put_line(&mut head, X_REQUEST_ID.as_bytes(), self.request_id.as_bytes());
        put_line(&mut head, TRACEPARENT.as_bytes(), &self.trace.traceparent());
        if let Some(route) = service {
            put_line(&mut head, X_MULTILITH_ROUTE.as_bytes(), route.name.as_bytes());
            put_line(&mut head, X_MULTILITH_SIDE.as_bytes(), self.side.name(self.policy).as_bytes());
        }
        head.put_slice(b"\r\n");
        Some(head)
    }

    /// Nothing of the path is changed for a service.
    fn is_normal(&self, request: &RequestHeader) -> bool {
        let raw = intake::path_bytes(request);
        normalise_bytes(raw, &self.snapshot.matching).is_ok_and(|normal| normal.as_str().as_bytes() == raw)
    }

    /// Whether a line of the client's is left out, because we write it or because it is about the client's connection.
    fn replaces(&self, name: &[u8]) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match name.len() {
            10 => is("connection") || is("tracestate") && !self.trace.is_continued(),
            11 => is(TRACEPARENT),
            12 => is(X_REQUEST_ID),
            _ => false,
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::compile::compile;
    use crate::guard::headers::{Arrival, clean};

    const FILE: &str = r#"
[monolith]
url = "http://127.0.0.1:1"
[services.users]
url = "http://127.0.0.1:2"
[routes.plain]
path = "/plain/{*rest}"
stage = "migrated"
service = "users"
[routes.edited]
path = "/edited"
stage = "migrated"
service = "users"
[routes.edited.rewrite]
set = { X-Set = "1" }
"#;

    fn snapshot() -> Snapshot {
        compile(FILE, "routes.toml", &|_| None).snapshot.expect("a good file")
    }

    fn request(target: &str, lines: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for (name, value) in lines {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    /// Both ways of writing the head of this request for the upstream of a route, or for the monolith: the text and the lines.
    fn both(mut request: RequestHeader, route: Option<&str>, peer: &str) -> (Option<String>, Vec<String>) {
        let snapshot = snapshot();
        let peer: IpAddr = peer.parse().unwrap();
        let arrival = Arrival { peer, tls: false, subject: None, trusted: &[], force: None };
        let (_, introduction) = clean(&mut request, &arrival);
        let route = route.and_then(|name| snapshot.routes.iter().find(|route| &*route.name == name));
        let none = super::super::edition::passing(&snapshot);
        let policy = route.map_or(&none, |route| &route.policy);
        let outbound = Outbound {
            snapshot: &snapshot,
            route: route.map(|route| &**route),
            template: None,
            policy,
            side: if route.is_some() { Side::Service } else { Side::Monolith },
            upstream: policy.service.unwrap_or(UpstreamId::MONOLITH),
            request_id: &RequestId::made(7),
            trace: TraceContext::continue_or_start(&request.headers, 1, 1),
        };
        let text = introduction.as_ref().and_then(|introduction| outbound.text(&request, introduction));
        let text = text.map(|text| String::from_utf8(text.to_vec()).unwrap());
        request.remove_header(&header::CONNECTION);
        if let Some(introduction) = &introduction {
            introduction.write(&mut request);
        }
        outbound.write(&mut request).unwrap();
        let mut bytes = Vec::new();
        request.header_to_h1_wire(&mut bytes);
        let mut lines: Vec<_> = String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        (text, lines)
    }

    #[test]
    fn the_text_of_a_head_says_what_its_maps_say() {
        let continued = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let heads: [&[(&'static str, &'static str)]; 5] = [
            &[("hOsT", "shop.example:80"), ("Accept", "*/*")],
            &[
                ("Host", "a"),
                ("Connection", "keep-alive"),
                ("X-Request-ID", "mine"),
                ("Cookie", "a=b"),
                ("Cookie", "c=d"),
            ],
            &[("Host", "a"), ("Traceparent", continued), ("Tracestate", "a=b")],
            &[("Host", "a"), ("traceparent", "nonsense"), ("tracestate", "a=b"), ("X-Twice", "1"), ("x-twice", "2")],
            &[("Host", ""), ("X-Multilith-Side", "service"), ("X-Forwarded-Port", "1")],
        ];
        for (target, route) in [("/other?q=1", None), ("/plain/7?a=%20b", Some("plain")), ("/plain/", Some("plain"))] {
            for lines in heads {
                for peer in ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1"] {
                    let (text, expected) = both(request(target, lines), route, peer);
                    let text = text.expect("nothing but lines is added");
                    let (first, rest) = text.split_once("\r\n").unwrap();
                    assert_eq!(first, format!("GET {target} HTTP/1.1"));
                    let mut got: Vec<_> = rest.strip_suffix("\r\n\r\n").unwrap().split("\r\n").collect();
                    got.sort_unstable();
                    assert_eq!(got, expected, "{target} {lines:?} {peer}");
                }
            }
        }
    }

    #[test]
    fn what_is_rewritten_or_said_already_goes_the_long_way() {
        let host = ("Host", "a");
        assert!(both(request("/edited", &[host]), Some("edited"), "::1").0.is_none(), "a header is set");
        assert!(both(request("/plain/%41", &[host]), Some("plain"), "::1").0.is_none(), "the path is not normal");
        assert!(both(request("/plain/%41", &[host]), None, "::1").0.is_some(), "the monolith gets it as it came");
        assert!(both(request("/plain/x", &[]), Some("plain"), "::1").0.is_none(), "a host is added");
        for name in ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-IP"] {
            assert!(both(request("/plain/x", &[host, (name, "x")]), Some("plain"), "::1").0.is_none(), "{name}");
        }
        let mut head = request("/plain/x", &[host]);
        head.set_method(Method::HEAD);
        assert!(both(head, Some("plain"), "::1").0.is_none(), "pingora has to know that no body comes");
    }

    #[test]
    fn a_route_that_reads_what_the_edge_says_is_known() {
        let reads = |more: &str| {
            let file = format!(
                "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.users]\nurl = \"http://127.0.0.1:2\"\n[routes.a]\npath = \"/a\"\n\
                 service = \"users\"\nstage = \"canary\"\nweight = \"5%\"\n{more}"
            );
            let compiled = compile(&file, "routes.toml", &|_| None);
            let snapshot = compiled.snapshot.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
            super::super::edition::reads_introductions(&snapshot.routes[0])
        };
        assert!(!reads(""));
        assert!(!reads("headers = { x-user = \"1\" }\n"));
        assert!(reads("headers = { X-Forwarded-Proto = \"https\" }\n"));
        assert!(reads("sticky = [\"header:x-real-ip\"]\n"));
        assert!(reads("rate_limit = { per = \"header:Forwarded\", rate = \"5/s\" }\n"));
    }
}
