//! One exchange as one line: JSON with OpenTelemetry's names, common, or combined.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use super::super::record::ExchangeRecord;
use super::{redact, text};

/// Writes a JSON object without a line end.
pub(crate) fn json(line: &mut Vec<u8>, record: &ExchangeRecord<'_>, now: SystemTime) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(line, now.checked_sub(record.timings.total).unwrap_or(now));
    line.push(b'"');
    let mut object = Object { line };
    object.text("request_id", record.request_id.as_str().as_bytes());
    object.text("trace_id", &record.trace.trace_text());
    object.text("span_id", &record.trace.span_text());
    object.address("client.address", record.client);
    object.text("http.request.method", record.method.as_bytes());
    object.text("url.scheme", record.scheme.as_bytes());
    let (host, port) = split_port(record.host);
    object.text("server.address", host.as_bytes());
    if let Some(port) = port {
        object.number("server.port", port.into());
    }
    object.text("url.path", record.path);
    if let Some(query) = record.query {
        object.redacted("url.query", |redacted| redact::query(query, record.hidden, redacted));
    }
    object.text("network.protocol.version", record.protocol.as_bytes());
    object.some_text("user_agent.original", record.user_agent);
    if !record.referer.is_empty() {
        object.redacted("http.request.header.referer", |redacted| {
            redact::address(record.referer, record.hidden, redacted);
        });
    }
    if record.status > 0 {
        object.number("http.response.status_code", record.status.into());
    }
    if let Some(status) = record.grpc {
        object.number("rpc.grpc.status_code", status.code().into());
    }
    object.number("http.request.body.size", record.bytes_in);
    object.number("http.response.body.size", record.bytes_out);
    object.text("route", record.route.as_bytes());
    object.text("stage", record.stage.as_bytes());
    object.text("side", record.side.as_bytes());
    object.text("reason", record.reason.as_bytes());
    object.some_text("upstream", record.upstream.as_bytes());
    object.some_text("endpoint", record.endpoint.as_bytes());
    object.number("attempts", record.attempts.into());
    object.some_text("fallback", record.fallback.unwrap_or("").as_bytes());
    if let Some(status) = record.fallback_status {
        object.number("fallback_status", status.into());
    }
    object.some_text("shadow", record.shadow.unwrap_or("").as_bytes());
    object.seconds("queue_seconds", record.timings.queue);
    object.seconds("queue_wait_seconds", record.timings.queue_wait);
    object.seconds("connect_seconds", record.timings.connect);
    object.seconds("first_byte_seconds", record.timings.first_byte);
    object.seconds("duration_seconds", Some(record.timings.total));
    if let Some((fault, kind)) = record.error {
        object.text("error.type", kind.as_bytes());
        object.text("error.fault", fault.as_bytes());
    }
    object.number("generation", record.generation);
    line.push(b'}');
}

/// The NCSA common log format; `combined` adds Referer and User-Agent.
pub(crate) fn common(line: &mut Vec<u8>, record: &ExchangeRecord<'_>, now: SystemTime, combined: bool) {
    match record.client {
        Some(client) => write!(line, "{client}").expect("a vector takes any text"),
        None => line.push(b'-'),
    }
    line.extend_from_slice(b" - - [");
    local_time(line, now.checked_sub(record.timings.total).unwrap_or(now));
    line.extend_from_slice(b"] \"");
    text::common(line, record.method.as_bytes());
    line.push(b' ');
    text::common(line, record.path);
    if let Some(query) = record.query {
        line.push(b'?');
        with_scratch(|redacted| {
            redact::query(query, record.hidden, redacted);
            text::common(line, redacted);
        });
    }
    line.extend_from_slice(b" HTTP/");
    text::common(line, if record.protocol == "2" { b"2.0" } else { record.protocol.as_bytes() });
    line.extend_from_slice(b"\" ");
    text::number(line, record.status.into());
    line.push(b' ');
    text::number(line, record.bytes_out);
    if combined {
        line.extend_from_slice(b" \"");
        if record.referer.is_empty() {
            line.push(b'-');
        } else {
            with_scratch(|redacted| {
                redact::address(record.referer, record.hidden, redacted);
                text::common(line, redacted);
            });
        }
        line.extend_from_slice(b"\" \"");
        text::common(line, if record.user_agent.is_empty() { b"-" } else { record.user_agent });
        line.push(b'"');
    }
}

struct Object<'a> {
    line: &'a mut Vec<u8>,
}

impl Object<'_> {
    /// The names are ours and need no escaping.
    fn name(&mut self, name: &str) {
        self.line.extend_from_slice(b",\"");
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        text::json(self.line, value);
    }

    fn some_text(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    fn redacted(&mut self, name: &str, redact: impl FnOnce(&mut Vec<u8>)) {
        with_scratch(|redacted| {
            redact(redacted);
            self.text(name, redacted);
        });
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        text::number(self.line, value);
    }

    fn seconds(&mut self, name: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.name(name);
            text::seconds(self.line, value);
        }
    }

    fn address(&mut self, name: &str, value: Option<std::net::IpAddr>) {
        if let Some(value) = value {
            self.name(name);
            write!(self.line, "\"{value}\"").expect("a vector takes any text");
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SECOND: RefCell<Second> = const { RefCell::new(Second { since_1970: u64::MAX, text: String::new() }) };
}

fn with_scratch(use_it: impl FnOnce(&mut Vec<u8>)) {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        use_it(scratch);
    });
}

/// The calendar is worked out once a second and thread.
struct Second {
    since_1970: u64,
    text: String,
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn timestamp(line: &mut Vec<u8>, moment: SystemTime) {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|second| {
        if second.since_1970 != since.as_secs() {
            second.since_1970 = since.as_secs();
            second.text = calendar(since.as_secs()).strftime("%Y-%m-%dT%H:%M:%S.").to_string();
        }
        line.extend_from_slice(second.text.as_bytes());
    });
    let mut rest = since.subsec_millis();
    for place in [100, 10, 1] {
        line.push(b'0' + u8::try_from(rest / place).expect("a digit is below 10"));
        rest %= place;
    }
    line.push(b'Z');
}

/// `10/Oct/2000:13:55:36 +0000`: always in UTC, so that lines of all replicas can be laid beside one another.
fn local_time(line: &mut Vec<u8>, moment: SystemTime) {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    write!(line, "{}", calendar(since.as_secs()).strftime("%d/%b/%Y:%H:%M:%S +0000")).expect("a vector takes any text");
}

fn calendar(since_1970: u64) -> jiff::Zoned {
    let second = i64::try_from(since_1970).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX).to_zoned(jiff::tz::TimeZone::UTC)
}

fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}
