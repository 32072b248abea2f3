//! Calls of gRPC: how they end is told by `grpc-status`, and everything that a 5xx sets off, six of its values set off, too.

use serde_json::Value;

use crate::harness::{Edge, PATIENCE, Process, eventually, free_address};
use crate::stages::calls::{Answer, GrpcOrigin, call};

const PATH: &str = "/shop.Catalog/GetItem";
const WRITE: &str = "/shop.Catalog/PutItem";

fn saying(who: &'static str) -> GrpcOrigin {
    GrpcOrigin::start(move |_| Answer::Messages(vec![who.into()], 0, ""))
}

fn between(monolith: &GrpcOrigin, service: &GrpcOrigin, route: &str) -> Edge {
    Edge::before_address(monolith.address())
        .monolith("http = \"2\"")
        .with(&format!(
            "[services.new]\n{}[routes.calls]\npath = \"/shop.Catalog/{{*rest}}\"\nservice = \"new\"\n{route}\n",
            service.lines()
        ))
        .start()
}

const CANARY: &str = "stage = \"canary\"\nweight = \"100%\"\nbreaker = { failures = 1000 }\n";
const DECLARED: &str = "safe_methods = [\"/shop.Catalog/Get*\"]\n";

fn requests(edge: &Edge, side: &str, code: &str) -> f64 {
    edge.metric("multilith_requests_total", &[("route", "calls"), ("side", side), ("code", code)])
}

/// The route on the board, once so many requests are on it.
fn board(edge: &Edge, side: &str, requests: u64) -> Value {
    eventually("the requests on the board", || {
        let status = edge.admin_json("GET", "/api/v1/status").1;
        Some(status["routes"][0].clone()).filter(|route| route["requests"][side] == requests)
    })
}

#[test]
fn a_call_is_counted_by_its_status_wherever_it_stands() {
    let monolith = saying("monolith");
    let cases: [(&str, Answer, u16, &str, bool); 9] = [
        ("trailers", Answer::Messages(vec![b"x".to_vec()], 0, ""), 0, "grpc-0", false),
        ("behind messages", Answer::Messages(vec![b"x".to_vec()], 13, "no"), 13, "grpc-13", true),
        ("behind a head alone", Answer::Messages(vec![], 15, "lost"), 15, "grpc-15", true),
        ("in the head", Answer::TrailersOnly(14, "busy"), 14, "grpc-14", true),
        ("unimplemented", Answer::TrailersOnly(12, ""), 12, "grpc-12", true),
        ("a refusal", Answer::TrailersOnly(5, "none"), 5, "grpc-5", false),
        ("a status that nobody knows", Answer::TrailersOnly(99, ""), 99, "grpc-2", true),
        ("no status", Answer::NoStatus, 0, "grpc-2", true),
        ("a status of HTTP", Answer::Http(503), 0, "503", true),
    ];
    for (name, answer, code, label, failed) in cases {
        let service = GrpcOrigin::start(move |_| answer.clone());
        let edge = between(&monolith, &service, "stage = \"migrated\"");
        let ended = call(edge.address(), PATH, &[], b"m").expect("an answer");
        if code > 0 {
            assert_eq!(ended.outcome().0, Some(code), "{name}: passed as it came");
        }
        let route = board(&edge, "service", 1);
        assert_eq!(route["errors"]["service"], u64::from(failed), "{name}: {route}");
        assert!((requests(&edge, "service", label) - 1.0).abs() < 0.1, "{name}");
        let line: Value = serde_json::from_str(&edge.await_log_line(&[PATH])).expect("a line of JSON");
        let said = line["rpc.grpc.status_code"].as_u64().map(|code| format!("grpc-{code}"));
        assert_eq!(said.as_deref().unwrap_or("503"), label, "{name}: {line}");
    }
}

#[test]
fn a_call_that_breaks_off_is_a_failure_and_one_that_its_client_leaves_is_none() {
    let (monolith, service) = (saying("monolith"), GrpcOrigin::start(|_| Answer::Reset));
    let edge = between(&monolith, &service, "stage = \"migrated\"");
    let reset = call(edge.address(), PATH, &[], b"m").expect_err("no whole answer");
    assert_eq!(reset, h2::Reason::INTERNAL_ERROR);
    assert_eq!(board(&edge, "service", 1)["errors"]["service"], 1);
    assert!((requests(&edge, "service", "grpc-13") - 1.0).abs() < 0.1);
}

