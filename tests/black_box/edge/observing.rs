//! What the proxy says about its traffic: the access log, spans, the live stream, and a page of metrics that cannot be blown up.

use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serde_json::Value;

use crate::harness::{Client, Edge, Gate, Origin, PATIENCE, Reply, eventually, http2_service, read_body};

const USERS: &str = "[routes.read-user]\npath = \"/api/users/{id}\"\nservice = \"users\"\nstage = \"migrated\"";

#[test]
fn each_exchange_is_one_line_of_the_access_log_under_its_request_id() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let path = std::env::temp_dir().join(format!("multilith-access-{}.log", std::process::id()));
    let logs = format!("[logs]\noutput = {:?}", path.to_str().unwrap());
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).with(&logs).start();
    let answer = edge.client().request("GET", "/api/users/7?token=s3cret&page=2", &["User-Agent: a\"b"]);
    let id = answer.get("x-request-id").unwrap().to_owned();
    let line = eventually("the line", || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        text.lines().find(|line| line.contains(&id)).map(ToOwned::to_owned)
    });
    fs::remove_file(&path).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/api/users/7"),
        ("url.query", "token=REDACTED&page=2"),
        ("user_agent.original", "a\"b"),
        ("client.address", "127.0.0.1"),
        ("route", "read-user"),
        ("stage", "migrated"),
        ("side", "service"),
        ("upstream", "users"),
        ("request_id", &id),
    ] {
        assert_eq!(line[key], *value, "{key} in {line}");
    }
    assert_eq!(line["http.response.status_code"], 200);
    assert_eq!(line["http.response.body.size"], 7);
    assert_eq!(users.request().get("x-request-id"), Some(&*id), "the service has the same id");
}

/// The clock is read once in a turn of a request's task, and anew behind each wait.
#[test]
fn what_a_request_waited_for_is_in_the_time_of_its_own_part() {
    const PAUSE: Duration = Duration::from_millis(150);
    let (first, rest) = (Gate::new(), Gate::new());
    let (opens_first, opens_rest) = (first.clone(), rest.clone());
    let monolith = Origin::start(move |request| match request.target() {
        b"/held" => Reply::default().when(&opens_first).then("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        _ => Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").when(&opens_rest).then("half"),
    });
    let edge = Edge::before(&monolith).monolith("max_in_flight = 1").start();
    let asks = |target: &str| {
        let mut client = edge.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client
    };
    let passes = |from: Instant| eventually("the pause", || (from.elapsed() >= PAUSE).then_some(()));

    let mut held = asks("/held");
    monolith.await_requests(1);
    let mut waiting = asks("/in-two");
    eventually("a request in the queue", || {
        (edge.metric("multilith_queue_length", &[("upstream", "monolith")]) > 0.5).then_some(())
    });
    passes(Instant::now());
    first.open();
    assert_eq!((held.response().status(), waiting.head().content_length()), (200, Some(8)));
    passes(Instant::now());
    rest.open();
    assert_eq!(waiting.exactly(8), b"halfhalf");

    let line: Value = serde_json::from_str(&edge.await_log_line(&["/in-two"])).expect("a line of JSON");
    let seconds = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key} in {line}"));
    let (waited, first_byte, total) =
        (seconds("queue_wait_seconds"), seconds("first_byte_seconds"), seconds("duration_seconds"));
    assert!(waited >= PAUSE.as_secs_f64(), "{line}");
    assert!(seconds("queue_seconds") >= waited, "the attempt begins behind the wait: {line}");
    assert!(total >= seconds("queue_seconds") + first_byte + PAUSE.as_secs_f64(), "each part once: {line}");
}

