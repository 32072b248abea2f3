//! Tokens that are revoked in etcd, as the `DELETE /api/tokens` of `MicroFlack` does: a key for each, which lives as long as the token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::etcd::{Etcd, b64};
use crate::harness::{Edge, Origin, eventually};

const SECRET: &str = "a secret of more than thirty-two bytes";
const PREFIX: &str = "/revoked-tokens/";

fn token(claims: &str) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":4900000000,{claims}}}"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = ring::hmac::sign(&key, format!("{head}.{claims}").as_bytes());
    format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Etcd {
    /// As python-etcd writes, `client.write(PREFIX + token, '', ttl=…)`, which the tokens of the published `MicroFlack` are revoked with.
    fn revoke_by_v2(&self, name: &str, seconds: u32) {
        let (url, ttl) = (format!("{}/v2/keys{PREFIX}{name}", self.url()), format!("ttl={seconds}"));
        let curl = ["-s", "-f", "-L", "-X", "PUT", &url, "-d", "value=", "-d", &ttl];
        let done = std::process::Command::new("curl").args(curl).output().expect("curl is installed");
        assert!(done.status.success(), "{done:?}");
    }

    fn revoke(&self, name: &str) {
        self.must("/v3/kv/put", &json!({ "key": b64(&format!("{PREFIX}{name}")), "value": "" }));
    }

    fn revoke_for_a_moment(&self, name: &str) {
        let lease = self.must("/v3/lease/grant", &json!({ "TTL": "1" }))["ID"].clone();
        self.must("/v3/kv/put", &json!({ "key": b64(&format!("{PREFIX}{name}")), "value": "", "lease": lease }));
    }
}

struct Asked {
    edge: Edge,
    #[expect(dead_code, reason = "it serves")]
    origins: [Origin; 2],
}

impl Asked {
    fn before(etcd: &Etcd, secret: &std::path::Path) -> Self {
        Self::by(etcd, secret, "v3")
    }

    fn by(etcd: &Etcd, secret: &std::path::Path, api: &str) -> Self {
        std::fs::write(secret, SECRET).unwrap();
        let origins = [Origin::saying("monolith"), Origin::saying("service")];
        let route = format!(
            "[routes.mine]\npath = \"/mine\"\nservice = \"users\"\nstage = \"migrated\"\n[routes.mine.auth.jwt]\n\
             key = {{ file = \"{}\" }}\nrequired = false\nrevoked.etcd = {{ endpoints = [\"{}\"], prefix = \"{PREFIX}\", api = \"{api}\" }}\n",
            secret.display(),
            etcd.url()
        );
        let edge = Edge::before(&origins[0]).service("users", &origins[1]).with(&route).start();
        Self { edge, origins }
    }

    fn status(&self, token: &str) -> u16 {
        self.edge.client().request("GET", "/mine", &[&format!("Authorization: Bearer {token}")]).status()
    }

    fn until(&self, what: &str, token: &str, status: u16) {
        eventually(what, || (self.status(token) == status).then_some(()));
    }
}

fn file(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("revoked-{}-{name}", std::process::id()))
}

#[test]
fn a_revoked_token_passes_no_more_and_stays_revoked_while_etcd_is_away() {
    let mut etcd = Etcd::new("revoked");
    let (alice, bob, carol, dave) =
        (token("\"sub\":\"alice\""), token("\"sub\":\"bob\""), token("\"jti\":\"c-1\""), token("\"sub\":\"dave\""));
    etcd.revoke(&alice);
    let asked = Asked::before(&etcd, &file("kept"));
    asked.until("the list read", &bob, 200);
    assert_eq!(asked.status(&alice), 401, "revoked before the start");
    let response = asked.edge.client().request("GET", "/mine", &[&format!("Authorization: Bearer {alice}")]);
    assert!(response.text().contains("revoked token"), "{}", response.text());

    etcd.revoke(&bob);
    asked.until("a token revoked", &bob, 401);
    assert_eq!(asked.status(&carol), 200);
    etcd.revoke("c-1");
    asked.until("a token revoked by its id", &carol, 401);
    // etcd makes it two seconds.
    etcd.revoke_for_a_moment(&dave);
    asked.until("a token revoked for a while", &dave, 401);
    asked.until("the key gone with its lease", &dave, 200);

    etcd.stop();
    asked.edge.await_log_line(&["revoked tokens are not heard of"]);
    for (token, status) in [(&alice, 401), (&bob, 401), (&carol, 401), (&dave, 200)] {
        assert_eq!(asked.status(token), status);
    }
    etcd.start_again();
    etcd.revoke(&dave);
    asked.until("what was revoked after the outage", &dave, 401);
    asked.edge.await_log_line(&["revoked tokens are heard of again"]);
    assert_eq!(asked.status(&alice), 401);
}

