//! Requests, attempts and copies as spans of OpenTelemetry, in the bytes that a collector reads. Spans of HTTP follow its conventions for
//! HTTP, calls of a method those for RPC.

use std::time::{Duration, SystemTime};

use super::super::access_log::redacted_query;
use super::super::record::{AttemptRecord, CalleeRecord, ExchangeRecord, ShadowRecord};
use super::super::trace::TraceContext;
use super::protobuf::Message;
use super::{nanoseconds, nanoseconds_since_1970};

/// `ScopeSpans.spans`.
pub(super) const SPANS: u32 = 2;

#[derive(Clone, Copy)]
enum Kind {
    Server = 2,
    Client = 3,
}

/// The parent is another program's span.
const REMOTE_PARENT: u32 = 0x300;
/// The parent is one of ours.
const LOCAL_PARENT: u32 = 0x100;

struct Span<'a> {
    trace: &'a TraceContext,
    /// Method, and what it asks for in words that are few.
    name: String,
    kind: Kind,
    flags: u32,
    now: SystemTime,
    total: Duration,
    error: Option<&'a str>,
}

/// One request as its client saw it.
pub(super) fn request(bytes: &mut Vec<u8>, record: &ExchangeRecord<'_>, now: SystemTime) {
    let failed = record.judged() >= 500 || record.status == 0;
    let span = Span {
        trace: record.trace,
        name: [record.method, record.route].join(" "),
        kind: Kind::Server,
        flags: if record.trace.is_continued() { REMOTE_PARENT } else { LOCAL_PARENT },
        now,
        total: record.timings.total,
        error: failed.then(|| record.error.map_or("", |(_, kind)| kind)),
    };
    span.write(bytes, |attributes| {
        attributes.text("http.request.method", record.method.as_bytes());
        attributes.text("url.scheme", record.scheme.as_bytes());
        attributes.text("url.path", clip(record.path));
        if let Some(query) = record.query {
            redacted_query(query, record.hidden, |query| attributes.text("url.query", clip(query)));
        }
        attributes.text("server.address", record.host.as_bytes());
        attributes.text("network.protocol.version", record.protocol.as_bytes());
        attributes.some_text("user_agent.original", clip(record.user_agent));
        if let Some(client) = record.client {
            attributes.text("client.address", client.to_string().as_bytes());
        }
        attributes.status(record.status);
        if let Some(status) = record.grpc {
            attributes.text("rpc.system", b"grpc");
            attributes.number("rpc.grpc.status_code", status.code().into());
        }
        attributes.number("http.request.body.size", record.bytes_in);
        attributes.number("http.response.body.size", record.bytes_out);
        attributes.text("multilith.route", record.route.as_bytes());
        attributes.text("multilith.stage", record.stage.as_bytes());
        attributes.text("multilith.side", record.side.as_bytes());
        attributes.text("multilith.reason", record.reason.as_bytes());
        attributes.some_text("multilith.upstream", record.upstream.as_bytes());
        attributes.some_text("multilith.fallback", record.fallback.unwrap_or("").as_bytes());
        attributes.some_text("multilith.shadow", record.shadow.unwrap_or("").as_bytes());
        attributes.text("multilith.request_id", record.request_id.as_str().as_bytes());
        if let Some((fault, kind)) = record.error {
            attributes.text("error.type", kind.as_bytes());
            attributes.text("multilith.error.fault", fault.as_bytes());
        }
    });
}

/// One attempt on an endpoint.
pub(super) fn attempt(bytes: &mut Vec<u8>, record: &AttemptRecord<'_>, now: SystemTime) {
    let span = Span {
        trace: record.trace,
        name: match record.callee {
            Some(CalleeRecord::Method { service, method, .. }) => [service, method].join("/"),
            _ => [record.method, record.upstream].join(" "),
        },
        kind: Kind::Client,
        flags: LOCAL_PARENT,
        now,
        total: record.total,
        error: record.error.or((record.status >= 500).then_some("")),
    };
    span.write(bytes, |attributes| {
        attributes.asked(record.method, record.callee, record.status);
        attributes.endpoint(record.endpoint);
        if record.number > 0 && !matches!(record.callee, Some(CalleeRecord::Method { .. })) {
            attributes.number("http.request.resend_count", record.number.into());
        }
        attributes.text("multilith.route", record.route.as_bytes());
        attributes.text("multilith.side", record.side.as_bytes());
        attributes.text("multilith.upstream", record.upstream.as_bytes());
        attributes.flag("multilith.connection.reused", record.reused);
        attributes.some_text("error.type", record.error.unwrap_or("").as_bytes());
    });
}