#[test]
fn the_line_of_a_refused_request_says_who_sent_it() {
    let monolith = Origin::saying("monolith");
    let edge = Edge::before(&monolith).start();
    for (request, status) in [
        ("GET /no-host HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET /long HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(20_000)), 431),
    ] {
        let mut client = edge.client();
        client.send(&request);
        let response = client.response();
        assert_eq!(response.status(), status);
        edge.await_log_line(&[response.get("x-request-id").unwrap(), "\"client.address\":\"127.0.0.1\""]);
    }
}

/// An origin that listens as a collector of OpenTelemetry does.
fn spans(collector: &Origin) -> Vec<Span> {
    let batches = collector.requests();
    batches
        .iter()
        .flat_map(|batch| {
            ExportTraceServiceRequest::decode(&*batch.body).expect("a collector can decode it").resource_spans
        })
        .flat_map(|spans| spans.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

#[test]
fn a_trace_leads_from_the_client_through_request_and_attempt_to_the_service() {
    let (monolith, users, collector) = (Origin::saying("monolith"), Origin::saying("service"), Origin::saying(""));
    let tracing = format!("[tracing]\notlp = \"{}\"\nsample = \"0%\"", collector.url());
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).with(&tracing).start();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    edge.client().request("GET", "/api/users/7", &[&format!("traceparent: {parent}")]);
    edge.get("/api/users/8");
    let spans = eventually("two spans", || Some(spans(&collector)).filter(|spans| spans.len() >= 2));
    assert_eq!(spans.len(), 2, "the request without a trace is not in the sample");
    let request = spans.iter().find(|span| span.name == "GET read-user").expect("a span of the request");
    let attempt = spans.iter().find(|span| span.name == "GET users").expect("a span of the attempt");
    assert_eq!(hex(&request.trace_id), parent[3..35]);
    assert_eq!(hex(&request.parent_span_id), parent[36..52]);
    assert_eq!(attempt.parent_span_id, request.span_id);
    let told = users.requests()[0].get("traceparent").unwrap().to_owned();
    assert_eq!(told, format!("00-{}-{}-01", hex(&attempt.trace_id), hex(&attempt.span_id)));
}

/// Every message that a collector over gRPC gets, as its body.
fn grpc_collector() -> (String, Receiver<Vec<u8>>) {
    let (sender, got) = mpsc::channel();
    let address = http2_service(move |request, mut respond| {
        let sender = sender.clone();
        async move {
            let mut bytes = read_body(&mut request.into_body()).await;
            let mut answer = respond.send_response(http::Response::new(()), false).expect("the proxy listens");
            answer.send_data(bytes::Bytes::from_static(&[0; 5]), false).expect("the proxy listens");
            let status = (http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("0"));
            answer.send_trailers(http::HeaderMap::from_iter([status])).expect("the proxy listens");
            // Behind the length-prefix of gRPC. The test may have seen enough.
            let _ = sender.send(bytes.split_off(5));
        }
    });
    (format!("grpc://{address}"), got)
}

#[test]
fn request_attempts_and_copy_reach_a_collector_over_grpc() {
    let (monolith, users) = (Origin::saying("same"), Origin::saying("same"));
    let (url, got) = grpc_collector();
    let tracing = format!("[tracing]\notlp = \"{url}\"\nsample = \"100%\"");
    let route = format!("{}\n[routes.read-user.shadow]\ncompare = {{}}", USERS.replace("migrated", "shadow"));
    let edge = Edge::before(&monolith).service("users", &users).with(&route).with(&tracing).start();
    edge.get("/api/users/7");
    let mut spans = Vec::new();
    while spans.len() < 3 {
        let message = got.recv_timeout(PATIENCE).expect("a batch of spans");
        let batch = ExportTraceServiceRequest::decode(&*message).expect("a collector can decode it");
        spans
            .extend(batch.resource_spans.into_iter().flat_map(|spans| spans.scope_spans).flat_map(|scope| scope.spans));
    }
    let attempt = |span: &&Span| span.kind == SpanKind::Client as i32;
    let request = spans.iter().find(|span| span.kind == SpanKind::Server as i32).expect("a span of the request");
    assert_eq!(spans.iter().filter(attempt).count(), 2, "one to the monolith, one copy: {spans:?}");
    for span in spans.iter().filter(attempt) {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&request.trace_id, &request.span_id), "{span:?}");
    }
    let copy = users.request();
    let told = copy.get("traceparent").expect("a copy carries the trace");
    assert!(
        told.contains(&hex(&request.trace_id)) && told.ends_with("-00"),
        "not sampled, so that it is no traffic: {told}"
    );
}

#[test]
fn a_route_that_leaves_the_file_leaves_the_page_and_buckets_are_those_of_the_file() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let buckets = "[metrics]\nbuckets = [0.0002, 0.5, 60]";
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).with(buckets).start();
    edge.get("/api/users/7");
    let named = |word: &str| series(&edge).into_iter().filter(|series| series.contains(word)).collect::<Vec<_>>();
    let bounds = eventually("the request to be counted", || {
        let all = named("request_duration_seconds_bucket").into_iter().filter(|series| series.contains("read-user"));
        let bounds: Vec<_> =
            all.filter_map(|series| Some(series.split("le=\"").nth(1)?.split('"').next()?.to_owned())).collect();
        (!bounds.is_empty()).then_some(bounds)
    });
    assert_eq!(
        bounds.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(["0.0002", "0.5", "60", "+Inf"])
    );
    let file = fs::read_to_string(edge.path()).unwrap();
    let users_table = format!("[services.users]\nurl = \"{}\"\n", users.url());
    edge.replace_file(&file.replace(USERS, "").replace(&users_table, ""));
    eventually("the new file to be in force", || (edge.generation() == 2).then_some(()));
    assert_eq!(named("\"read-user\""), Vec::<String>::new());
    assert_eq!(named("upstream=\"users\""), Vec::<String>::new());
    assert!(!named("\"unmatched\"").is_empty());
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