#[test]
fn before_the_list_was_read_no_token_passes() {
    let mut etcd = Etcd::new("revoked-late");
    let alice = token("\"sub\":\"alice\"");
    etcd.stop();
    let asked = Asked::before(&etcd, &file("late"));
    assert_eq!(asked.status(&alice), 503);
    assert_eq!(asked.edge.get("/mine").status(), 200, "a request without a token cannot be revoked");
    etcd.start_again();
    asked.until("the list read", &alice, 200);
}

#[test]
fn a_token_revoked_by_the_published_microflack_passes_no_more() {
    let mut etcd = Etcd::with_v2("revoked-v2");
    let names = ["alice", "bob", "carol", "dave"];
    let [alice, bob, carol, dave] = names.map(|name| token(&format!("\"user_id\":\"{name}\"")));
    let asked = Asked::by(&etcd, &file("v2"), "v2");
    asked.until("a folder that is not there yet revokes nothing", &alice, 200);
    etcd.revoke_by_v2(&alice, 3600);
    asked.until("a token revoked", &alice, 401);
    etcd.revoke_by_v2(&bob, 2);
    asked.until("a token revoked for a while", &bob, 401);
    asked.until("the key gone with its time", &bob, 200);
    assert_eq!((asked.status(&carol), asked.status(&alice)), (200, 401));
    // The other API is another store.
    etcd.revoke(&dave);
    etcd.revoke_by_v2(&carol, 3600);
    asked.until("a later one", &carol, 401);
    assert_eq!(asked.status(&dave), 200);

    etcd.stop();
    asked.edge.await_log_line(&["revoked tokens are not heard of"]);
    assert_eq!((asked.status(&alice), asked.status(&dave)), (401, 200));
    etcd.start_again();
    etcd.revoke_by_v2(&dave, 3600);
    asked.until("what was revoked after the outage", &dave, 401);
}

#[test]
fn an_etcd_without_the_old_api_lets_no_token_pass() {
    let etcd = Etcd::new("revoked-no-v2");
    let asked = Asked::by(&etcd, &file("no-v2"), "v2");
    asked.edge.await_log_line(&["revoked tokens are not heard of"]);
    assert_eq!(asked.status(&token("\"user_id\":7")), 503);
}

#[test]
fn an_id_with_slashes_is_found_under_the_key_that_etcd_makes_of_it() {
    let etcd = Etcd::with_v2("revoked-slashes");
    let [plain, below, doubled] = ["a-1", "team/7", "team//8"].map(|id| token(&format!("\"jti\":\"{id}\"")));
    let asked = Asked::by(&etcd, &file("slashes"), "v2");
    asked.until("the list read", &plain, 200);
    assert_eq!((asked.status(&below), asked.status(&doubled)), (200, 200));
    etcd.revoke_by_v2("team/7", 3600);
    asked.until("an id that is a folder and a key", &below, 401);
    etcd.revoke_by_v2("team//8", 3600);
    asked.until("an id whose key etcd writes otherwise", &doubled, 401);
    assert_eq!(asked.status(&plain), 200);
}

#[test]
fn what_was_revoked_stays_so_in_a_cluster_that_begins_anew() {
    for api in ["v2", "v3"] {
        let mut etcd = Etcd::with_v2(&format!("revoked-anew-{api}"));
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| token(&format!("\"sub\":\"{name}\"")));
        let revoke = |etcd: &Etcd, name: &str| match api {
            "v2" => etcd.revoke_by_v2(name, 3600),
            _ => etcd.revoke(name),
        };
        for other in 0..20 {
            revoke(&etcd, &format!("other-{other}"));
        }
        revoke(&etcd, &alice);
        let asked = Asked::by(&etcd, &file(api), api);
        asked.until("a token revoked", &alice, 401);
        assert_eq!(asked.status(&bob), 200);
        // The members are called as before, so the cluster has the same id.
        etcd.forget_everything();
        revoke(&etcd, &bob);
        asked.until("what the new cluster says", &bob, 401);
        asked.edge.await_log_line(&["etcd has lost its history"]);
        revoke(&etcd, &carol);
        asked.until("what it says later", &carol, 401);
        assert_eq!([&alice, &bob].map(|token| asked.status(token)), [401, 401], "{api}");
    }
}
