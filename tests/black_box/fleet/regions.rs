//! Regions one after another.

use serde_json::json;

use super::judged::Traffic;
use super::world::{Etcd, World, act, dial};
use crate::gate::traffic::{patiently, route};
use crate::harness::Reply;

/// The dial of the region before, as its own fleet would have written it.
fn before(etcd: &Etcd, seq: u64, weight: &str) {
    let dial = json!({ "stage": "canary", "weight": weight });
    let record = json!({ "v": 1, "stage": "canary", "weight": weight, "seq": seq, "by": "gate", "who": "gate@eu", "term": 1,
        "file": dial, "at": "2026-11-28T09:43:03.120Z", "action": "advance", "from": dial, "nonce": format!("eu-{seq}") });
    etcd.put("/multilith/eu/dial/users", &record.to_string());
}

#[test]
fn a_gate_takes_a_step_once_the_region_before_has_left_it_behind() {
    let etcd = Etcd::start("regions");
    // The prefix of these replicas ends in `test`.
    let order = "order = [\"eu\", \"test\"]\n";
    let route = order.to_owned() + &route("stage = \"canary\"\nweight = \"40%\"", "", "");
    let world = World::start_with(&etcd, 2, &route, "", Reply::ok("service"));
    let _traffic = Traffic::begin(&world);
    let leader = world.leader().expect("one leads");
    let waits_for = |words: &str| {
        patiently(words, || {
            let report = world.edges[leader].admin_json("GET", "/api/v1/routes/users/gate").1;
            report["why"].as_str().is_some_and(|why| why.contains(words))
        });
    };
    waits_for("region `eu` has to leave 60% behind first: its dial is not known here");
    before(&etcd, 1, "60%");
    waits_for("region `eu` has to leave 60% behind first: it is at 60%");
    assert!(world.edges.iter().all(|edge| dial(edge).1 == "40%"));
    before(&etcd, 2, "80%");
    patiently("it follows", || world.edges.iter().all(|edge| dial(edge).1 == "60%"));
    // The next step is held again, a person and a roll-back are not.
    waits_for("region `eu` has to leave");
    assert_eq!(act(&world.edges[0], "promote", &json!({ "weight": "90%" })).0, 200);
    world.until_all_have("90%");
    assert_eq!(act(&world.edges[1], "rollback", &json!({ "to": "canary", "weight": "0%" })).0, 200);
    world.until_all_have("0%");
}
