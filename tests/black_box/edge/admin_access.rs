//! Who may ask the admin listener: no page of another site, however it says where it is from, and only who has the token.

use crate::harness::{Client, Edge, Origin, Reply, eventually};

const TOKEN: &str = "Authorization: Bearer a-token-for-the-tests";

fn asked(edge: &Edge, target: &str, fields: &[&str]) -> u16 {
    Client::connect(edge.admin_address()).request("GET", target, fields).status()
}

#[test]
fn every_origin_that_is_named_has_to_be_ours() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let port = edge.admin_address().port();
    let host = format!("Host: 127.0.0.1:{port}");
    let table: [(&[&str], u16); 4] = [
        (&["http://127.0.0.1:PORT"], 200),
        (&["http://localhost:PORT"], 200),
        (&["http://127.0.0.1:PORT", "http://evil.example"], 403),
        (&["http://\u{e9}vil.example"], 403),
    ];
    for (origins, status) in table {
        let origins: Vec<_> =
            origins.iter().map(|o| format!("Origin: {}", o.replace("PORT", &port.to_string()))).collect();
        let mut fields = vec![host.as_str()];
        fields.extend(origins.iter().map(String::as_str));
        assert_eq!(asked(&edge, "/api/v1/status", &fields), status, "{origins:?}");
    }
}

#[test]
fn a_token_is_asked_of_everybody_and_for_everything_but_health() {
    let path = format!("{}/admin-token-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, "a-token-for-the-tests\n").expect("cargo's folder for tests takes a file");
    let edge = Edge::before(&Origin::saying("ok")).server(&format!("token = {{ file = \"{path}\" }}")).start();
    let host = format!("Host: {}", edge.admin_address());
    for target in ["/", "/metrics", "/api/v1/status", "/api/v1/config", "/nothing"] {
        assert_eq!(asked(&edge, target, &[&host]), 401, "{target}");
    }
    for (target, status) in [("/healthz", 200), ("/readyz", 200)] {
        assert_eq!(asked(&edge, target, &[&host]), status, "{target}");
    }
    for (fields, status) in [
        (&[TOKEN][..], 200),
        (&["Authorization: bearer a-token-for-the-tests"], 200),
        (&["Authorization: Bearer a-token-for-the-test"], 401),
        (&["Authorization: Bearer a-token-for-the-tests-"], 401),
        (&["Authorization: Bearer "], 401),
        (&["Authorization: Basic YS10b2tlbi1mb3ItdGhlLXRlc3Rz"], 401),
    ] {
        let fields = [&[host.as_str()], fields].concat();
        assert_eq!(asked(&edge, "/api/v1/status", &fields), status, "{fields:?}");
    }
    assert_eq!(asked(&edge, "/api/v1/status?token=a-token-for-the-tests", &[&host]), 401);
    assert_eq!(
        asked(&edge, "/api/v1/status", &["Host: evil.example", TOKEN]),
        403,
        "a token does not make up for a name"
    );
    std::fs::remove_file(&path).expect("the file is still there");
}

fn posted(edge: &Edge, method: &str, target: &str, fields: &[&str], body: &str) -> u16 {
    let host = format!("Host: {}", edge.admin_address());
    let length = format!("Content-Length: {}", body.len());
    let fields: Vec<_> = [&host, &length].into_iter().map(String::as_str).chain(fields.iter().copied()).collect();
    let mut client = Client::connect(edge.admin_address());
    client.send(format!("{method} {target} HTTP/1.1\r\n{}\r\n\r\n{body}", fields.join("\r\n")));
    client.response().status()
}

fn pressed(edge: &Edge) -> bool {
    edge.metric("multilith_monolith_only", &[]) > 0.5
}

const JSON: &str = "Content-Type: application/json";
const OURS: &str = "X-Multilith: 1";

#[test]
fn without_a_token_nothing_is_pressed_that_a_page_or_a_form_could_send() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let on = "{\"on\": true}";
    for (fields, status) in [
        (&[][..], 403),
        (&["Content-Type: text/plain"], 403),
        (&[JSON], 403),
        (&[OURS], 415),
        (&[OURS, "Content-Type: text/plain"], 415),
        (&[OURS, "Content-Type: application/x-www-form-urlencoded"], 415),
        (&[OURS, "Content-Type: application/jsonp"], 415),
    ] {
        assert_eq!(posted(&edge, "POST", "/api/v1/monolith-only", fields, on), status, "{fields:?}");
        assert!(!pressed(&edge), "{fields:?}");
    }
    for (method, target) in
        [("POST", "/api/v1/reload"), ("PUT", "/api/v1/config"), ("DELETE", "/api/v1/routes/a/comparisons")]
    {
        assert_eq!(posted(&edge, method, target, &[], ""), 403, "{method} {target}");
    }
    assert_eq!(posted(&edge, "POST", "/api/v1/reload", &[OURS], ""), 200, "without a body none is said to be JSON");
    assert_eq!(
        posted(
            &edge,
            "POST",
            "/api/v1/monolith-only",
            &["x-multilith: yes", "content-type: application/JSON; charset=utf-8"],
            on
        ),
        200
    );
    assert!(pressed(&edge));
}