/// One copy.
pub(super) fn shadow(bytes: &mut Vec<u8>, record: &ShadowRecord<'_>, now: SystemTime) {
    let failure = (record.outcome != "answered").then_some(record.outcome);
    let span = Span {
        trace: record.trace,
        name: ["shadow", record.upstream].join(" "),
        kind: Kind::Client,
        flags: LOCAL_PARENT,
        now,
        total: record.total,
        error: failure.or((record.status >= 500).then_some("")),
    };
    span.write(bytes, |attributes| {
        attributes.asked(record.method, record.callee, record.status);
        attributes.endpoint(record.endpoint);
        attributes.text("multilith.route", record.route.as_bytes());
        attributes.text("multilith.upstream", record.upstream.as_bytes());
        attributes.text("multilith.shadow", record.outcome.as_bytes());
        attributes.some_text("multilith.verdict", record.verdict.unwrap_or("").as_bytes());
        attributes.some_text("error.type", failure.unwrap_or("").as_bytes());
    });
}

impl Span<'_> {
    fn write(&self, bytes: &mut Vec<u8>, attributes: impl FnOnce(&mut Attributes<'_, '_>)) {
        let end = nanoseconds_since_1970(self.now);
        Message::new(bytes).message(SPANS, |span| {
            span.bytes(1, self.trace.trace_id());
            span.bytes(2, self.trace.span_id());
            if let Some(parent) = self.trace.parent_id() {
                span.bytes(4, parent);
            }
            span.text(5, self.name.as_bytes());
            span.varint(6, self.kind as u64);
            span.fixed64(7, end.saturating_sub(nanoseconds(self.total)));
            span.fixed64(8, end);
            attributes(&mut Attributes { message: span, field: 9 });
            if let Some(error) = self.error {
                span.message(15, |status| {
                    if !error.is_empty() {
                        status.text(2, error.as_bytes());
                    }
                    status.varint(3, 2);
                });
            }
            span.fixed32(16, self.flags | u32::from(self.trace.is_sampled()));
        });
    }
}

/// Attributes of a span or a resource: a repeated field of that number.
pub(super) struct Attributes<'a, 'b> {
    pub(super) message: &'a mut Message<'b>,
    pub(super) field: u32,
}

impl Attributes<'_, '_> {
    pub(super) fn text(&mut self, key: &str, value: &[u8]) {
        self.attribute(key, |any| any.text(1, value));
    }

    fn some_text(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.attribute(key, |any| any.varint(3, value));
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.attribute(key, |any| any.varint(2, value.into()));
    }

    fn status(&mut self, status: u16) {
        if status > 0 {
            self.number("http.response.status_code", status.into());
        }
    }

    /// A request, by what became of it: a call of a method has neither a method nor a status of HTTP.
    fn asked(&mut self, method: &str, callee: Option<CalleeRecord<'_>>, status: u16) {
        match callee {
            Some(CalleeRecord::Method { system, service, method }) => {
                self.text("rpc.system", system.as_bytes());
                self.text("rpc.service", service.as_bytes());
                self.text("rpc.method", method.as_bytes());
                return;
            }
            Some(CalleeRecord::Function { name, region }) => {
                self.text("faas.invoked_provider", b"aws");
                self.text("faas.invoked_name", name.as_bytes());
                self.text("faas.invoked_region", region.as_bytes());
            }
            None => {}
        }
        self.text("http.request.method", method.as_bytes());
        self.status(status);
    }

    fn endpoint(&mut self, endpoint: &str) {
        match endpoint.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?))) {
            Some((host, port)) => {
                self.text("server.address", host.trim_matches(['[', ']']).as_bytes());
                self.number("server.port", port.into());
            }
            None => self.some_text("server.address", endpoint.as_bytes()),
        }
    }

    fn attribute(&mut self, key: &str, value: impl FnOnce(&mut Message<'_>)) {
        self.message.message(self.field, |pair| {
            pair.bytes(1, key.as_bytes());
            pair.message(2, value);
        });
    }
}

/// A request must not fill the queue with one text.
fn clip(text: &[u8]) -> &[u8] {
    text.get(..2048).unwrap_or(text)
}
