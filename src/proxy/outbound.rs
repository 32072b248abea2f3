//! The request as an upstream gets it: what the client sent, with forwarding headers; for a service also the route's rewriting.

use std::io::Write as _;
use std::sync::Arc;

use super::exchange::Exchange;
use super::failure::Failure;
use crate::client::{Brief, CallContext, RemoteBrief};
use crate::compile::{Route, Snapshot};
use crate::endpoint::{Address, Source, UpstreamId};
use crate::guard;
use crate::guard::headers::ForwardedHeaders;
use crate::guard::identity::ClientIdentity;
use crate::message::{Fields, Framing, Name, RequestHead};
use crate::migration::{Policy, Side};
use crate::route::{Template, normalise_bytes};
use crate::telemetry::{RequestId, TraceContext};

const X_MULTILITH_ROUTE: &str = "X-Multilith-Route";
const X_MULTILITH_SIDE: &str = "X-Multilith-Side";
/// The bytes that W3C's trace context requires every hop to pass on at least.
const LONGEST_TRACESTATE: usize = 512;

/// Where a request goes, as far as it decides what is written in it. The same for the proxy, for copies and for `explain`.
pub struct Outbound<'a> {
    pub snapshot: &'a Snapshot,
    pub route: Option<&'a Route>,
    /// The one of the route's templates that took the path.
    pub template: Option<&'a Template>,
    pub policy: &'a Policy,
    pub side: Side,
    pub upstream: UpstreamId,
    pub forwarded: Option<&'a ForwardedHeaders>,
    /// The headers in which the servers of `auth` describe the client to the service.
    pub identity: Option<&'a ClientIdentity>,
    pub request_id: &'a RequestId,
    pub trace: TraceContext,
}

/// The head that the current attempt sends: a copy of the client's, which is clean, with what this upstream gets besides.
pub fn head(exchange: &Exchange) -> Result<RequestHead, Failure> {
    let entry = exchange.route();
    let outbound = Outbound {
        snapshot: &exchange.generation.snapshot,
        route: entry.route.as_deref(),
        template: exchange.found.map(|found| exchange.generation.snapshot.table.template(found)),
        policy: &entry.policy,
        side: exchange.side.unwrap_or(Side::Monolith),
        upstream: exchange.target,
        forwarded: exchange.forwarded.as_ref(),
        identity: exchange.identity.as_deref(),
        request_id: &exchange.request_id,
        trace: exchange.attempt_trace(),
    };
    let mut head = exchange.head.to_edit();
    outbound.write(&mut head)?;
    if exchange.upgrade {
        head.fields.set(Name::Connection, b"Upgrade");
    }
    if exchange.framing == Framing::Open
        && let Some(trailer) = exchange.head.fields.get(Name::Trailer)
    {
        // Trailers can pass: they are announced.
        head.fields.set(Name::Trailer, trailer);
    }
    Ok(head)
}

/// Facts for a target that is not a server of HTTP, beside the head that was written for it.
pub fn brief(exchange: &Exchange, head: &RequestHead) -> Brief {
    let template = exchange.found.map(|found| exchange.generation.snapshot.table.template(found));
    let route = exchange.route().route.as_deref();
    Brief {
        client: exchange.client,
        version: exchange.head.version,
        limit: exchange.timeouts().answer,
        end: exchange.attempt.end,
        remote: remote(route, template, head, &exchange.request_id),
    }
}

/// The call that the route makes of a request.
pub fn remote(
    route: Option<&Route>,
    template: Option<&Template>,
    head: &RequestHead,
    request_id: &RequestId,
) -> Option<Box<RemoteBrief>> {
    let (route, template) = (route?, template?);
    let call = route.call.as_ref()?;
    // A service is written the normalised path, which is ASCII.
    let path = String::from_utf8_lossy(head.path());
    // The header that a claim is forwarded in was removed from what the client sent.
    let subject = route.jwt.as_ref().and_then(|rule| rule.forward.iter().find(|(claim, _)| &**claim == "sub"));
    Some(Box::new(RemoteBrief {
        call: Arc::clone(call),
        arguments: call.arguments(&template.captures(&path), head),
        context: CallContext {
            call_id: format!("multilith.{}.{}", route.name, String::from_utf8_lossy(request_id.as_bytes())),
            user: subject.and_then(|(_, header)| head.fields.text(header.as_str())).map(str::to_owned),
            traceparent: head.fields.text(Name::Traceparent).map(str::to_owned),
            tracestate: tracestate(&head.fields),
        },
    }))
}

