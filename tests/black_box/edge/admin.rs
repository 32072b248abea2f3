//! The admin listener: what it tells nobody, and that nobody keeps it, or the proxy behind it, from its work.

use std::fs;
use std::time::Duration;

use crate::harness::{Client, Edge, Origin, Process, eventually, free_address};

const TOKEN: &str = "the-token-of-the-admin-listener";
const KEY: &str = "a-key-for-tokens-of-thirty-two-bytes";
const PASSWORD: &str = "a-password-inside-a-header-of-a-service";

#[test]
fn no_answer_holds_a_secret() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let (listen, admin) = (free_address(), free_address());
    let path = format!("{}/secrets-{}.toml", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let text = |more: &str| {
        format!(
            "[server]\nlisten = [\"{listen}\"]\nadmin = \"{admin}\"\ntoken = {{ env = \"ADMIN_TOKEN\" }}\n\
             state_dir = \"{path}.state\"\n[monolith]\nurl = \"{}\"\n[services.users]\nurl = \"{}\"\n\
             [routes.mine]\npath = \"/mine\"\nservice = \"users\"\nstage = \"shadow\"\nshadow.compare = {{}}\n\
             auth.jwt = {{ key = {{ env = \"JWT_KEY\" }} }}\nrewrite.set = {{ x-password = \"${{PASSWORD}}\" }}\n\
             [routes.moved]\npath = \"/moved\"\nservice = \"users\"\nstage = \"migrated\"\n\
             rewrite.set = {{ x-password = \"${{PASSWORD}}\" }}\n{more}",
            monolith.url(),
            users.url()
        )
    };
    fs::write(&path, text("")).expect("cargo's folder for tests takes a file");
    let variables = [("ADMIN_TOKEN", TOKEN), ("JWT_KEY", KEY), ("PASSWORD", PASSWORD)];
    let variables = variables.map(|(name, value)| (name, value.to_owned()));
    let process = Process::spawn_with(["run", "-c", &path], variables);
    eventually("ready", || {
        Client::try_connect(admin).ok().filter(|_| process.stderr().contains("multilith listens")).map(drop)
    });
    let ask = |method: &str, target: &str, body: &str, token: &str| {
        let fields = [
            format!("Host: {admin}"),
            format!("Authorization: Bearer {token}"),
            "Content-Type: application/json".to_owned(),
            format!("Content-Length: {}", body.len()),
        ];
        let fields = fields.join("\r\n");
        let mut client = Client::connect(admin);
        client.send(format!("{method} {target} HTTP/1.1\r\n{fields}\r\n\r\n{body}"));
        client.response()
    };
    let explain = "{\"method\":\"GET\",\"url\":\"http://a/mine\"}";
    let explain_moved = "{\"method\":\"GET\",\"url\":\"http://a/moved\"}";
    let asked = [
        ("GET", "/", ""),
        ("GET", "/metrics", ""),
        ("GET", "/api/v1/status", ""),
        ("GET", "/api/v1/routes", ""),
        ("GET", "/api/v1/routes/mine", ""),
        ("GET", "/api/v1/routes/mine/comparisons", ""),
        ("GET", "/api/v1/upstreams", ""),
        ("GET", "/api/v1/config", ""),
        ("POST", "/api/v1/reload", ""),
        ("GET", "/api/v1/nothing", ""),
    ];
    let check = |when: &str| {
        let explained = [explain, explain_moved].map(|body| ("POST", "/api/v1/explain", body));
        for (method, target, body) in asked.into_iter().chain(explained) {
            let response = ask(method, target, body, TOKEN);
            let said = format!("{:?} {}", response.head, response.text());
            for secret in [TOKEN, KEY, PASSWORD] {
                assert!(!said.contains(secret), "{when} {target} tells {secret}: {said}");
            }
            let refused = ask(method, target, body, "a-guess").status();
            assert_eq!(refused, 401, "{target} without the token");
        }
    };
    check("a good file:");
    assert!(ask("POST", "/api/v1/explain", explain_moved, TOKEN).text().contains("(from a variable)"));
    assert!(ask("GET", "/api/v1/config", "", TOKEN).text().contains("${PASSWORD}"), "the text is the one of the file");
    fs::write(&path, text("[routes.other]\npath = \"/other\"\nstage = \"${JWT_KEY}\"\n"))
        .expect("the file can be written");
    check("a bad file:");
    for secret in [TOKEN, KEY, PASSWORD] {
        assert!(!process.stderr().contains(secret) && !process.stdout().contains(secret), "{secret} was printed");
    }
    drop(process);
    fs::remove_file(&path).expect("the file is still there");
    drop(fs::remove_dir_all(format!("{path}.state")));
}

