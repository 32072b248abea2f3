//! Who may ask the admin listener: no page of another site, however it says where it is from, and only who has the token.

use crate::harness::{Client, Edge, Origin};

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
