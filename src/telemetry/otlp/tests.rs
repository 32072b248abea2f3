//! Against a stand-in collector that decodes what arrives with OpenTelemetry's own generated types.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};

use http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Metric as ReadMetric, NumberDataPoint, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;

use super::super::record::{CalleeRecord, Timings};
use super::super::trace::RequestId;
use super::*;

const LONG: Duration = Duration::from_secs(20);

/// One request that a collector got: its head and its body.
struct Got {
    head: String,
    body: Vec<u8>,
}

/// Listens like a collector over HTTP/1.1, and answers these statuses in turn, the last of them for ever.
fn collector(statuses: &'static [u16]) -> (String, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut answers = statuses.iter().copied().chain(std::iter::repeat(statuses[statuses.len() - 1]));
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            loop {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap_or(0) > 0 {}
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                let Some(length) = length else { break };
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let answer = format!("HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n", answers.next().unwrap());
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                if sender.send(Got { head, body }).is_err() {
                    return;
                }
            }
        }
    });
    (url, receiver)
}

fn tracer(url: &str, sample: u16) -> Tracer {
    let tracer = Tracer::new(Meters::new(&[1.0]).unwrap());
    let sample = Percent::from_hundredths(sample).unwrap();
    tracer.configure(&TracingSettings { otlp: Some(url.into()), sample }).unwrap();
    tracer
}

fn dropped(tracer: &Tracer) -> u64 {
    let page = String::from_utf8(tracer.metrics.encode().0).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("multilith_spans_dropped_total "));
    line.expect("there is a collector").parse().unwrap()
}

fn spans(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("the collector can decode it");
    request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|pair| pair.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    })
}