#[test]
fn so_many_connections_and_no_more() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).descriptors(1024).start();
    let mut crowd: Vec<_> = (0..200).map(|_| Client::connect(edge.admin_address())).collect();
    // Those beyond the limit are closed, so that the others' descriptors are left; which ones, the threads decide.
    let mut open = 0;
    eventually("the crowd is thinned", || {
        open = crowd.iter_mut().filter_map(|client| client.stays_quiet(Duration::from_millis(1)).then_some(())).count();
        (open <= 128).then_some(())
    });
    // Those that asked whether it is ready may not have been missed yet.
    assert!((120..=128).contains(&open), "{open}");
    drop(crowd);
    assert_eq!(edge.get("/").status(), 200);
    eventually("room again", || {
        let mut client = Client::try_connect(edge.admin_address()).ok()?;
        client.try_send(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", edge.admin_address())).ok()?;
        client.try_response(false).ok().filter(|response| response.status() == 200).map(drop)
    });
}

#[test]
fn a_web_page_cannot_reach_it_under_another_name_or_from_another_origin() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).server("admin_hosts = [\"edge.internal:9900\"]").start();
    let (address, port) = (edge.admin_address().to_string(), edge.admin_address().port());
    let ask = |method: &str, target: &str, fields: &[String]| {
        let mut client = Client::connect(edge.admin_address());
        let fields = fields.join("\r\n");
        client.send(format!("{method} {target} HTTP/1.1\r\n{fields}\r\nX-Multilith: 1\r\nContent-Length: 0\r\n\r\n"));
        client.response().status()
    };
    for (host, origin, status) in [
        (address.clone(), None, 200),
        (format!("localhost:{port}"), None, 200),
        ("edge.internal:9900".to_owned(), None, 200),
        (address.clone(), Some(format!("http://{address}")), 200),
        ("edge.internal:9900".to_owned(), Some("http://edge.internal:9900".to_owned()), 200),
        // A name of the attacker's that leads to loopback, and another port's page.
        (format!("rebound.example:{port}"), None, 403),
        ("rebound.example".to_owned(), None, 403),
        ("127.0.0.1".to_owned(), None, 403),
        (String::new(), None, 403),
        (address.clone(), Some("http://evil.example".to_owned()), 403),
        (address.clone(), Some(format!("http://evil.example:{port}")), 403),
        (address.clone(), Some("http://127.0.0.1:1".to_owned()), 403),
        (address.clone(), Some("null".to_owned()), 403),
    ] {
        let mut fields = vec![format!("Host: {host}")];
        fields.extend(origin.as_ref().map(|origin| format!("Origin: {origin}")));
        for (method, target) in [("GET", "/api/v1/status"), ("GET", "/metrics"), ("POST", "/api/v1/reload")] {
            assert_eq!(ask(method, target, &fields), status, "{method} {target} {host:?} {origin:?}");
        }
        assert_eq!(ask("GET", "/healthz", &fields), 200, "{host:?}");
    }
}

#[test]
fn the_document_of_the_api_names_every_path_that_there_is() {
    let edge =
        Edge::before(&Origin::saying("ok")).with("[routes.read-user]\npath = \"/a\"\nstage = \"monolith\"\n").start();
    let (status, document) = edge.admin_json("GET", "/api/v1/openapi.json");
    assert_eq!((status, &document["openapi"]), (200, &"3.1.0".into()));
    let paths = document["paths"].as_object().expect("paths are an object");
    // What the console links is what a person believes to be there.
    let page = edge.admin("GET", "/").text();
    for link in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let target = link.trim_start_matches("./").replace("&amp;", "&");
        assert!(
            link.starts_with('#') || edge.admin("GET", &format!("/{target}")).status() == 200,
            "{link} is not there"
        );
    }
    for (path, operations) in paths {
        let target = path.replace("{name}", "read-user");
        for method in operations.as_object().expect("operations are an object").keys() {
            if target == "/api/v1/events" {
                continue;
            }
            let status = edge.admin(&method.to_ascii_uppercase(), &target).status();
            let has_none = target.contains("comparisons") || target.ends_with("/gate");
            // There is no gate to pause, and no service to move to.
            let refused = method == "post" && status == 409;
            assert!(
                matches!(status, 200 | 400) || refused || (has_none && status == 404),
                "{method} {target}: {status}"
            );
        }
        let other = match (operations.get("get"), operations.get("delete")) {
            (_, Some(_)) => "POST",
            (Some(_), None) => "DELETE",
            (None, None) => "GET",
        };
        assert_eq!(edge.admin(other, &target).status(), 405, "{other} {target}");
    }
}
