//! What a route asks of its clients, seen from outside: rates and tokens.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::{Edge, Gate, Origin, Reply, Response, eventually};

const SECRET: &str = "a secret of more than thirty-two bytes";

/// A token signed with HS256, good for a century.
fn token(secret: &str, claims: &str) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":4900000000,\"aud\":\"shop\",{claims}}}"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = ring::hmac::sign(&key, format!("{head}.{claims}").as_bytes());
    format!("Authorization: Bearer {head}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn alice() -> String {
    token(SECRET, "\"sub\":\"alice\"")
}

fn key_set(secret: &str) -> String {
    format!("{{\"keys\":[{{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"{}\"}}]}}", URL_SAFE_NO_PAD.encode(secret))
}

/// A route whose keys are these.
fn protected(keys: &str) -> String {
    format!(
        "[routes.mine]\npath = \"/mine\"\nservice = \"users\"\nstage = \"migrated\"\n\
         auth.jwt = {{ {keys}, audience = \"shop\", forward = {{ sub = \"x-user-id\" }} }}\n"
    )
}

fn limited(limit: &str) -> String {
    format!(
        "[routes.mine]\npath = \"/mine\"\nservice = \"users\"\nstage = \"migrated\"\nrate_limit = {{ {limit} }}\n\
         [routes.other]\npath = \"/other\"\nservice = \"users\"\nstage = \"migrated\"\n"
    )
}

struct TestFile(PathBuf);

impl TestFile {
    fn new(name: &str) -> Self {
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("access-{}-{name}", std::process::id())))
    }

    fn write(&self, text: &str) {
        let beside = self.0.with_extension("new");
        fs::write(&beside, text).expect("cargo's folder takes a file");
        fs::rename(&beside, &self.0).expect("a file can be renamed over another");
    }

    fn key(&self, key: &str) -> String {
        format!("{key} = \"{}\"", self.0.display())
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn ask(edge: &Edge, fields: &[&str]) -> Response {
    edge.client().request("GET", "/mine", fields)
}

#[test]
fn a_client_that_comes_too_often_is_told_when_to_come_again() {
    let users = Origin::saying("service");
    let edge = Edge::before(&users).service("users", &users);
    let edge = edge.with(&limited("per = \"ip\", rate = \"2/h\", burst = 2")).start();
    for remaining in ["1", "0"] {
        let response = ask(&edge, &[]);
        assert_eq!(response.status(), 200);
        assert_eq!(response.get("ratelimit-limit"), Some("2"));
        assert_eq!(response.get("ratelimit-remaining"), Some(remaining));
    }
    let response = ask(&edge, &[]);
    assert_eq!(response.status(), 429);
    let seconds: u64 = response.get("retry-after").expect("a time to wait").parse().expect("seconds");
    assert!((1700..=1800).contains(&seconds), "a token grows in half an hour, not in {seconds} s");
    assert_eq!(response.get("ratelimit-remaining"), Some("0"));
    assert_eq!(response.get("ratelimit-reset"), response.get("retry-after"));
    assert_eq!(edge.get("/other").status(), 200, "another route has no limit");
    assert_eq!(users.requests().len(), 3);
    let refused = || edge.metric("multilith_refused_total", &[("reason", "rate_limit")]);
    eventually("the refusal counted", || (refused() >= 1.0).then_some(()));
}

#[test]
fn a_reload_does_not_empty_the_buckets() {
    let users = Origin::saying("service");
    let edge = Edge::before(&users).service("users", &users);
    let edge = edge.with(&limited("per = \"ip\", rate = \"1/h\"")).start();
    assert_eq!(ask(&edge, &[]).status(), 200);
    edge.reload("[routes.more]\npath = \"/more\"\nstage = \"monolith\"");
    assert_eq!(ask(&edge, &[]).status(), 429);
}

#[test]
fn clients_are_told_apart_by_what_the_limit_names() {
    let users = Origin::saying("service");
    for (per, one, other) in [
        ("header:x-key", "X-Key: one", "X-Key: other"),
        ("cookie:key", "Cookie: a=b; key=one", "Cookie: a=b; key=other"),
    ] {
        let edge = Edge::before(&users).service("users", &users);
        let edge = edge.with(&limited(&format!("per = \"{per}\", rate = \"1/h\""))).start();
        for (field, expected) in [(one, 200), (other, 200), (one, 429), (other, 429), ("A: nobody", 200), ("A: x", 429)]
        {
            assert_eq!(ask(&edge, &[field]).status(), expected, "{per}: {field}");
        }
    }
}

#[test]
fn a_protected_route_asks_for_a_token_and_passes_its_claims_on() {
    let users = Origin::saying("service");
    let file = TestFile::new("secret");
    file.write(&format!("{SECRET}\n"));
    let keys = format!("key = {{ {} }}", file.key("file"));
    let edge = Edge::before(&users).service("users", &users).with(&protected(&keys)).start();

    for (name, fields) in [
        ("no token", vec![]),
        ("a token of another key", vec![token("another secret of more than 32 bytes", "\"sub\":\"root\"")]),
        ("an expired token", vec![token(SECRET, "\"sub\":\"root\",\"exp\":1000")]),
        ("a token for others", vec![token(SECRET, "\"sub\":\"root\",\"aud\":\"others\"")]),
        ("a token that is none", vec!["Authorization: Bearer e30.e30.e30".to_owned()]),
        ("an algorithm that is none", vec!["Authorization: Bearer eyJhbGciOiJub25lIn0.e30.".to_owned()]),
        ("two tokens", vec![alice(), alice()]),
        ("a claim that the connection would take away", vec![alice(), "Connection: x-user-id".to_owned()]),
    ] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).chain(["Accept: text/html"]).collect();
        let response = ask(&edge, &fields);
        assert_eq!(response.status(), 401, "{name}");
        assert_eq!(response.get("content-type"), Some("application/problem+json"), "{name}");
        assert!(response.get("www-authenticate").is_some_and(|value| value.starts_with("Bearer")), "{name}");
        let problem: serde_json::Value = serde_json::from_slice(&response.body).expect("a problem is JSON");
        assert_eq!(problem["status"], 401, "{name}");
    }
    assert!(users.requests().is_empty(), "a request without a good token reached the service");

    assert_eq!(ask(&edge, &[&alice(), "X-User-Id: root", "X_User_Id: root"]).text(), "service");
    let seen = users.request();
    assert_eq!(seen.head.all("x-user-id"), ["alice"]);
    assert_eq!(seen.get("x_user_id"), None);
    let refused = || edge.metric("multilith_refused_total", &[("reason", "token")]);
    eventually("the refusals counted", || (refused() >= 8.0).then_some(()));
}