#[test]
fn each_token_has_a_name_and_a_role() {
    let path = |name: &str| format!("{}/{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let token = |name: &str| {
        std::fs::write(path(name), format!("the-token-of-{name}\n")).expect("cargo's folder for tests takes a file");
        format!("token = {{ file = \"{}\" }}", path(name))
    };
    let server = format!(
        "{}\n[[server.tokens]]\nname = \"grafana\"\n{}\n[[server.tokens]]\nname = \"anna\"\n{}\nrole = \"operate\"\n",
        token("owner"),
        token("grafana"),
        token("anna")
    );
    let edge = Edge::before(&Origin::saying("ok")).server(&server).start();
    let on = "{\"on\": true}";
    let explain = "{\"method\": \"GET\", \"url\": \"/\"}";
    for (who, role) in [("owner", "operate"), ("grafana", "read"), ("anna", "operate")] {
        let bearer = format!("Authorization: Bearer the-token-of-{who}");
        let fields = [bearer.as_str(), JSON];
        let allowed = if role == "operate" { 200 } else { 403 };
        for (method, target, body, status) in [
            ("GET", "/api/v1/status", "", 200),
            ("GET", "/metrics", "", 200),
            ("POST", "/api/v1/explain", explain, 200),
            ("POST", "/api/v1/monolith-only", on, allowed),
            ("POST", "/api/v1/reload", "", allowed),
            ("DELETE", "/api/v1/status", "", if role == "operate" { 405 } else { 403 }),
        ] {
            assert_eq!(posted(&edge, method, target, &fields, body), status, "{who} {method} {target}");
        }
    }
    edge.await_log_line(&["big red button", "by=\"anna via api from 127.0.0.1"]);
    assert_eq!(posted(&edge, "GET", "/api/v1/status", &["Authorization: Bearer the-token-of-nobody"], ""), 401);
    for name in ["owner", "grafana", "anna"] {
        std::fs::remove_file(path(name)).expect("the file is still there");
    }
}