fn emit(tracer: &Tracer, trace: &TraceContext) {
    let request_id = RequestId::continue_or_make(Some(b"abc-1"), 0);
    let record = ExchangeRecord {
        method: "GET",
        scheme: "https",
        path: b"/api/users/\xff7",
        query: Some(b"token=s3cret"),
        hidden: &[],
        protocol: "2",
        host: "shop.example",
        user_agent: b"curl/8",
        referer: b"",
        client: Some("203.0.113.9".parse().unwrap()),
        status: 503,
        grpc: None,
        route: "read-user",
        stage: "canary",
        side: "monolith",
        reason: "bucket",
        upstream: "monolith",
        endpoint: "127.0.0.1:3000",
        attempts: 2,
        fallback: Some("connect"),
        fallback_status: None,
        shadow: None,
        error: Some(("upstream", "connect")),
        bytes_in: 3,
        bytes_out: 1234,
        timings: Timings { total: Duration::from_millis(40), ..Timings::default() },
        request_id: &request_id,
        trace,
        generation: 1,
    };
    tracer.request(&record, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    tracer.attempt(&AttemptRecord {
        trace: &trace.for_attempt(1),
        method: "GET",
        callee: None,
        route: "read-user",
        side: "service",
        upstream: "users",
        endpoint: "[::1]:7001",
        number: 1,
        status: 0,
        reused: true,
        error: Some("connect"),
        total: Duration::from_millis(2),
    });
    tracer.shadow(&ShadowRecord {
        trace: &trace.for_shadow(),
        method: "GET",
        callee: None,
        route: "read-user",
        upstream: "users",
        endpoint: "10.0.0.5:7001",
        outcome: "answered",
        status: 200,
        verdict: Some("mismatch"),
        total: Duration::from_millis(5),
    });
}

fn headers(traceparent: &'static str) -> Fields {
    Fields::from_iter([("traceparent", traceparent)])
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn check(spans: &[Span], trace: &TraceContext) {
    let [request, attempt, shadow] = spans else { panic!("three spans, not {}", spans.len()) };
    assert!(spans.iter().all(|span| span.trace_id == trace.trace_id()));
    assert_eq!((request.name.as_str(), request.kind()), ("GET read-user", SpanKind::Server));
    assert_eq!(request.span_id, trace.span_id());
    assert_eq!(request.parent_span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert_eq!(request.end_time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!(request.end_time_unix_nano - request.start_time_unix_nano, 40_000_000);
    assert_eq!(request.flags, 0x301, "sampled, with a parent elsewhere");
    assert_eq!(request.status.as_ref().map(|status| (status.code, status.message.as_str())), Some((2, "connect")));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "503"),
        ("url.path", "/api/users/\u{fffd}7"),
        ("url.query", "token=REDACTED"),
        ("client.address", "203.0.113.9"),
        ("http.response.body.size", "1234"),
        ("multilith.route", "read-user"),
        ("multilith.stage", "canary"),
        ("multilith.side", "monolith"),
        ("multilith.fallback", "connect"),
        ("multilith.request_id", "abc-1"),
        ("error.type", "connect"),
    ] {
        assert_eq!(attribute(&request.attributes, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!((attempt.name.as_str(), attempt.kind()), ("GET users", SpanKind::Client));
    assert_eq!(attempt.span_id, trace.for_attempt(1).span_id(), "the span that the endpoint was told of");
    assert_eq!(attempt.parent_span_id, trace.span_id());
    for (key, value) in [
        ("server.address", "::1"),
        ("server.port", "7001"),
        ("http.request.resend_count", "1"),
        ("multilith.connection.reused", "true"),
    ] {
        assert_eq!(attribute(&attempt.attributes, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!((shadow.name.as_str(), shadow.parent_span_id.as_slice()), ("shadow users", trace.span_id().as_slice()));
    assert_eq!(attribute(&shadow.attributes, "multilith.verdict").as_deref(), Some("mismatch"));
    assert_eq!(shadow.flags & 1, 0, "what the target was told, too");
    assert!(shadow.status.is_none());
}

#[test]
fn a_call_of_a_method_is_told_as_one_and_not_as_a_request_of_http() {
    let (url, got) = collector(&[200]);
    let tracer = tracer(&url, 0);
    let trace = tracer.begin(&headers(SAMPLED), 1, 2);
    let callee = Some(CalleeRecord::Method { system: "nameko", service: "greeting_service", method: "hello" });
    let attempt = AttemptRecord {
        trace: &trace.for_attempt(0),
        method: "GET",
        callee,
        route: "greet",
        side: "service",
        upstream: "greeter",
        endpoint: "127.0.0.1:5672",
        number: 0,
        status: 200,
        reused: true,
        error: None,
        total: Duration::from_millis(2),
    };
    tracer.attempt(&attempt);
    tracer.shadow(&ShadowRecord {
        trace: &trace.for_shadow(),
        method: "GET",
        callee,
        route: "greet",
        upstream: "next",
        endpoint: "127.0.0.1:5672",
        outcome: "answered",
        status: 200,
        verdict: None,
        total: Duration::from_millis(2),
    });
    assert!(tracer.close(LONG));
    let spans = spans(&got.recv_timeout(LONG).unwrap().body);
    let [call, copy] = &spans[..] else { panic!("two spans, not {}", spans.len()) };
    assert_eq!((call.name.as_str(), call.kind()), ("greeting_service/hello", SpanKind::Client));
    assert_eq!((copy.name.as_str(), copy.kind()), ("shadow next", SpanKind::Client));
    for span in &spans {
        for (key, value) in [
            ("rpc.system", Some("nameko")),
            ("rpc.service", Some("greeting_service")),
            ("rpc.method", Some("hello")),
            ("server.port", Some("5672")),
            ("http.request.method", None),
            ("http.response.status_code", None),
        ] {
            assert_eq!(attribute(&span.attributes, key).as_deref(), value, "{key} of {}", span.name);
        }
    }
}

#[test]
fn a_function_is_told_as_one_and_what_it_is_asked_as_a_request() {
    let (url, got) = collector(&[200]);
    let tracer = tracer(&url, 0);
    let trace = tracer.begin(&headers(SAMPLED), 1, 2);
    tracer.attempt(&AttemptRecord {
        trace: &trace.for_attempt(0),
        method: "GET",
        callee: Some(CalleeRecord::Function { name: "shop-quote:prod", region: "eu-central-1" }),
        route: "quote",
        side: "service",
        upstream: "quote",
        endpoint: "lambda.eu-central-1.amazonaws.com:443",
        number: 0,
        status: 200,
        reused: true,
        error: None,
        total: Duration::from_millis(2),
    });
    assert!(tracer.close(LONG));
    let spans = spans(&got.recv_timeout(LONG).unwrap().body);
    assert_eq!((spans.len(), spans[0].name.as_str()), (1, "GET quote"));
    for (key, value) in [
        ("faas.invoked_provider", "aws"),
        ("faas.invoked_name", "shop-quote:prod"),
        ("faas.invoked_region", "eu-central-1"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(attribute(&spans[0].attributes, key).as_deref(), Some(value), "{key}");
    }
}

#[test]
fn request_attempt_and_copy_reach_a_collector_over_http() {
    let (url, got) = collector(&[200]);
    let tracer = tracer(&url, 0);
    let trace = tracer.begin(&headers(SAMPLED), 1, 2);
    emit(&tracer, &trace);
    assert!(tracer.close(LONG));
    let got = got.recv_timeout(LONG).unwrap();
    let head = got.head.to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf\r\n") && head.contains("host: 127.0.0.1:"), "{head}");
    check(&spans(&got.body), &trace);
    let request = ExportTraceServiceRequest::decode(&*got.body).unwrap();
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some("multilith"));
    assert_eq!(request.resource_spans[0].scope_spans[0].scope.as_ref().unwrap().name, "multilith");
    assert_eq!(dropped(&tracer), 0);
}

#[test]
fn they_reach_a_collector_over_grpc_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    let (sender, got) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            // Another connection, if the first one did not get through in time.
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(mut connection) = h2::server::handshake(socket).await else { continue };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let (path, sender) = (request.uri().path().to_owned(), sender.clone());
                    let kind = request.headers()["content-type"].clone();
                    tokio::spawn(async move {
                        let (mut body, mut bytes) = (request.into_body(), Vec::new());
                        while let Some(Ok(chunk)) = body.data().await {
                            bytes.extend_from_slice(&chunk);
                            body.flow_control().release_capacity(chunk.len()).unwrap();
                        }
                        let mut answer = respond.send_response(http::Response::new(()), false).unwrap();
                        answer.send_data(bytes::Bytes::from_static(&[0; 5]), false).unwrap();
                        let status = (http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
                        answer.send_trailers(HeaderMap::from_iter([status])).unwrap();
                        sender.send((path, kind, bytes)).unwrap();
                    });
                }
            }
        });
    });
    let tracer = tracer(&url, 10_000);
    let trace = tracer.begin(&headers(SAMPLED), 1, 2);
    emit(&tracer, &trace);
    assert!(tracer.close(LONG));
    let (path, kind, bytes) = got.recv_timeout(LONG).unwrap();
    assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(kind, "application/grpc");
    let (frame, message) = bytes.split_at(5);
    assert_eq!((frame[0], u32::from_be_bytes(frame[1..].try_into().unwrap()) as usize), (0, message.len()));
    check(&spans(message), &trace);
    assert_eq!(dropped(&tracer), 0, "grpc-status 0 is success");
}

#[test]
fn without_a_collector_nothing_is_recorded() {
    let tracer = Tracer::new(Meters::new(&[1.0]).unwrap());
    let trace = tracer.begin(&headers(SAMPLED), 1, 2);
    assert!(!trace.is_recorded() && trace.is_sampled());
    emit(&tracer, &trace);
    assert!(tracer.close(Duration::ZERO));
    let page = String::from_utf8(tracer.metrics.encode().0).unwrap();
    assert!(!page.contains("spans"), "no collector, no series");
}

#[test]
fn a_collector_that_is_busy_is_asked_again() {
    let (url, got) = collector(&[503, 200]);
    let tracer = tracer(&url, 10_000);
    emit(&tracer, &tracer.begin(&Fields::new(), 1, 2));
    let bodies = [got.recv_timeout(LONG).unwrap().body, got.recv_timeout(LONG).unwrap().body];
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(dropped(&tracer), 0);
}

#[test]
fn spans_that_nobody_takes_are_dropped_and_counted() {
    let (url, got) = collector(&[400]);
    let refused = tracer(&url, 10_000);
    emit(&refused, &refused.begin(&Fields::new(), 1, 2));
    assert!(refused.close(LONG));
    assert_eq!(dropped(&refused), 3, "a batch that is wrong is not sent again");
    drop(got);

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = tracer(&format!("http://{closed}"), 10_000);
    let trace = unreachable.begin(&Fields::new(), 1, 2);
    for _ in 0..10_000 {
        emit(&unreachable, &trace);
    }
    assert!(dropped(&unreachable) > 0, "there is room for some thousand spans and no more");
    assert!(unreachable.close(LONG));
    assert_eq!(dropped(&unreachable), 30_000);
}

#[test]
fn settings_change_while_it_runs() {
    let ((first, first_got), (second, second_got)) = (collector(&[200]), collector(&[200]));
    let tracer = tracer(&first, 10_000);
    emit(&tracer, &tracer.begin(&Fields::new(), 1, 2));
    let to = |url: &str, sample| TracingSettings {
        otlp: Some(url.into()),
        sample: Percent::from_hundredths(sample).unwrap(),
    };
    assert!(tracer.configure(&to("nonsense", 10_000)).is_err());
    tracer.configure(&to(&second, 10_000)).unwrap();
    emit(&tracer, &tracer.begin(&Fields::new(), 1, 2));
    assert_eq!(spans(&first_got.recv_timeout(LONG).unwrap().body).len(), 3, "what was gathered is still sent");
    tracer.configure(&to(&second, 0)).unwrap();
    assert!(!tracer.begin(&Fields::new(), 1, 2).is_recorded());
    tracer.configure(&TracingSettings { otlp: None, sample: Percent::EVERYBODY }).unwrap();
    assert!(!tracer.begin(&Fields::new(), 1, 2).is_recorded());
    assert_eq!(spans(&second_got.recv_timeout(LONG).unwrap().body).len(), 3);
}

/// The reading that was sent when it was asked to end.
fn reading(metrics: &Arc<Meters>) -> (Got, Vec<ReadMetric>) {
    let (url, got) = collector(&[200]);
    let reader = MetricsReader::new(Arc::clone(metrics));
    reader.configure(Some(&url)).unwrap();
    assert!(reader.close(LONG), "the collector took them");
    let got = got.recv_timeout(LONG).expect("a reading");
    let request = ExportMetricsServiceRequest::decode(&*got.body).expect("the collector can decode it");
    let metrics = request.resource_metrics.into_iter().flat_map(|metrics| metrics.scope_metrics);
    (got, metrics.flat_map(|scope| scope.metrics).collect())
}

#[test]
fn the_metrics_of_the_page_reach_a_collector() {
    let metrics = Meters::new(&[0.1, 1.0]).unwrap();
    metrics.edge().retry("users", "reset");
    metrics.edge().retry("users", "reset");
    metrics.edge().monolith_only(true);
    let queue = metrics.queue("users", true).expect("it is limited");
    queue.waited(0.05);
    queue.waited(7.0);
    let (got, read) = reading(&metrics);
    assert!(got.head.starts_with("POST /v1/metrics HTTP/1.1\r\n"), "{}", got.head);
    let page = String::from_utf8(metrics.encode().0).unwrap();
    let on_the_page: std::collections::BTreeSet<_> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let names: std::collections::BTreeSet<_> = read.iter().map(|metric| &*metric.name).collect();
    assert_eq!(names, on_the_page);
    let find = |name: &str| read.iter().find(|metric| metric.name == name).expect(name);
    let Some(Data::Sum(retries)) = &find("multilith_retries_total").data else { panic!("no sum") };
    assert!(retries.is_monotonic && retries.aggregation_temporality == AggregationTemporality::Cumulative as i32);
    let reset = |point: &&NumberDataPoint| attribute(&point.attributes, "reason").as_deref() == Some("reset");
    let point = retries.data_points.iter().find(reset).expect("retries after a reset");
    assert_eq!(attribute(&point.attributes, "upstream").as_deref(), Some("users"));
    assert_eq!(point.value, Some(number_data_point::Value::AsDouble(2.0)));
    assert!(point.start_time_unix_nano > 0 && point.time_unix_nano >= point.start_time_unix_nano);
    let Some(Data::Gauge(button)) = &find("multilith_monolith_only").data else { panic!("no gauge") };
    assert_eq!(button.data_points[0].value, Some(number_data_point::Value::AsDouble(1.0)));
    let waits = read.iter().find(|metric| matches!(metric.data, Some(Data::Histogram(_)))).expect("a histogram");
    assert_eq!(waits.unit, "s", "{}", waits.name);
    let Some(Data::Histogram(waits)) = &waits.data else { panic!("no histogram") };
    let point = &waits.data_points[0];
    assert_eq!((point.count, point.sum, &*point.explicit_bounds), (2, Some(7.05), &[0.1, 1.0][..]));
    assert_eq!(point.bucket_counts, [1, 0, 1], "one below 0.1 s, one above all bounds");
}

#[test]
fn more_metrics_than_a_collector_takes_at_once_come_in_several_batches() {
    let metrics = Meters::new(&[1.0]).unwrap();
    for upstream in 0..8000 {
        metrics.edge().retry(&format!("an-upstream-with-a-long-name-{upstream}"), "reset");
    }
    let batches = readings::batches(&metrics.families(), readings::Span { began: 1, now: 2 });
    assert!(batches.len() > 1 && batches.iter().all(|batch| batch.len() < 2 * 1024 * 1024));
    let origin = resource::Origin::of_process(|_| None);
    let decoded = |batch: &Vec<u8>| ExportMetricsServiceRequest::decode(&*origin.batch(batch)).expect("a request");
    let points = |metric: ReadMetric| match metric.data {
        Some(Data::Sum(sum)) if metric.name == "multilith_retries_total" => sum.data_points.len(),
        _ => 0,
    };
    let scopes = batches.iter().map(decoded).flat_map(|request| request.resource_metrics);
    let all =
        scopes.flat_map(|metrics| metrics.scope_metrics).flat_map(|scope| scope.metrics).map(points).sum::<usize>();
    let page = String::from_utf8(metrics.encode().0).unwrap();
    assert_eq!(all, page.lines().filter(|line| line.starts_with("multilith_retries_total{")).count());
}
