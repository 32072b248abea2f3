//! Without etcd: requests are answered, dials stay, what makes it safe acts at once and is told later.

use serde_json::json;

use super::world::{CANARY, Etcd, World, act, dial, post, sides};
use crate::harness::{Edge, eventually};

fn is_up(edge: &Edge) -> bool {
    edge.metric("multilith_fleet_up", &[]) > 0.5
}

#[test]
fn without_etcd_dials_stay_and_a_roll_back_acts_here_and_is_told_later() {
    let mut etcd = Etcd::start("away");
    let mut world = World::start(&etcd, 2, CANARY);
    assert_eq!(act(&world.edges[0], "promote", &json!({ "weight": "50%" })).0, 200);
    world.until_all_have("50%");
    let before = sides(&world.edges[0], 200);
    etcd.stop();
    eventually("both notice", || world.edges.iter().all(|edge| !is_up(edge)).then_some(()));
    for edge in &world.edges {
        assert_eq!(sides(edge, 200), before, "requests do not notice");
        assert_eq!(edge.admin("GET", "/readyz").status(), 200);
    }
    let (status, said) = act(&world.edges[0], "promote", &json!({ "weight": "60%" }));
    assert_eq!((status, &said["code"]), (503, &json!("fleet-unreachable")), "{said}");
    let (status, said) = act(&world.edges[0], "rollback", &json!({ "to": "canary", "weight": "0%" }));
    assert_eq!((status, &said["local"], &said["replicas"]["in_force"]), (200, &json!(true), &json!(1)), "{said}");
    assert!(!sides(&world.edges[0], 200).contains(&"service".to_owned()), "it is in force on the next request");
    assert_eq!(dial(&world.edges[1]).1, "50%");
    assert_eq!(post(&world.edges[1], "/api/v1/monolith-only", &json!({ "on": true })).status(), 200);
    // What was not told survives a restart without etcd, and so do dials.
    world.edges[0].restart();
    assert_eq!(dial(&world.edges[0]).1, "0%");
    assert!(!sides(&world.edges[0], 200).contains(&"service".to_owned()));
    etcd.start_again();
    world.until_all_have("0%");
    eventually("the button everywhere", || {
        world.edges.iter().all(|edge| edge.metric("multilith_monolith_only", &[]) > 0.5).then_some(())
    });
    // What was pressed without etcd is told once: a release behind it stays.
    assert_eq!(post(&world.edges[0], "/api/v1/monolith-only", &json!({ "on": false })).status(), 200);
    eventually("the button is released everywhere", || {
        world.edges.iter().all(|edge| edge.metric("multilith_monolith_only", &[]) < 0.5).then_some(())
    });
    assert_eq!(etcd.values("button")[0]["on"], false);
    assert_eq!(etcd.values("pressed/").len(), 2, "each press and each release once");
    let entries = etcd.values("journal/users/");
    let told: Vec<_> =
        entries.iter().map(|entry| (entry["seq"].as_u64().unwrap(), entry["action"].as_str().unwrap())).collect();
    assert_eq!(told, [(1, "promote"), (2, "roll-back")]);
}

#[test]
fn a_roll_back_made_while_etcd_stood_still_is_told_although_no_connection_broke() {
    // What is asked meanwhile is answered before the third of its names was tried in vain.
    let etcd = Etcd::start("still").with_names(3);
    let world = World::start(&etcd, 2, CANARY);
    etcd.signal("STOP");
    eventually("both notice", || world.edges.iter().all(|edge| !is_up(edge)).then_some(()));
    let (status, said) = act(&world.edges[0], "rollback", &json!({ "to": "canary", "weight": "0%" }));
    etcd.signal("CONT");
    assert_eq!((status, &said["local"]), (200, &json!(true)), "{said}");
    world.until_all_have("0%");
}

#[test]
fn an_etcd_that_forgot_everything_gets_the_dials_back() {
    let mut etcd = Etcd::start("empty");
    let world = World::start(&etcd, 2, CANARY);
    for weight in ["20%", "30%", "40%"] {
        assert_eq!(act(&world.edges[0], "promote", &json!({ "weight": weight })).0, 200);
    }
    world.until_all_have("40%");
    etcd.forget_everything();
    let back = eventually("the dial is back", || etcd.values("dial/users").first().cloned());
    assert_eq!((back["seq"].as_u64(), back["weight"].as_str()), (Some(3), Some("40%")));
    eventually("somebody leads again", || world.leader());
    let (status, moved) = eventually("moves go on", || {
        Some(act(&world.edges[1], "promote", &json!({ "weight": "50%" }))).filter(|(status, _)| *status == 200)
    });
    assert_eq!((status, moved["seq"].as_u64()), (200, Some(4)), "the numbers go on");
    world.until_all_have("50%");
}

#[test]
fn a_start_without_etcd_serves_with_the_file_and_joins_later() {
    let mut etcd = Etcd::start("late");
    etcd.stop();
    let monolith = crate::harness::Origin::saying("monolith");
    let service = crate::harness::Origin::saying("service");
    let fleet = format!(
        "[fleet]\nname = \"edge-1\"\nttl = \"3s\"\netcd = {{ endpoints = [\"{}\"], prefix = \"/multilith/test/\" }}\n",
        etcd.url()
    );
    let edge = Edge::before(&monolith).service("users", &service).with(&fleet).with(CANARY).start();
    assert_eq!(dial(&edge), (0, "10%".to_owned()));
    assert!(sides(&edge, 100).contains(&"service".to_owned()));
    edge.await_log_line(&["did not answer within"]);
    etcd.start_again();
    eventually("it joins", || is_up(&edge).then_some(()));
    assert_eq!(
        eventually("it moves", || Some(act(&edge, "promote", &json!({ "weight": "20%" })).0)
            .filter(|status| *status == 200)),
        200
    );
}