#[test]
fn a_preflight_passes_without_a_token_and_without_a_claim() {
    let users = Origin::saying("service");
    let file = TestFile::new("preflight");
    file.write(SECRET);
    let keys = format!("key = {{ {} }}", file.key("file"));
    let edge = Edge::before(&users).service("users", &users).with(&protected(&keys)).start();
    let fields = ["Origin: http://a.example", "Access-Control-Request-Method: GET", "X-User-Id: root"];
    assert_eq!(edge.client().request("OPTIONS", "/mine", &fields).text(), "service");
    assert_eq!(users.request().get("x-user-id"), None);
    assert_eq!(edge.client().request("OPTIONS", "/mine", &["Origin: http://a.example"]).status(), 401);
}

#[test]
fn where_a_token_is_not_required_a_request_without_one_passes_without_claims() {
    let users = Origin::saying("service");
    let file = TestFile::new("optional");
    file.write(SECRET);
    let keys = format!("required = false, key = {{ {} }}", file.key("file"));
    let edge = Edge::before(&users).service("users", &users).with(&protected(&keys)).start();
    for shown in ["A: b", "Authorization: Basic eA==", "Authorization: BearerX"] {
        let expected = if shown.contains("BearerX") { 401 } else { 200 };
        assert_eq!(ask(&edge, &[shown, "X-User-Id: root"]).status(), expected, "{shown}");
    }
    assert!(users.requests().iter().all(|request| request.get("x-user-id").is_none()));
    assert_eq!(ask(&edge, &[&alice(), "X-User-Id: root"]).status(), 200);
    assert_eq!(users.requests().pop().expect("a request").head.all("x-user-id"), ["alice"]);
    let seen = users.requests().len();
    let other = token("another secret of more than 32 bytes", "\"sub\":\"root\"");
    for bad in [&other, "Authorization: bearer", "Authorization: Bearer ", "Authorization: a\r\nAuthorization: b"] {
        assert_eq!(ask(&edge, &[bad]).status(), 401, "{bad}");
    }
    assert_eq!(users.requests().len(), seen);
}

#[test]
fn a_claim_of_one_route_cannot_be_forged_on_another_of_its_service() {
    let users = Origin::saying("service");
    let file = TestFile::new("sibling");
    file.write(SECRET);
    let keys = format!("key = {{ {} }}", file.key("file"));
    let sibling = "[routes.sibling]\npath = \"/sibling\"\nservice = \"users\"\nstage = \"migrated\"\n";
    let edge = Edge::before(&users).service("users", &users).with(&(protected(&keys) + sibling)).start();
    assert_eq!(edge.client().request("GET", "/sibling", &["X-User-Id: 7", "x_user_id: 7", "X-Other: 1"]).status(), 200);
    let seen = users.request();
    assert_eq!((seen.get("x-user-id"), seen.get("x_user_id"), seen.get("x-other")), (None, None, Some("1")));
    assert_eq!(ask(&edge, &[&alice()]).status(), 200);
    assert_eq!(users.requests().pop().expect("a request").head.all("x-user-id"), ["alice"]);
}