#[test]
fn a_token_that_only_looks_sees_no_value_of_an_example() {
    let path = |name: &str| format!("{}/{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let token = |name: &str| {
        std::fs::write(path(name), name).expect("cargo's folder for tests takes a file");
        format!("[[server.tokens]]\nname = \"{name}\"\ntoken = {{ file = \"{}\" }}\nrole = \"{name}\"\n", path(name))
    };
    let json = |price: &str| {
        Reply::status("200 OK", &["Content-Type: application/json"], format!("{{\"price\":\"{price}\"}}"))
    };
    let (monolith, service) = (Origin::start(move |_| json("ninety")), Origin::start(move |_| json("eighty")));
    let route =
        "[routes.a]\npath = \"/a\"\nservice = \"new\"\nstage = \"shadow\"\nshadow.compare.examples = \"values\"\n";
    let tokens = [token("read"), token("operate")].concat();
    let edge = Edge::before(&monolith).service("new", &service).server(&tokens).with(route).start();
    edge.get("/a?name=Ann");
    let shown = |who: &str, what: &str| {
        let bearer = format!("Authorization: Bearer {who}");
        let host = format!("Host: {}", edge.admin_address());
        let response = Client::connect(edge.admin_address()).request(
            "GET",
            &format!("/api/v1/routes/a/{what}"),
            &[&bearer, &host],
        );
        (response.status(), response.text())
    };
    let full = eventually("the answers are compared", || {
        Some(shown("operate", "comparisons").1).filter(|text| text.contains("eighty"))
    });
    assert!(full.contains("name=Ann"), "{full}");
    let (status, shapes) = shown("read", "comparisons");
    assert_eq!(status, 200);
    assert!(shapes.contains("text(6)") && !shapes.contains("ninety") && !shapes.contains("Ann"), "{shapes}");
    assert_eq!((shown("read", "comparisons.hurl").0, shown("operate", "comparisons.hurl").0), (403, 200));
    for name in ["read", "operate"] {
        std::fs::remove_file(path(name)).expect("the file is still there");
    }
}

#[test]
fn a_token_that_only_looks_sees_no_user_agent_of_an_endpoint() {
    let path = |name: &str| format!("{}/{name}-agents-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let token = |name: &str| {
        std::fs::write(path(name), name).expect("cargo's folder for tests takes a file");
        format!("[[server.tokens]]\nname = \"{name}\"\ntoken = {{ file = \"{}\" }}\nrole = \"{name}\"\n", path(name))
    };
    let server = ["trusted = [\"127.0.0.0/8\"]\n".to_owned(), token("read"), token("operate")].concat();
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).server(&server).start();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let client = format!("X-Forwarded-For: {address}");
        for _ in 0..50 {
            edge.client().request("GET", "/basket", &[&client, "User-Agent: phone-of-bob"]);
        }
    }
    let shown = |who: &str, target: &str| {
        let host = format!("Host: {}", edge.admin_address());
        let fields = [&*format!("Authorization: Bearer {who}"), &*host, "Accept: text/html"];
        Client::connect(edge.admin_address()).request("GET", target, &fields).text()
    };
    for target in ["/api/v1/inventory", "/inventory"] {
        let told = || Some(shown("operate", target)).filter(|text| text.contains("phone-of-bob"));
        eventually("the endpoint is learned", told);
    }
    for target in ["/api/v1/inventory", "/api/v1/next", "/inventory"] {
        let less = shown("read", target);
        assert!(less.contains("basket") && !less.contains("phone-of-bob"), "{target}: {less}");
    }
    for name in ["read", "operate"] {
        std::fs::remove_file(path(name)).expect("the file is still there");
    }
}

#[test]
fn what_is_secret_in_the_file_is_not_shown() {
    let routes = "[services.users]\nurl = \"http://127.0.0.1:1\"\n[routes.a]\npath = \"/a\"\nservice = \"users\"\nstage = \"migrated\"\n\
                  rewrite = { set = { authorization = \"Basic aHVudGVyMg==\", x-team = \"blue\" } }\n";
    let edge = Edge::before(&Origin::saying("ok")).with(routes).start();
    let shown = edge.config()["text"].as_str().expect("a text").to_owned();
    assert!(shown.contains("authorization = \"REDACTED\", x-team = \"blue\""), "{shown}");
    assert!(!shown.contains("aHVudGVyMg=="), "{shown}");
    assert_eq!(shown.lines().count(), edge.text("").lines().count());
}
