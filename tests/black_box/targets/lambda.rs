//! A function of Lambda as a service: what it gets, what its client gets, what falls back and what must not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Edge, EdgePlan, Origin, Reply, eventually};
use crate::targets::aws;

const ROUTE: &str = "[routes.quote]\npath = \"/quote/{*rest}\"\nservice = \"quote\"\n";

struct World {
    monolith: Origin,
    service: Origin,
    ran: Arc<AtomicUsize>,
    edge: Edge,
}

impl World {
    fn start(route: &str, function: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::of("", route, function)
    }

    fn of(lambda: &str, route: &str, function: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let (service, ran) = aws::service(function);
        let monolith = Origin::saying("monolith");
        let tables = format!("{}{ROUTE}{route}\n", aws::table(&service, lambda));
        let edge = Edge::before(&monolith).with(&tables).start();
        Self { monolith, service, ran, edge }
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }

    fn ask(&self, method: &str) -> (u16, String) {
        let response = self.edge.client().request(method, "/quote/1", &[]);
        (response.status(), response.text())
    }
}

const MIGRATED: &str = "stage = \"migrated\"";
const FALLS_BACK: &str = "stage = \"migrated\"\nfallback = true\nbreaker = { failures = 1000 }";

#[test]
fn a_request_becomes_an_event_and_the_answer_a_response() {
    let world = World::start(MIGRATED, |event| {
        aws::payload(&json!({
            "statusCode": 201, "cookies": ["a=1; Path=/", "b=2"], "headers": { "content-type": "application/json",
            "x-own": "yes", "connection": "close" }, "body": event.to_string(),
        }))
    });
    let mut client = world.edge.client();
    let sent = "POST /quote/a%20b?x=1&x=2 HTTP/1.1\r\nHost: shop.example\r\nCookie: c=3; d=4\r\nX-Two: 1\r\nX-Two: 2\r\n\
                Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    let response = client.send(sent).response();
    assert_eq!(response.status(), 201);
    assert_eq!(response.head.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!((response.get("x-own"), response.get("connection")), (Some("yes"), None));
    let event: Value = serde_json::from_str(&response.text()).expect("the event came back");
    assert_eq!(event["version"], "2.0");
    assert_eq!((&event["rawPath"], &event["rawQueryString"]), (&json!("/quote/a%20b"), &json!("x=1&x=2")));
    assert_eq!((&event["cookies"], &event["headers"]["x-two"]), (&json!(["c=3", "d=4"]), &json!("1,2")));
    assert_eq!(event["headers"]["host"], "shop.example");
    assert_eq!(event["headers"]["x-multilith-route"], "quote");
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    assert_eq!(event["requestContext"]["requestId"], event["headers"]["x-request-id"]);
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("hello"), &json!(false)));
    let invoke = world.service.request();
    assert_eq!(invoke.method(), "POST");
    assert_eq!(invoke.target(), b"/2015-03-31/functions/shop-quote%3Aprod/invocations");
    assert_eq!(invoke.get("x-amz-invocation-type"), Some("RequestResponse"));
    // The client's connection goes on, and so does the one to the service.
    assert_eq!(client.request("GET", "/quote/2", &[]).status(), 201);
    assert_eq!(world.ran(), 2);
    assert!(world.edge.metric("multilith_requests_total", &[("route", "quote"), ("code", "201")]) > 1.5);
}

