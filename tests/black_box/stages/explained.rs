//! `explain` says for each stage what the proxy does.

use serde_json::Value;

use crate::harness::{Edge, Origin, PATIENCE, Process};

const TABLES: &str = r#"
[routes.monolith]
path = "/monolith"
service = "users"
stage = "monolith"

[routes.shadow]
path = "/shadow"
service = "users"
stage = "shadow"
[routes.shadow.shadow]
sample = "100%"

[routes.canary]
path = "/canary"
service = "users"
stage = "canary"
weight = "30%"
sticky = ["header:x-user-id"]

[routes.split]
path = "/split"
stage = "split"
sticky = ["header:x-user-id"]
[routes.split.variants]
blue = { upstream = "monolith", weight = "50%" }
green = { upstream = "users", weight = "50%" }

[routes.migrated]
path = "/migrated/{id}"
service = "users"
stage = "migrated"
rewrite = { path = "/v2/{id}" }

[routes.retired]
path = "/retired"
service = "users"
stage = "retired"
"#;

fn explain(edge: &Edge, arguments: &[&str]) -> Value {
    let file = edge.path().display().to_string();
    let mut process = Process::spawn(["explain", "--json", "-c", &file].iter().chain(arguments));
    let status = process.wait(PATIENCE).expect("explain ends");
    assert!(status.success(), "{}", process.stderr());
    serde_json::from_str(&process.stdout()).expect("JSON")
}

#[test]
fn explain_agrees_with_the_proxy_in_every_stage() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &service).with(TABLES).start();
    for path in ["/monolith", "/shadow", "/canary", "/split", "/migrated/7", "/retired", "/unrouted"] {
        for user in ["X-User-Id: a", "X-User-Id: b", "X-User-Id: c", "X-User-Id: d"] {
            let said = explain(&edge, &["GET", &format!("http://edge.test{path}"), "-H", user]);
            let answered = edge.client().request("GET", path, &[user]).text();
            let upstream = if answered == "service" { "users" } else { "monolith" };
            assert_eq!(said["upstream"], upstream, "{path} {user}: {said}");
            println!("{path} {user}: {} by {}: {}", said["stage"], said["side"], said["reason"]);
        }
    }
    let said = explain(&edge, &["GET", "http://edge.test/migrated/7?x=1"]);
    assert_eq!((&said["route"], &said["stage"]), (&"migrated".into(), &"migrated".into()));
    assert_eq!(said["request"]["target"], "/v2/7?x=1");
    assert_eq!(explain(&edge, &["GET", "/shadow"])["shadow"]["upstream"], "users");
    assert_eq!(explain(&edge, &["GET", "/unrouted"])["route"], Value::Null);
}

#[test]
fn what_an_upstream_takes_at_once_and_how_it_is_told_of_clients_is_shown() {
    let monolith = Origin::saying("monolith");
    let edge = Edge::before(&monolith)
        .monolith("max_in_flight = 8\nqueue = { length = 3, timeout = \"2s\" }\nproxy_protocol = 2")
        .start();
    let told = explain(&edge, &["GET", "http://a/x"]);
    let limit = serde_json::json!({ "max_in_flight": 8, "queue_length": 3, "queue_timeout_seconds": 2.0 });
    assert_eq!((&told["limit"], &told["proxy_protocol"]), (&limit, &serde_json::json!(2)));
}

/// A file that says much, and is right: the keys that bear on each request are named, and no others.
const MUCH: &str = r#"
[server]
listen = ["127.0.0.1:1"]
trusted = ["10.0.0.0/8"]
proxy_protocol = "accept"
[server.cookies]
same_site = "none"
secure = true
[server.tls]
listen = ["127.0.0.1:2"]
client_ca = "clients.pem"
client_ca_hosts = ["admin.shop.example"]
min_version = "1.3"
strict_sni = true
[server.tls.acme]
hosts = ["shop.example"]

[monolith]
url = "https://legacy.internal"
host = "legacy.paas.example"
health = { path = "/healthz", host = "shop.example", headers = { x-probe = "pr0be" } }
tls = { verify = "chain", pin = ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] }

[services.users]
discover.etcd = { endpoints = ["http://127.0.0.1:2379"], prefix = "/services/users/" }

[routes.me]
path = "/me"
service = "users"
stage = "canary"
weight = "50%"
allow = ["10.0.0.0/8", "203.0.113.0/24"]
rate_limit = { per = "ip", rate = "10/s", burst = 20 }
sticky = ["header:x-user-id"]
[routes.me.auth.jwt]
key = { env = "KEY" }
required = false
revoked.etcd = { endpoints = ["http://127.0.0.1:2379"], prefix = "/revoked-tokens/", api = "v2" }

[routes.account]
path = "/account"
service = "users"
stage = "migrated"
auth.forward = { url = "http://127.0.0.1:3000/whoami", headers = ["x-user-id"], cache = "10s" }