/// Participants may add lines of their own, which together are one list. A message has little room beside its body, so what does not
/// fit goes from the end of the list, where the oldest stand.
fn tracestate(fields: &Fields) -> Option<String> {
    let lines = fields.all(Name::Tracestate).filter_map(|line| std::str::from_utf8(line).ok());
    let mut list = String::new();
    for entry in lines.flat_map(|line| line.split(',')).map(str::trim).filter(|entry| !entry.is_empty()) {
        if list.len() + 1 + entry.len() > LONGEST_TRACESTATE {
            break;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(entry);
    }
    (!list.is_empty()).then_some(list)
}

impl Outbound<'_> {
    /// Writes what this upstream gets into a copy of the client's cleaned request.
    pub fn write(&self, head: &mut RequestHead) -> Result<(), Failure> {
        guard::headers::without_hop_by_hop(&mut head.fields);
        if let Some(forwarded) = self.forwarded {
            forwarded.write(&mut head.fields);
        }
        head.fields.set(Name::XRequestId, self.request_id.as_bytes());
        head.fields.set(Name::Traceparent, &self.trace.traceparent());
        let spec = self.snapshot.upstreams.get(self.upstream.index());
        if let Some(host) = spec.and_then(|spec| spec.host.as_deref()) {
            // Behind the forwarding fields, which name the client's.
            put_host(head, host.as_bytes());
        } else if !head.fields.has(Name::Host) {
            // A client of HTTP/1.0 need not name a host; what goes on is HTTP/1.1, where every server asks for one.
            head.fields.prepend(Name::Host, self.upstream_host().as_bytes());
        }
        if !self.trace.is_continued() {
            // It belongs to a trace that goes no further.
            head.fields.remove(Name::Tracestate);
        }
        match self.route {
            Some(route) if self.upstream != UpstreamId::MONOLITH => self.write_for_service(head, route),
            _ => {
                self.write_variant(head);
                Ok(())
            }
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

    fn write_for_service(&self, head: &mut RequestHead, route: &Route) -> Result<(), Failure> {
        let raw = head.path();
        // It was normal when it was admitted; an error here is one of ours.
        let normal = normalise_bytes(raw, &self.snapshot.matching).map_err(|_| Failure::Internal)?;
        let template = self.template.or_else(|| route.rule.paths.first());
        let rewritten = route.rewrite.path.as_ref().zip(template);
        let rewritten = rewritten.map(|(rewrite, template)| rewrite.expand(&template.captures(normal.as_str())));
        let path = rewritten.as_deref().unwrap_or_else(|| normal.as_str());
        if path.as_bytes() != raw {
            let mut target = path.as_bytes().to_vec();
            if let Some(query) = head.query() {
                write!(target, "?").expect("memory takes it");
                target.extend_from_slice(query);
            }
            head.set_target(&target);
        }
        guard::forged::remove(&mut head.fields, &route.identity.reserved);
        if let Some(host) = &route.rewrite.host {
            head.fields.set(Name::Host, host.as_bytes());
        }
        route.rewrite.headers.apply(&mut head.fields);
        if let Some(identity) = self.identity {
            identity.write(&mut head.fields);
        }
        self.write_variant(head);
        head.fields.set(X_MULTILITH_ROUTE, route.name.as_bytes());
        head.fields.set(X_MULTILITH_SIDE, self.side.name(self.policy).as_bytes());
        Ok(())
    }

    /// The changes of one variant of a split, also of one of the monolith.
    fn write_variant(&self, head: &mut RequestHead) {
        if let Side::Variant(index) = self.side
            && let Some(variant) = self.policy.variants.get(usize::from(index))
        {
            variant.headers.apply(&mut head.fields);
        }
    }
}

fn put_host(head: &mut RequestHead, host: &[u8]) {
    if head.fields.has(Name::Host) {
        head.fields.set(Name::Host, host);
    } else {
        head.fields.prepend(Name::Host, host);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{Method, Version};

    use super::*;
    use crate::compile::compile;
    use crate::guard::headers::{PeerFacts, clean};

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
path = "/other"
set = { X-Set = "1" }
remove = ["x-gone"]
"#;

    /// The head that the upstream of a route, or the monolith, is sent for this request.
    fn sent(target: &str, lines: &[(&str, &str)], route: Option<&str>) -> String {
        let snapshot = compile(FILE, "routes.toml", &|_| None).snapshot.expect("a good file");
        let mut head = RequestHead::new(Method::GET, Version::HTTP_11, target.as_bytes());
        for (name, value) in lines {
            head.fields.push_raw(name.as_bytes(), value.as_bytes());
        }
        let peer: IpAddr = "203.0.113.7".parse().unwrap();
        let arrival = PeerFacts { peer, tls: false, subject: None, trusted: &[], force: None, forwarded: false };
        let (_, forwarded) = clean(&mut head, &arrival);
        let route = route.and_then(|name| snapshot.routes.iter().find(|route| &*route.name == name));
        let none = super::super::generation::passing(&snapshot);
        let policy = route.map_or(&none, |route| &route.policy);
        let outbound = Outbound {
            snapshot: &snapshot,
            route: route.map(|route| &**route),
            template: None,
            policy,
            side: if route.is_some() { Side::Service } else { Side::Monolith },
            upstream: policy.service.unwrap_or(UpstreamId::MONOLITH),
            forwarded: forwarded.as_ref(),
            identity: None,
            request_id: &RequestId::made(7),
            trace: TraceContext::continue_or_start(&head.fields, 1, 1),
        };
        let mut head = head.to_edit();
        outbound.write(&mut head).expect("a head");
        let mut out = Vec::new();
        head.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    const ADDED: &str = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\n\
                         X-Forwarded-Host: a\r\nX-Forwarded-Port: 80\r\n";
    const MADE: &str = "X-Request-Id: 00000000000000000000000000000007\r\n\
                        traceparent: 00-00000000000000000000000000000001-0000000000000001-00\r\n";

    #[test]
    fn the_monolith_gets_what_came_with_what_is_said_of_the_client_behind_it() {
        let lines = [("hOsT", "a"), ("X-Two", "1"), ("Connection", "keep-alive"), ("x-two", "2"), ("Cookie", "c")];
        let head = sent("/a%20b?q={\"x\"}", &lines, None);
        let expected = format!(
            "GET /a%20b?q={{\"x\"}} HTTP/1.1\r\nhOsT: a\r\nX-Two: 1\r\nx-two: 2\r\nCookie: c\r\n{ADDED}{MADE}\r\n"
        );
        assert_eq!(head, expected);
    }

    #[test]
    fn a_service_gets_the_normal_path_the_route_s_edits_and_their_name() {
        let head = sent("/plain/%41", &[("Host", "a")], Some("plain"));
        assert!(head.starts_with("GET /plain/A HTTP/1.1\r\nHost: a\r\n"), "{head}");
        assert!(head.ends_with("X-Multilith-Route: plain\r\nX-Multilith-Side: service\r\n\r\n"), "{head}");
        let head = sent("/edited?q=1", &[("Host", "a"), ("X-Gone", "1")], Some("edited"));
        assert!(head.starts_with("GET /other?q=1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For"), "{head}");
        assert!(head.contains("\r\nX-Set: 1\r\n"), "{head}");
    }

    #[test]
    fn a_request_without_a_host_gets_that_of_its_upstream() {
        let head = sent("/other", &[], None);
        assert!(head.starts_with("GET /other HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"), "{head}");
    }

    #[test]
    fn the_lines_of_a_tracestate_are_one_list_of_which_a_call_takes_what_fits() {
        let of = |lines: &[&str]| tracestate(&lines.iter().map(|line| ("tracestate", *line)).collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["", " , "]), None);
        assert_eq!(of(&["a=1, b=2", "c=3"]).as_deref(), Some("a=1,b=2,c=3"));
        let long = format!("new=1,old={}", "x".repeat(LONGEST_TRACESTATE));
        assert_eq!(of(&[&long, "older=1"]).as_deref(), Some("new=1"));
    }
}
