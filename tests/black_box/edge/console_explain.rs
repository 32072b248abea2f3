//! The page that says which route takes a request: with the words of the API, and for whoever may look.

use serde_json::{Value, json};

use super::console::{FORM, HTML, after, ask, page};
use crate::harness::{Client, Edge, Origin};

const TABLES: &str = r#"
[routes.read-user]
path = "/users/{id}"
methods = ["GET"]
service = "users"
stage = "canary"
weight = "40%"
sticky = ["header:x-user-id"]
fallback = { statuses = [503] }
[routes.every-user]
path = "/users/{*rest}"
service = "users"
stage = "shadow"
[routes.rename]
path = "/users/{id}"
methods = ["PUT"]
service = "users"
stage = "monolith"
[routes.beta]
host = "*.shop.example"
path = "/beta/v{n}.json"
headers = { x-tenant = "7" }
query = { full = "1" }
service = "users"
stage = "migrated"
"#;

fn edge(server: &str) -> Edge {
    let users = Origin::saying("users");
    Edge::before(&Origin::saying("ok")).server(server).service("users", &users).with(TABLES).start()
}

fn shown(edge: &Edge, target: &str) -> String {
    let (status, _, body) = ask(edge, "GET", target, &[HTML], "");
    assert_eq!(status, 200, "{target}: {body}");
    body
}

/// As a person reads it.
fn words(page: &str) -> String {
    let parts = page.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let text = parts.collect::<String>().replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&quot;", "\"").replace('\u{a0}', " ")
}