#[test]
fn binary_bodies_pass_both_ways_in_both_forms() {
    for form in ["1.0", "2.0"] {
        let world = World::of(&format!(", event = \"{form}\""), MIGRATED, |event| {
            assert_eq!(event["isBase64Encoded"], true);
            aws::payload(&json!({ "statusCode": 200, "body": event["body"], "isBase64Encoded": true }))
        });
        let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let mut client = world.edge.client();
        client.send(format!("PUT /quote/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
        assert_eq!(client.response().body, body, "{form}");
        let mut client = world.edge.client();
        client.send("PUT /quote/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\0\x01\x02\r\n2\r\n\x03\x04\r\n0\r\n\r\n");
        assert_eq!(client.response().body, [0, 1, 2, 3, 4], "{form}");
    }
}

#[test]
fn form_1_keeps_several_values_of_a_name() {
    let world = World::of(", event = \"1.0\"", MIGRATED, |event| {
        assert_eq!(event["multiValueHeaders"]["X-Two"], json!(["1", "2"]));
        let several = json!({ "X-Multi": ["one", "two"], "Set-Cookie": ["a=1", "b=2"] });
        aws::payload(&json!({ "statusCode": 200, "multiValueHeaders": several, "body": "ok" }))
    });
    let response = world.edge.client().request("GET", "/quote/1", &["X-Two: 1", "X-Two: 2"]);
    assert_eq!(response.head.all("x-multi"), ["one", "two"]);
    assert_eq!(response.head.all("set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn a_head_request_has_the_length_and_no_body_and_204_has_neither() {
    let world = World::start(MIGRATED, |event| match event["requestContext"]["http"]["path"].as_str() {
        Some("/quote/none") => aws::payload(&json!({ "statusCode": 204, "body": "no" })),
        _ => aws::answer(200, "seven.."),
    });
    let mut client = world.edge.client();
    let response = client.send("HEAD /quote/1 HTTP/1.1\r\nHost: a\r\n\r\n").response_to_head();
    assert_eq!((response.status(), response.get("content-length")), (200, Some("7")));
    assert_eq!(client.request("GET", "/quote/none", &[]).status(), 204);
    assert_eq!(client.request("GET", "/quote/2", &[]).text(), "seven..", "on the same connection");
}

#[test]
fn what_was_not_run_falls_back_for_every_method() {
    let refusals = [
        ("404 Not Found", "ResourceNotFoundException", 502, "connect"),
        ("429 Too Many Requests", "TooManyRequestsException", 503, "queue"),
        ("403 Forbidden", "AccessDeniedException", 502, "connect"),
    ];
    for (status, kind, own, reason) in refusals {
        let refuse = move |_: &Value| Reply::status(status, &[&format!("x-amzn-errortype: {kind}")], "{}");
        let world = World::start(FALLS_BACK, refuse);
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(world.ask(method), (200, "monolith".to_owned()), "{kind} {method}");
        }
        let counted = world.edge.metric("multilith_fallbacks_total", &[("route", "quote"), ("reason", reason)]);
        assert!((counted - 3.0).abs() < 0.1, "{kind}: {counted}");
        let world = World::start(MIGRATED, refuse);
        let response = world.edge.client().request("POST", "/quote/1", &[]);
        assert_eq!(response.status(), own, "{kind}");
        assert_eq!(response.get("retry-after").is_some(), own == 503, "{kind}");
    }
}

#[test]
fn a_body_that_was_read_goes_to_the_monolith_with_the_request() {
    let world = World::start(FALLS_BACK, |_| Reply::status("404 Not Found", &[], "{}"));
    let mut client = world.edge.client();
    client.send("POST /quote/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "monolith");
    assert_eq!(world.monolith.request().body, b"hello");
}

#[test]
fn a_function_that_failed_may_have_run_and_says_nothing_to_the_client() {
    let raised = |message: &'static str| {
        move |_: &Value| {
            let body =
                json!({ "errorMessage": message, "errorType": "ValueError", "stackTrace": ["secret"] }).to_string();
            Reply::status("200 OK", &["X-Amz-Function-Error: Unhandled"], body)
        }
    };
    for (message, status) in [("secret", 502), ("id Task timed out after 3.00 seconds", 504)] {
        let world = World::start(FALLS_BACK, raised(message));
        assert_eq!(world.ask("GET"), (200, "monolith".to_owned()), "safe");
        let (found, body) = world.ask("POST");
        assert_eq!(found, status, "unsafe");
        assert!(!body.contains("secret") && !body.contains("Task"), "{body}");
        assert_eq!((world.ran(), world.monolith.requests().len()), (2, 1));
    }
}

#[test]
fn an_error_of_the_service_may_have_run() {
    let world = World::start(FALLS_BACK, |_| Reply::status("500 Internal Server Error", &[], "{}"));
    assert_eq!(world.ask("POST").0, 502);
    assert_eq!((world.ran(), world.monolith.requests().len()), (1, 0), "once, and nowhere else");
    assert_eq!(world.ask("GET"), (200, "monolith".to_owned()));
}

#[test]
fn an_event_that_is_too_large_is_not_sent() {
    let world = World::start(FALLS_BACK, |_| aws::answer(200, "ran"));
    // 4.6 MB are more than 6 MiB in base64.
    let length = 4_800_000;
    let mut client = world.edge.client();
    client.send(format!("POST /quote/1 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    client.send(vec![0; length]);
    assert_eq!(client.response().status(), 413);
    assert_eq!((world.ran(), world.monolith.requests().len()), (0, 0));
    let mut client = world.edge.client();
    let length = 4_400_000;
    client.send(format!("POST /quote/1 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    client.send(vec![0; length]);
    assert_eq!(client.response().text(), "ran");
}

#[test]
fn upgrades_and_calls_of_grpc_are_refused_and_expectations_are_met() {
    let world = World::start(MIGRATED, |_| aws::answer(200, "ran"));
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: YQ=="];
    assert_eq!(world.edge.client().request("GET", "/quote/1", &upgrade).status(), 501);
    let mut client = world.edge.client();
    client.send("POST /quote/1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert!(client.head().start_line.starts_with(b"HTTP/1.1 100"));
    assert_eq!(client.send("hi").response().text(), "ran");
    assert_eq!(world.ran(), 1);
}

#[test]
fn copies_are_calls_too_and_are_compared() {
    let world = World::start("stage = \"shadow\"", |event| {
        let path = event["rawPath"].as_str().unwrap_or_default();
        aws::answer(200, if path.ends_with("other") { "another" } else { "monolith" })
    });
    for target in ["/quote/a", "/quote/b", "/quote/other"] {
        assert_eq!(world.edge.get(target).text(), "monolith");
    }
    eventually("copies", || {
        let sent = world.edge.metric("multilith_shadow_requests_total", &[("route", "quote"), ("outcome", "answered")]);
        (sent > 2.5).then_some(())
    });
    let event = String::from_utf8(world.service.requests()[0].body.clone()).expect("text");
    assert!(event.contains("\"x-multilith-shadow\":\"quote\""), "{event}");
}

#[test]
fn credentials_of_the_instance_are_asked_for_again_before_they_expire() {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let metadata = Origin::start(move |request| match (request.method().as_str(), request.target()) {
        ("PUT", b"/latest/api/token") => Reply::ok("TOKEN"),
        ("GET", target) if request.get("x-aws-ec2-metadata-token") == Some("TOKEN") => {
            if target.ends_with(b"/security-credentials/") {
                return Reply::ok("role\n");
            }
            count.fetch_add(1, Ordering::SeqCst);
            Reply::ok(keys(3).to_string())
        }
        _ => Reply::status("401 Unauthorized", &[], ""),
    });
    let world = fetched("{ imds = true }", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url())]);
    works(&world);
    eventually("they are asked for again", || (given.load(Ordering::SeqCst) > 1).then_some(()));
    assert_eq!(world.ask("GET").1, "ran");
}

#[test]
fn credentials_of_a_container_come_from_its_agent() {
    let agent = Origin::start(move |request| {
        assert_eq!(request.get("authorization"), Some("let me"));
        Reply::ok(keys(3600).to_string())
    });
    let world = fetched(
        "{ container = true }",
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v2/creds", agent.url())),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me".to_owned()),
        ],
    );
    works(&world);
    let invoke = world.service.requests().pop().expect("it was called");
    assert_eq!(invoke.get("x-amz-security-token"), Some("SESSION"));
}

#[test]
fn without_credentials_nothing_is_called_and_the_log_says_so() {
    let world = fetched("\"environment\"", &[]);
    assert_eq!(world.ask("POST").0, 502);
    world.edge.await_log_line(&["no credentials", "AWS_ACCESS_KEY_ID"]);
    assert!(world.service.requests().is_empty());
}

/// Credentials that expire so many seconds from now.
fn keys(seconds: u64) -> Value {
    let until = jiff::Timestamp::now() + std::time::Duration::from_secs(seconds);
    json!({
        "AccessKeyId": aws::ID, "SecretAccessKey": aws::SECRET, "Token": "SESSION", "Expiration": until.to_string(),
    })
}

fn fetched(credentials: &str, variables: &[(&'static str, String)]) -> World {
    let (service, ran) = aws::service(|_| aws::answer(200, "ran"));
    let monolith = Origin::saying("monolith");
    let lambda =
        format!("lambda = {{ function = \"f\", region = \"eu-central-1\", endpoint = \"{}\" }}", service.url());
    let tables = format!("[services.quote]\n{lambda}\ncredentials = {credentials}\n{ROUTE}{MIGRATED}\n");
    let plan = variables
        .iter()
        .fold(Edge::before(&monolith).with(&tables), |plan: EdgePlan, (name, value)| plan.variable(name, value));
    World { monolith, service, ran, edge: plan.start() }
}

fn works(world: &World) {
    eventually("credentials", || (world.ask("GET").1 == "ran").then_some(()));
}