#[test]
fn our_own_errors_are_a_head_without_a_body() {
    let (monolith, service) = (saying("monolith"), saying("service"));
    let dead = format!("[services.dead]\nurl = \"http://{}\"\nhttp = \"2\"\n", free_address());
    let empty = "[services.empty]\ndiscover.file = { path = \"none.endpoints\" }\nhttp = \"2\"\n";
    let slow = GrpcOrigin::start(|_| Answer::Hang);
    let limited = "rate_limit = { per = \"ip\", rate = \"1/h\", burst = 1 }\n";
    let secret = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("secret-of-calls");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").expect("the folder takes a file");
    let token = format!("auth.jwt = {{ key = {{ file = \"{}\" }} }}\n", secret.display());
    let route = |name: &str, service: &str, more: &str| {
        format!("[routes.{name}]\npath = \"/{name}/{{*rest}}\"\nservice = \"{service}\"\nstage = \"migrated\"\n{more}")
    };
    let tables = [
        dead,
        empty.to_owned(),
        format!("[services.new]\n{}", service.lines()),
        format!("[services.slow]\n{}timeouts = {{ answer = \"200ms\" }}\n", slow.lines()),
        route("dead", "dead", ""),
        route("empty", "empty", ""),
        route("slow", "slow", ""),
        route("limited", "new", limited),
        route("token", "new", &token),
        route("small", "new", "body_limit = \"4B\"\n"),
    ];
    let edge = Edge::before_address(monolith.address()).monolith("http = \"2\"").with(&tables.concat()).start();
    call(edge.address(), "/limited/X", &[], b"m").expect("the first passes");
    for (path, code, name) in [
        ("/dead/X", 14, "connect"),
        ("/empty/X", 14, "no endpoint"),
        ("/slow/X", 4, "no answer in time"),
        ("/limited/X", 8, "limited"),
        ("/token/X", 16, "no token"),
        ("/small/X", 8, "too large"),
        ("/a/..;/b", 3, "a malformed path"),
    ] {
        let ended = call(edge.address(), path, &[], b"a message").unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert!(ended.trailers.is_none() && ended.body.is_empty(), "{name}: trailers alone: {ended:?}");
        assert_eq!((ended.http, ended.head["content-type"].as_bytes()), (200, &b"application/grpc"[..]), "{name}");
        let (said, message) = ended.outcome();
        assert_eq!(said, Some(code), "{name}: {ended:?}");
        assert!(!message.is_empty() && ended.head.contains_key("x-request-id"), "{name}: {ended:?}");
        let (path, status) = (format!("\"url.path\":\"{path}\""), format!("\"rpc.grpc.status_code\":{code},"));
        let line = edge.await_log_line(&[&path, &status]);
        assert!(line.contains("\"http.response.status_code\":200,"), "{line}");
    }
}

#[test]
fn a_service_that_fails_every_call_opens_the_breaker() {
    let (monolith, service) = (saying("monolith"), GrpcOrigin::start(|_| Answer::Messages(vec![], 13, "no")));
    let edge = between(
        &monolith,
        &service,
        "stage = \"canary\"\nweight = \"100%\"\nbreaker = { failures = 3, open = \"1h\" }",
    );
    let said: Vec<_> = (0..5).map(|_| call(edge.address(), WRITE, &[], b"m").expect("an answer").outcome().0).collect();
    assert_eq!(said, [Some(13), Some(13), Some(13), Some(0), Some(0)], "a write is not asked for twice");
    assert_eq!(service.calls().len(), 3);
    let route = board(&edge, "service", 3);
    assert_eq!((&route["errors"]["service"], &route["breaker"]), (&3.into(), &"open".into()), "{route}");
}

#[test]
fn a_refusal_is_no_failure() {
    let (monolith, service) = (saying("monolith"), GrpcOrigin::start(|_| Answer::TrailersOnly(7, "not you")));
    let edge = between(&monolith, &service, "stage = \"canary\"\nweight = \"100%\"\nbreaker = { failures = 1 }");
    for _ in 0..3 {
        assert_eq!(call(edge.address(), WRITE, &[], b"m").expect("an answer").outcome().0, Some(7));
    }
    let route = board(&edge, "service", 3);
    assert_eq!((&route["errors"]["service"], &route["breaker"]), (&0.into(), &"closed".into()), "{route}");
}