#[test]
fn a_watcher_sees_the_requests_it_asks_for_as_they_happen() {
    let monolith = Origin::start(|request| match request.target() {
        b"/missing" => Reply::status("404 Not Found", &[], "no"),
        _ => Reply::ok("yes"),
    });
    let edge = Edge::before(&monolith).start();
    let mut watcher = Client::connect(edge.admin_address());
    let host = edge.admin_address();
    watcher.send(format!("GET /api/v1/events?status=4xx HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let head = watcher.head();
    assert_eq!(head.get("content-type"), Some("text/event-stream"));
    assert_eq!(watcher.chunk(), b": watching\n\n");
    edge.get("/there");
    edge.get("/missing");
    let event = String::from_utf8(watcher.chunk()).unwrap();
    let data = event.strip_prefix("event: request\ndata: ").expect("an event of a request");
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&data["url.path"], &data["http.response.status_code"]), (&"/missing".into(), &404.into()));

    let mut wrong = Client::connect(edge.admin_address());
    let refused = wrong.request("GET", "/api/v1/events?status=lots", &[&format!("Host: {host}")]);
    assert_eq!(refused.status(), 400);
}

#[test]
fn queries_of_the_api_may_be_percent_encoded() {
    let monolith = Origin::saying("monolith");
    let edge = Edge::before(&monolith).start();
    let status: Value = serde_json::from_slice(&edge.admin("GET", "/api/v1/status?since=1%6D").body).unwrap();
    assert_eq!(status["window_seconds"], 60.0);
    assert_eq!(edge.admin("GET", "/api/v1/progress?since=2%34h").status(), 200);
    // What `curl --get --data-urlencode client=::1` sends.
    let mut watcher = Client::connect(edge.admin_address());
    let host = edge.admin_address();
    watcher.send(format!("GET /api/v1/events?client=%3A%3A1 HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(watcher.head().get("content-type"), Some("text/event-stream"));
}

#[test]
fn moves_and_reloads_are_in_the_live_stream() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).start();
    let mut watcher = Client::connect(edge.admin_address());
    watcher.send(format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", edge.admin_address()));
    watcher.head();
    watcher.chunk();
    let file = fs::read_to_string(edge.path()).unwrap();
    edge.replace_file(&file.replace("migrated", "canary\"\nweight = \"10%"));
    let mut heard = String::new();
    while !(heard.contains("event: move\n") && heard.contains("event: reload\n")) {
        heard.push_str(&String::from_utf8(watcher.chunk()).unwrap());
    }
    assert!(heard.contains("\"from\":{\"stage\":\"migrated\",\"service\":1.0}"), "{heard}");
    assert!(heard.contains("\"to\":{\"stage\":\"canary\",\"service\":0.1}"), "{heard}");
}

/// The series of the page, without their values.
fn series(edge: &Edge) -> BTreeSet<String> {
    let page = edge.admin("GET", "/metrics").text();
    let lines = page.lines().filter(|line| line.starts_with("multilith_"));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

#[test]
fn whatever_clients_send_the_number_of_series_does_not_grow() {
    const CLIENTS: u32 = 4;
    /// A hundred thousand in all.
    const REQUESTS: u32 = 25_000;
    /// In flight at once on one connection.
    const BATCH: u32 = 100;
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let quiet = "[logs]\nformat = \"off\"";
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).with(quiet).start();
    let send = |client: &mut Client, from: u32, to: u32| {
        let mut text = String::new();
        for n in from..to {
            let target = if n % 2 == 0 { format!("/api/users/{n}") } else { format!("/path-{n}?q={n}") };
            let method = if n % 5 == 0 { format!("METHOD{n}") } else { "GET".to_owned() };
            let fields = format!("Host: host-{n}.example\r\nX-Header-{n}: {n}\r\n");
            text.extend([&*method, " ", &*target, " HTTP/1.1\r\n", &*fields, "\r\n"]);
        }
        client.send(text);
        for _ in from..to {
            assert_eq!(client.response().status(), 200);
        }
    };
    send(&mut edge.client(), 0, BATCH);
    let before = eventually("the first answers to be counted", || {
        let counted = edge.metric("multilith_requests_total", &[("code", "200")]);
        (counted >= f64::from(BATCH)).then(|| series(&edge))
    });
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (edge, send) = (&edge, &send);
            scope.spawn(move || {
                let mut connection = edge.client();
                let first = (client + 1) * 1_000_000;
                for batch in 0..REQUESTS / BATCH {
                    send(&mut connection, first + batch * BATCH, first + (batch + 1) * BATCH);
                }
            });
        }
    });
    let after = eventually("all answers to be counted", || {
        let counted = edge.metric("multilith_requests_total", &[("code", "200")]);
        (counted >= f64::from(CLIENTS * REQUESTS + BATCH)).then(|| series(&edge))
    });
    assert_eq!(before, after);
}