[routes.session]
path = "/session"
service = "users"
stage = "migrated"
auth.exchange = { exchange = "http://127.0.0.1:3000/exchange", from = "cookie:sessionid", set = { authorization = "Bearer {token}" } }

[routes.client]
path = "/client"
service = "users"
stage = "canary"
weight = "50%"
sticky = ["header:x-device", "ip"]

[pages]
error = "FOLDER/error.html"
"503" = "FOLDER/busy.html"
"#;

#[test]
fn each_key_that_bears_on_a_request_is_named() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("routes.toml");
    std::fs::write(&file, MUCH.replace("FOLDER", &folder.display().to_string())).unwrap();
    for page in ["error.html", "busy.html"] {
        std::fs::write(folder.join(page), "{status}").unwrap();
    }
    let file = file.display().to_string();
    let run = |arguments: &[&str]| {
        let all = [&["explain", "-c", &file], arguments].concat();
        let mut process = Process::spawn_with(all, [("KEY", "a secret of more than thirty-two bytes".to_owned())]);
        let code = process.wait(PATIENCE).and_then(|status| status.code()).expect("explain ends");
        (code, process.stdout() + &process.stderr())
    };
    let keys = |arguments: &[&str]| {
        let (code, said) = run(&[&["--json"], arguments].concat());
        assert_eq!(code, 0, "{said}");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let keys = said["keys"].as_array().expect("a list").clone();
        let of = |key: &Value| (key["key"].as_str().unwrap().to_owned(), key["effect"].as_str().unwrap().to_owned());
        keys.iter().map(of).collect::<Vec<_>>()
    };
    let from_ten = ["--client", "10.1.2.3", "-H", "X-Forwarded-For: 203.0.113.9"];
    for (arguments, expected) in [
        (
            &["GET", "https://shop.example/x"][..],
            &[
                ("server.proxy_protocol", "a PROXY header of a trusted peer"),
                ("server.tls.client_ca", "may show a certificate"),
                ("server.tls.min_version", "no TLS 1.3"),
                ("server.tls.strict_sni", "no certificate is for"),
                ("server.tls.acme", "the certificate of `shop.example` is ordered from https://acme-v02"),
                ("pages", "503 and every other error"),
                ("monolith.host", "asked as legacy.paas.example"),
                ("monolith.tls", "whatever name it is for; its key is the one of `pin`"),
                ("monolith.health", "GET /healthz of shop.example with x-probe, answered 200 to 399, every 2s"),
            ][..],
        ),
        (
            &["GET", "https://ADMIN.shop.example:8443/x"],
            &[("server.tls.client_ca_hosts", "a request for `ADMIN.shop.example` needs a certificate")],
        ),
        (
            &[&["GET", "/me", "-H", "X-User-Id: 7"], &from_ten[..]].concat(),
            &[
                ("server.trusted", "the peer 10.1.2.3 is one of them: the client is 203.0.113.9"),
                ("routes.me.allow", "203.0.113.9 lies in 203.0.113.0/24"),
                ("routes.me.rate_limit", "10 requests in 1s for each address, and 20 at once"),
                ("routes.me.auth.jwt.revoked.etcd", "below /revoked-tokens/ names (API v2) gets 401"),
                (
                    "routes.me.sticky",
                    "the first of header:x-user-id, cookie:multilith_id names the client; here header:x-user-id",
                ),
            ],
        ),
        (
            &[&["GET", "/me"], &from_ten[..]].concat(),
            &[
                ("routes.me.sticky", "here none"),
                (
                    "server.cookies",
                    "the answer sets multilith_id=…; Path=/; Max-Age=31536000; HttpOnly; SameSite=None; Secure",
                ),
            ],
        ),
        (
            &["GET", "/account"],
            &[
                ("routes.account.auth.forward", "an answer 2xx is used again for 10s, for the same request"),
                ("routes.account.auth", "no client says x-user-id itself"),
                ("services.users.discover.etcd", "keys below /services/users/"),
            ],
        ),
        (
            &["GET", "/session"],
            &[(
                "routes.session.auth.exchange",
                "the first of cookie:sessionid is exchanged; what comes is used again for 300s",
            )],
        ),
        (&["GET", "/client"], &[("routes.client.sticky", "here ip")]),
    ] {
        let found = keys(arguments);
        for (key, effect) in expected {
            let is_said = found.iter().any(|(own, said)| own == key && said.contains(effect));
            assert!(is_said, "{arguments:?}: no `{key}` with `{effect}` in {found:#?}");
        }
        let (_, text) = run(arguments);
        assert!(found.iter().all(|(key, effect)| text.contains(&format!("  {key}: {effect}\n"))), "{text}");
        assert!(!text.contains("pr0be"), "a header of the health check may be a secret");
    }
    assert!(keys(&["GET", "http://other.example/client"]).iter().all(|(key, _)| !key.starts_with("server.tls")));
    let (code, said) = run(&["GET", "http://admin.shop.example/x"]);
    assert!(code == 1 && said.contains("403") && said.contains("client_ca_hosts"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}
