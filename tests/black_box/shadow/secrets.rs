//! Nothing secret is kept or shown: secrets are sent in every place a secret can be, and looked for in every place it could be kept.

use std::fs;
use std::path::Path;

use crate::harness::{Edge, Origin, PATIENCE, Reply};
use crate::shadow::comparing::diff;

/// Each stands in another place; all have to vanish.
const SECRETS: [&str; 9] = [
    "secret-authorization-1",
    "secret-cookie-2",
    "secret-set-cookie-3",
    "secret-api-key-4",
    "secret-query-5",
    "secret-json-request-6",
    "secret-json-answer-7",
    "secret-nested-8",
    "secret-form-9",
];

/// As frameworks and old protocols write them.
const DISGUISED: [&str; 7] = [
    "secret-bracketed-10",
    "secret-own-name-11",
    "secret-form-bracketed-12",
    "secret-soap-13",
    "secret-twice-14",
    "secret-referer-15",
    "secret-header-16",
];

fn answer(by: &str) -> Reply {
    let [.., in_answer, nested, _] = SECRETS;
    let [_, _, _, soap, twice, ..] = DISGUISED;
    let body = format!(
        "{{\"by\":\"{by}\",\"password\":\"{in_answer}-{by}\",\"deep\":[{{\"card_number\":{{\"of\":\"{nested}-{by}\"}}}}],\
         \"echo\":\"{in_answer}-{by}\",\"soap\":\"<x:password>{soap}-{by}</x:password>\",\
         \"twice\":\"\\\"{{\\\\\\\"password\\\\\\\":\\\\\\\"{twice}-{by}\\\\\\\"}}\\\"\"}}"
    );
    let cookie = format!("Set-Cookie: sid={}-{by}; HttpOnly", SECRETS[2]);
    Reply::status("200 OK", &["Content-Type: application/json", &cookie], body)
}

#[test]
fn no_secret_is_kept_or_shown_anywhere() {
    let monolith = Origin::start(|_| answer("monolith"));
    let service = Origin::start(|_| answer("service"));
    let [authorization, cookie, _, key, query, in_json, _, _, form] = SECRETS;
    let [bracketed, own, in_form, _, _, referer, device] = DISGUISED;
    let tables = format!(
        "[services.new]\nurl = \"{}\"\nsandbox = true\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n\
         [routes.all.shadow]\nmethods = [\"GET\", \"POST\"]\nwrites = \"sandbox\"\n\
         [routes.all.shadow.compare]\nexamples = \"values\"\nheaders = [\"set-cookie\", \"content-type\"]\n\
         redact = [\"password\", \"card_number\", \"token\", \"iban\", \"header:x-device\"]\nnoise = {{ replay = \"100%\", per_second = 1000 }}\n",
        service.url()
    );
    let mut edge = Edge::before(&monolith).with(&tables).start();
    let fields = [
        format!("Authorization: Bearer {authorization}"),
        format!("Cookie: sid={cookie}; theme=dark"),
        format!("X-Api-Key: {key}"),
        format!("Referer: http://e/pay?iban={referer}"),
        format!("X-Device: {device}"),
    ];
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let mut client = edge.client();
    let target =
        format!("/account?token={query}&page=2&user%5Bpassword%5D={bracketed}&user[password]={bracketed}&iban={own}");
    client.request("GET", &target, &fields);
    for (kind, body) in [
        ("application/json", format!("{{\"password\":\"{in_json}\",\"name\":\"Ann\"}}")),
        ("application/x-www-form-urlencoded", format!("password={form}&user%5Bpassword%5D={in_form}&name=Ann")),
    ] {
        let head = format!(
            "POST /account HTTP/1.1\r\nHost: e\r\n{}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            fields.join("\r\n"),
            body.len()
        );
        client.send(head);
        client.response();
    }
    let report = edge.await_compared(3);
    assert!(report["fields"].to_string().contains("$.by"), "{report:#}");
    let file = edge.path().with_file_name("out.hurl");
    diff(&edge, &["--export", file.to_str().expect("a path in ASCII")]);
    let mut seen = vec![
        ("the API", report.to_string()),
        ("the kept requests", edge.admin("GET", "/api/v1/routes/all/comparisons.hurl").text()),
        ("the board", edge.admin("GET", "/api/v1/status").text()),
        ("the metrics", edge.admin("GET", "/metrics").text()),
        ("diff", diff(&edge, &[]).1),
        ("diff --json", diff(&edge, &["--json"]).1),
        ("diff --export", fs::read_to_string(&file).expect("the file was written")),
    ];
    assert!(seen[1].1.contains("/account"), "something was kept: {}", seen[1].1);
    edge.signal("TERM");
    edge.wait(PATIENCE).expect("it ends");
    let kept = everything_below(&edge.path().with_file_name("state"));
    assert!(kept.contains("/account"), "the kept requests are on disk: {kept}");
    seen.push(("state_dir", kept));
    seen.push(("the log", edge.log()));
    for (place, text) in &seen {
        for secret in SECRETS.into_iter().chain(DISGUISED) {
            assert!(!text.contains(secret), "{secret} in {place}: {text}");
        }
    }
}

fn everything_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        text += &if path.is_dir() {
            everything_below(&path)
        } else {
            String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned()
        };
    }
    text
}

#[test]
fn a_sign_in_that_belongs_to_a_connection_is_not_copied() {
    let monolith = Origin::start(|request| match request.get("authorization") {
        None => Reply::status("401 Unauthorized", &["WWW-Authenticate: NTLM"], ""),
        Some(_) => Reply::ok("signed in"),
    });
    let service = Origin::saying("service");
    let tables = format!(
        "[services.new]\nurl = \"{}\"\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n",
        service.url()
    );
    let edge = Edge::before(&monolith).with(&tables).start();
    let mut client = edge.client();
    assert_eq!(client.get("/challenged").status(), 401);
    assert_eq!(client.request("GET", "/signing-in", &["Authorization: NTLM 3"]).status(), 200);
    assert_eq!(client.get("/behind-it").status(), 401);
    assert_eq!(edge.client().request("GET", "/token", &["Authorization: Bearer NTLM"]).status(), 200);
    edge.await_skipped("credentials", 2);
    let copied: Vec<_> = service.await_requests(2).iter().map(|request| request.target().to_vec()).collect();
    assert!(copied.contains(&b"/challenged".to_vec()) && copied.contains(&b"/token".to_vec()), "{copied:?}");
    assert_eq!(copied.len(), 2);
}
