//! Regions one after another.

use serde_json::{Value, json};

use super::judged::Traffic;
use super::world::{Etcd, World, act, dial};
use crate::edge::console::{HTML, ask};
use crate::gate::traffic::{patiently, route, verb};
use crate::harness::{Edge, Reply, eventually};

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

    // What this region counted lies beside the regions, for people; another region's, as it would have written it.
    let own = eventually("the region says its sums", || {
        sums(&world.edges[1]).into_iter().find(|sums| sums["seq"] == json!(3) && sums["weight"] == "0%")
    });
    assert_eq!((&own["region"], &own["route"], &own["seconds"]), (&json!("test"), &json!("users"), &json!(1)));
    let other = json!({ "region": "eu", "route": "users", "stage": "canary", "weight": "80%", "seq": 2, "term": 1,
        "asked": [3, 7], "failed": [0, 1], "refused": [0, 0], "seconds": 60, "at": "2026-11-28T09:43:03.120Z" });
    etcd.put("/multilith/sums/eu/users", &other.to_string());
    let all = sums(&world.edges[0]);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0], other, "in the order of the regions");
    let (code, told, _) = verb(&world.edges[0], &["fleet"]);
    assert_eq!(code, 0);
    assert!(told.contains("REGION") && told.contains("3 / 7") && told.contains(": old"), "{told}");

    // The console has the same, on a page of its own; the board does not wait for etcd.
    let shown = |target: &str| ask(&world.edges[leader], "GET", target, &[HTML], "").2;
    let board = shown("/");
    for said in ["region <b>test</b>, its gates wait for eu", "this one leads, in term ", "href=\"fleet\""] {
        assert!(board.contains(said), "{said}: {board}");
    }
    assert!(!board.contains("id=\"regions-h\""), "{board}");
    let page = shown("/fleet");
    let row = page.split("<b>eu</b>").nth(1).and_then(|rest| rest.split("</tr>").next()).expect("the region before");
    for said in ["href=\"route/users\"", ">3</span> / <span class=\"serv\">7<", "#2", ">old<", "in term 1, of 60"] {
        assert!(row.contains(said), "{said}: {row}");
    }
    assert!(page.contains("eu → test") && page.contains("<b>test</b> <span class=\"dim\">this one"), "{page}");
}

fn sums(edge: &Edge) -> Vec<Value> {
    edge.admin_json("GET", "/api/v1/fleet/regions").1.as_array().cloned().expect("a list")
}