#[test]
fn a_call_that_is_declared_safe_falls_back_and_no_other() {
    let monolith = saying("monolith");
    for (declared, path, answer, expected) in [
        (true, PATH, Answer::TrailersOnly(13, "no"), Some(0)),
        (true, WRITE, Answer::TrailersOnly(13, "no"), Some(13)),
        (false, PATH, Answer::TrailersOnly(13, "no"), Some(13)),
        (true, PATH, Answer::TrailersOnly(5, "none"), Some(5)),
        // Its client has the head: it is too late.
        (true, PATH, Answer::Messages(vec![b"x".to_vec()], 13, "no"), Some(13)),
        (true, PATH, Answer::Http(503), Some(0)),
    ] {
        let service = GrpcOrigin::start(move |_| answer.clone());
        let edge = between(&monolith, &service, &format!("{CANARY}{}", if declared { DECLARED } else { "" }));
        let before = monolith.calls().len();
        let ended = call(edge.address(), path, &[], b"m").expect("an answer");
        assert_eq!(ended.outcome().0, expected, "{declared} {path}: {ended:?}");
        let fell = monolith.calls().len() - before;
        assert_eq!(fell, usize::from(expected == Some(0)), "{declared} {path}");
        if fell > 0 {
            assert_eq!(monolith.calls()[before].body, [0, 0, 0, 0, 1, b'm'], "the message goes along");
        }
        assert_eq!(service.calls().len(), 1, "asked once");
    }
}

#[test]
fn a_call_that_is_declared_safe_is_asked_of_another_endpoint() {
    let (monolith, good) = (saying("monolith"), saying("service"));
    let bad = GrpcOrigin::start(|_| Answer::NoHead);
    let tables = format!(
        "[services.new]\nendpoints = [\"{}\", \"{}\"]\nhttp = \"2\"\n[routes.calls]\n\
         path = \"/shop.Catalog/{{*rest}}\"\nservice = \"new\"\nstage = \"migrated\"\n{DECLARED}",
        bad.address(),
        good.address()
    );
    let edge = Edge::before_address(monolith.address()).monolith("http = \"2\"").with(&tables).start();
    let said = |path| -> Vec<_> {
        (0..4).map(|_| call(edge.address(), path, &[], b"m").expect("an answer").outcome().0).collect()
    };
    assert_eq!(said(PATH), [Some(0); 4]);
    let (asked_good, asked_bad) = (good.calls().len(), bad.calls().len());
    // Which endpoint is asked first is up to the balancer, and on a busy machine not always the other one.
    assert!(asked_good == 4 && asked_bad > 0, "{asked_good} and {asked_bad}");
    let writes = said(WRITE);
    let failed = writes.iter().filter(|code| **code == Some(14)).count();
    let now = (good.calls().len() - asked_good, bad.calls().len() - asked_bad);
    assert_eq!(now, (4 - failed, failed), "each was sent once: {writes:?}");
    assert!(failed > 0, "{writes:?}");
}

#[test]
fn an_endpoint_that_fails_every_call_is_left_out() {
    let (monolith, good) = (saying("monolith"), saying("service"));
    let bad = GrpcOrigin::start(|_| Answer::Messages(vec![], 14, "busy"));
    let tables = format!(
        "[services.new]\nendpoints = [\"{}\", \"{}\"]\nhttp = \"2\"\neject = {{ failures = 2, base = \"1h\", max = \"1h\" }}\n\
         [routes.calls]\npath = \"/shop.Catalog/{{*rest}}\"\nservice = \"new\"\nstage = \"migrated\"\nfallback = true\n\
         breaker = {{ failures = 1000 }}\n",
        bad.address(),
        good.address()
    );
    let edge = Edge::before_address(monolith.address()).monolith("http = \"2\"").with(&tables).start();
    for _ in 0..20 {
        call(edge.address(), WRITE, &[], b"m").expect("an answer");
    }
    assert_eq!(bad.calls().len(), 2, "then it rests");
}

#[test]
fn explain_says_whether_a_call_is_declared_safe() {
    let (monolith, service) = (saying("monolith"), saying("service"));
    let edge = between(&monolith, &service, &format!("{CANARY}{DECLARED}"));
    let asked = |path: &str, kind: &str| {
        let (file, kind) = (edge.path().display().to_string(), format!("content-type: {kind}"));
        let mut process = Process::spawn(["explain", "--json", "-c", &file, "POST", path, "-H", &kind]);
        assert!(process.wait(PATIENCE).expect("the verb ends").success(), "{}", process.stderr());
        serde_json::from_str::<Value>(&process.stdout()).expect("JSON")["safe_call"].clone()
    };
    assert_eq!(asked(PATH, "application/grpc+proto"), Value::Bool(true));
    assert_eq!(asked(WRITE, "application/grpc"), Value::Bool(false));
    assert_eq!(asked(PATH, "application/json"), Value::Null);
}