fn by_the_api(edge: &Edge, request: &Value) -> Value {
    let fields = ["Content-Type: application/json", "X-Multilith: 1"];
    let (status, _, body) = ask(edge, "POST", "/api/v1/explain", &fields, &request.to_string());
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Every text of an answer stands on the page, as it is.
fn assert_has_all(text: &str, answer: &Value) {
    let has = |said: &Value| {
        let said = said.as_str().expect("a text").replace('`', "");
        assert!(text.to_lowercase().contains(&said.to_lowercase()), "{said}: {text}");
    };
    for name in ["side", "stage", "upstream", "reason"] {
        has(&answer[name]);
    }
    for lost in answer["candidates"].as_array().expect("a list") {
        has(&lost["route"]);
        has(&lost["lost"]);
    }
    for key in answer["keys"].as_array().expect("a list") {
        has(&key["key"]);
        has(&key["effect"]);
    }
    for header in answer["request"]["headers"].as_array().expect("a list") {
        has(&json!(format!("{}: {}", header[0].as_str().expect("a name"), header[1].as_str().expect("a value"))));
    }
    if let Some(copy) = answer["shadow"].as_object() {
        has(&copy["why"]);
    }
}

#[test]
fn the_page_says_what_the_api_says_of_the_route_the_side_and_the_others() {
    let edge = edge("");
    for (target, request) in [
        (
            "/explain?method=GET&url=/users/7%3Fa=1&headers=X-User-Id:+ann%0D%0AAccept:+text/html&cookie=a=b&client=10.0.0.7",
            json!({ "method": "GET", "url": "/users/7?a=1", "client": "10.0.0.7",
                "headers": [["X-User-Id", "ann"], ["Accept", "text/html"], ["Cookie", "a=b"]] }),
        ),
        ("/explain?method=put&url=/users/7", json!({ "method": "PUT", "url": "/users/7" })),
        ("/explain?url=/users/7/orders", json!({ "method": "GET", "url": "/users/7/orders" })),
        ("/explain?url=/elsewhere", json!({ "method": "GET", "url": "/elsewhere" })),
        (
            "/explain?url=http://a.shop.example/beta/v2.json%3Ffull=1&headers=x-tenant:7",
            json!({ "method": "GET", "url": "http://a.shop.example/beta/v2.json?full=1", "headers": [["x-tenant", "7"]] }),
        ),
    ] {
        let (page, answer) = (shown(&edge, target), by_the_api(&edge, &request));
        assert_has_all(&words(&page), &answer);
        match answer["route"].as_str() {
            Some(route) => assert!(page.contains(&format!("href=\"route/{route}\"")), "{page}"),
            None => assert!(page.contains("No route takes it"), "{page}"),
        }
        for box_of in ["name=\"method\"", "name=\"url\"", "name=\"headers\"", "name=\"cookie\"", "name=\"client\""] {
            assert!(page.contains(box_of), "{box_of}: {page}");
        }
    }
    let canary = words(&shown(&edge, "/explain?url=/users/7&headers=X-User-Id:+eve"));
    for said in ["falls into bucket", "every-user", "rename"] {
        assert!(canary.contains(said), "{said}: {canary}");
    }
    // Of the first clients there is one whom the service answers, and with it the monolith behind it.
    let falls = (0..100).any(|n| {
        words(&shown(&edge, &format!("/explain?url=/users/7&headers=X-User-Id:+{n}"))).contains("or answers 503")
    });
    assert!(falls, "the fallback of a client at the service");
}

#[test]
fn the_button_and_the_dial_in_force_are_what_it_goes_by() {
    let edge = edge("");
    let ours = format!("Origin: http://{}", edge.admin_address());
    let shown = || words(&shown(&edge, "/explain?url=/users/7"));
    assert!(!shown().contains("big red button"), "{}", shown());
    assert_eq!(edge.admin("POST", "/api/v1/routes/read-user/promote").status(), 200);
    assert!(!shown().contains("40%"), "the dial and not the file: {}", shown());
    let (cookie, word) = page(&edge, "/console/act?do=press", None);
    let fields = [FORM, &format!("Cookie: {cookie}"), &ours];
    assert_eq!(ask(&edge, "POST", "/console/act", &fields, &format!("word={word}&do=press")).0, 303);
    assert!(
        shown().contains("the big red button is on") || shown().contains("The big red button is on"),
        "{}",
        shown()
    );
}

#[test]
fn strangers_words_stay_text_and_what_cannot_be_asked_says_why() {
    let edge = edge("");
    let script = "%3Cscript%3Ealert(1)%3C/script%3E%22%3E%3Cimg+src=x%3E";
    for (target, said) in [
        (format!("/explain?url=/{script}"), ""),
        (format!("/explain?url=/users/7&headers=X-A:+{script}"), "x-a: <script>"),
        (format!("/explain?url=/users/7&cookie={script}"), "cookie: <script>"),
        (format!("/explain?url={script}"), "is not a URL"),
        (format!("/explain?url=/users/7&client={script}"), "is not the address of a client"),
        (format!("/explain?url=/users/7&method={script}"), "is not a method"),
        (format!("/explain?url=/users/7&headers={script}"), "is not a header"),
        (format!("/explain?route={script}"), ""),
        ("/explain?url=/a%252e%252e/..%252f..%252fb%2500".to_owned(), ""),
        (
            "/explain?url=/users/7&headers=Content-Length:+7%0ATransfer-Encoding:+chunked".to_owned(),
            "would refuse this request",
        ),
    ] {
        let page = shown(&edge, &target);
        assert!(!page.contains("<script>") && !page.contains("<img"), "{target}: {page}");
        assert!(words(&page).to_lowercase().contains(&said.to_lowercase()), "{target}: {said}: {page}");
    }
    assert_eq!(ask(&edge, "POST", "/explain", &[FORM], "url=/").0, 405, "it is a question");
}

#[test]
fn a_route_s_page_asks_for_such_a_request_and_every_page_leads_there() {
    let edge = edge("");
    let given = |route: &str| {
        let page = shown(&edge, &format!("/explain?route={route}"));
        assert!(!page.contains("id=\"answer\""), "nothing was asked yet: {page}");
        let value = |name: &str| after(&page, &format!("name=\"{name}\" value=\""), '"').to_owned();
        (
            value("method"),
            value("url"),
            after(after(&page, "<textarea class=\"few\" name=\"headers\"", '/'), ">", '<').to_owned(),
        )
    };
    assert_eq!(given("read-user"), ("GET".to_owned(), "/users/1".to_owned(), String::new()));
    assert_eq!(given("rename").0, "PUT");
    let (method, url, header) = given("beta");
    assert_eq!((&*url, &*header), ("http://any.shop.example/beta/v1.json?full=1", "x-tenant: 7"));
    // What is proposed is what the route takes.
    let answer = by_the_api(&edge, &json!({ "method": method, "url": url, "headers": [["x-tenant", "7"]] }));
    assert_eq!(answer["route"], "beta");
    for (target, link) in [
        ("/", "href=\"explain\""),
        ("/requests", "href=\"explain\""),
        ("/route/beta", "href=\"../explain?route=beta\""),
    ] {
        let page = shown(&edge, target);
        assert!(page.contains(link), "{target}: {page}");
    }
    let mut watcher = Client::connect(edge.admin_address());
    watcher.send(format!("GET /console/stream HTTP/1.1\r\nHost: {}\r\n\r\n", edge.admin_address()));
    assert!(watcher.head().is_chunked());
    assert_eq!(watcher.chunk(), b": watching\n\n");
    edge.client().request("GET", "/users/7?full=1", &["Host: shop.example:81"]);
    let event = String::from_utf8(watcher.chunk()).expect("events are text");
    let link = after(&event, "href=\"explain?", '"').replace("&amp;", "&");
    assert!(link.contains("url=http%3A%2F%2Fshop.example%3A81%2Fusers%2F7%3Ffull%3D1"), "{event}");
    let page = shown(&edge, &format!("/explain?{link}"));
    assert!(page.contains("href=\"route/read-user\""), "{page}");
}

#[test]
fn who_may_only_look_may_ask() {
    let path = format!("{}/console-token-explain-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, "a-token").expect("cargo's folder for tests takes a file");
    let edge = edge(&format!("tokens = [{{ name = \"eve\", token = {{ file = \"{path}\" }}, role = \"read\" }}]"));
    let target = "/explain?url=/users/7";
    assert_eq!(ask(&edge, "GET", target, &[HTML], "").0, 303, "nobody is asked to sign in");
    let (status, head, body) = ask(&edge, "GET", target, &[HTML, "Authorization: Bearer a-token"], "");
    assert_eq!(status, 200);
    assert!(head.contains("script-src 'self'") && !body.contains("console/act"), "{head} {body}");
    assert!(words(&body).contains("read-user"), "{body}");
    std::fs::remove_file(&path).expect("the file is still there");
}