#[test]
fn explain_says_that_a_token_is_needed_and_what_it_fills() {
    let routes = TestFile::new("explained.toml");
    let before = "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.users]\nurl = \"http://127.0.0.1:2\"\n";
    let key = TestFile::new("explained").key("file");
    let explained = |required: &str, header: &str| {
        let file = protected(&format!("key = {{ {key} }}, required = {required}"));
        routes.write(&format!("{before}{file}"));
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_multilith"))
            .args(["explain", "--json", "GET", "/mine", "-H", "X_User_Id: mallory", "-H", header, "-c"])
            .arg(&routes.0)
            .output()
            .expect("explain runs");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(!said.to_string().contains("mallory"), "{said}");
        let headers = said["request"]["headers"].as_array().expect("headers").clone();
        let told = headers.into_iter().find(|line| line[0].as_str().is_some_and(|name| name.contains("ser-")));
        (said["token"].clone(), told.map(|line| line[1].clone()))
    };
    for (required, shown) in [(true, true), (true, false), (false, true), (false, false)] {
        let header = if shown { alice() } else { "Accept: */*".to_owned() };
        let (token, told) = explained(&required.to_string(), &header);
        assert_eq!(token, serde_json::json!({"required": required, "shown": shown, "headers": ["x-user-id"]}));
        assert_eq!(told, shown.then(|| "(from auth.jwt)".into()));
    }
}

#[test]
fn check_says_that_a_secret_in_a_file_is_too_short() {
    let file = TestFile::new("short");
    file.write("too short");
    let routes = TestFile::new("short.toml");
    let before = "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.users]\nurl = \"http://127.0.0.1:2\"\n";
    routes.write(&format!("{before}{}", protected(&format!("key = {{ {} }}", file.key("file")))));
    let check = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_multilith"))
            .args(["check", "--json"])
            .arg(&routes.0)
            .output()
            .expect("check runs");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), said["diagnostics"].clone())
    };
    let (code, said) = check();
    assert_eq!(code, Some(1), "{said}");
    assert_eq!((&said[0]["code"], &said[0]["line"]), (&"short-secret".into(), &9.into()), "{said}");
    assert!(!said.to_string().contains("too short\""), "{said}");
    file.write(SECRET);
    assert_eq!(check(), (Some(0), serde_json::json!([])));
}

#[test]
fn without_keys_nobody_comes_in_and_a_file_that_appears_is_read() {
    let users = Origin::saying("service");
    let file = TestFile::new("jwks.json");
    let edge = Edge::before(&users).service("users", &users).with(&protected(&file.key("jwks"))).start();
    let response = ask(&edge, &[&alice()]);
    assert_eq!(response.status(), 503);
    assert!(response.get("retry-after").is_some());
    assert!(users.requests().is_empty());
    file.write(&key_set(SECRET));
    eventually("the keys in force", || (ask(&edge, &[&alice()]).status() == 200).then_some(()));
    // A broken file keeps the keys that were read before; a new one takes over.
    file.write("{");
    edge.await_log_line(&["keys for tokens cannot be used"]);
    assert_eq!(ask(&edge, &[&alice()]).status(), 200);
    file.write(&key_set("another secret of more than 32 bytes"));
    eventually("the old key out of force", || (ask(&edge, &[&alice()]).status() == 401).then_some(()));
}

#[test]
fn keys_under_a_url_are_fetched_and_a_reload_keeps_them() {
    let users = Origin::saying("service");
    let gate = Gate::new();
    let published = {
        let gate = gate.clone();
        Origin::start(move |_| {
            let set = key_set(SECRET);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}", set.len());
            Reply::default().when(&gate).then(answer)
        })
    };
    let keys = format!("jwks = \"{}/keys\"", published.url());
    let edge = Edge::before(&users).service("users", &users).with(&protected(&keys)).start();
    assert_eq!(ask(&edge, &[&alice()]).status(), 503, "the keys have not come yet");
    gate.open();
    eventually("the keys in force", || (ask(&edge, &[&alice()]).status() == 200).then_some(()));
    drop(published);
    edge.reload("[routes.more]\npath = \"/more\"\nstage = \"monolith\"");
    assert_eq!(ask(&edge, &[&alice()]).status(), 200);
}

#[test]
fn a_secret_is_never_printed() {
    let users = Origin::saying("service");
    let file = TestFile::new("printed");
    file.write(SECRET);
    let keys = format!("key = {{ {} }}", file.key("file"));
    let edge = Edge::before(&users).service("users", &users).with(&protected(&keys)).start();
    ask(&edge, &[&alice()]);
    edge.await_log_line(&["/mine"]);
    assert!(!edge.log().contains(SECRET) && !edge.config().to_string().contains(SECRET));
}
