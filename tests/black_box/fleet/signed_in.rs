//! etcd with users: signed in, and again when a token is not valid any more.

use serde_json::json;

use super::world::{CANARY, Etcd, World, act};
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
