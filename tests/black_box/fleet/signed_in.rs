//! etcd with users, and over TLS: signed in, and again when a token is not valid any more.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use super::world::{CANARY, Etcd, World, act, dial};
use crate::harness::{Reply, eventually};

#[test]
fn a_token_that_is_no_longer_valid_is_renewed() {
    let mut etcd = Etcd::start("auth");
    for (path, body) in [
        ("/v3/auth/user/add", json!({ "name": "root", "password": "secret" })),
        ("/v3/auth/role/add", json!({ "name": "root" })),
        ("/v3/auth/user/grant", json!({ "user": "root", "role": "root" })),
        ("/v3/auth/enable", json!({})),
    ] {
        assert!(etcd.call(path, &body).is_some_and(|answer| answer.is_object()), "{path}");
    }
    let folder = std::env::temp_dir().join(format!("multilith-etcd-password-{}", std::process::id()));
    std::fs::write(&folder, "secret\n").expect("written");
    let more = format!(", user = \"root\", password = {{ file = \"{}\" }}", folder.display());
    let world = World::start_with(&etcd, 2, CANARY, &more, Reply::ok("service"));
    assert_eq!(act(&world.edges[0], "promote", &json!({ "weight": "20%" })).0, 200);
    world.until_all_have("20%");
    // Its tokens are forgotten with a restart.
    etcd.stop();
    etcd.start_again();
    let moved = eventually("it moves again", || {
        Some(act(&world.edges[1], "promote", &json!({ "weight": "30%" }))).filter(|(status, _)| *status == 200)
    });
    assert_eq!(moved.1["seq"], 2);
    world.until_all_have("30%");
    drop(std::fs::remove_file(folder));
}

/// A folder with an authority, and what it signed.
struct Papers(PathBuf);

impl Papers {
    fn issue() -> Self {
        let folder = std::env::temp_dir().join(format!("multilith-etcd-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        fs::write(folder.join("ca.pem"), authority.pem()).expect("written");
        for name in ["etcd", "edge"] {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("names");
            let signed = params.signed_by(&key, &authority).expect("signed");
            fs::write(folder.join(format!("{name}.pem")), signed.pem()).expect("written");
            fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
        }
        Self(folder)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(Path::new(&self.0)));
    }
}

#[test]
fn etcd_over_tls_knows_the_replicas_by_their_certificates_and_no_stranger() {
    let papers = Papers::issue();
    let etcd = Etcd::start_with(
        "tls",
        &[
            &format!("--cert-file={}", papers.path("etcd.pem")),
            &format!("--key-file={}", papers.path("etcd.key")),
            &format!("--trusted-ca-file={}", papers.path("ca.pem")),
            "--client-cert-auth",
        ],
    );
    let (ca, cert, key) = (papers.path("ca.pem"), papers.path("edge.pem"), papers.path("edge.key"));
    let more = format!(", ca = \"{ca}\", cert = \"{cert}\", key = \"{key}\"");
    let world = World::start_with(&etcd, 2, CANARY, &more, Reply::ok("service"));
    assert_eq!(act(&world.edges[0], "promote", &json!({ "weight": "20%" })).0, 200);
    world.until_all_have("20%");
    // Without a certificate it is served with what its file says, and is told why.
    let stranger = world.another(&etcd, "stranger", CANARY, &format!(", ca = \"{ca}\""));
    stranger.await_log_line(&["etcd of the fleet", "cannot be listed"]);
    assert!(stranger.metric("multilith_fleet_up", &[]) < 0.5);
    assert_eq!(dial(&stranger).1, "10%");
    assert_eq!(stranger.client().request("GET", "/users", &["X-User-Id: u1"]).status(), 200);
}
