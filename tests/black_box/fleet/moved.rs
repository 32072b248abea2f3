//! One dial: whoever moves it, all have it in force.

use std::time::{Duration, Instant};

use serde_json::json;

use super::world::{CANARY, Etcd, World, act, dial, members, post, sides};
use crate::harness::eventually;

#[test]
fn a_move_on_one_replica_is_in_force_on_all_and_the_journal_has_no_gap() {
    let etcd = Etcd::start("moved");
    let world = World::start(&etcd, 3, CANARY);
    for (edge, verb, weight) in
        [(0, "promote", "25%"), (1, "promote", "60%"), (2, "rollback", "30%"), (0, "promote", "31%")]
    {
        // An etcd that is busy for a second makes no move.
        let moved = eventually("a move", || {
            let (status, moved) = act(&world.edges[edge], verb, &json!({ "weight": weight }));
            let busy = (status, &moved["code"]) == (503, &json!("fleet-unreachable"));
            assert!(busy || status == 200, "{moved}");
            (!busy).then_some(moved)
        });
        let answered = Instant::now();
        world.until_all_have(weight);
        let took = answered.elapsed();
        println!("{verb} to {weight}: {} and everywhere {took:?} after the answer", moved["replicas"]);
        assert_eq!(moved["replicas"]["of"], 3);
    }
    let before = sides(&world.edges[0], 300);
    assert!(before.contains(&"service".to_owned()) && before.contains(&"monolith".to_owned()));
    for edge in &world.edges[1..] {
        assert_eq!(sides(edge, 300), before, "one client, one side");
    }
    let seqs: Vec<u64> = etcd.values("journal/users/").iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    for edge in &world.edges {
        let page = edge.admin_json("GET", "/api/v1/journal?route=users").1;
        let kept: Vec<_> =
            page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
        assert_eq!(kept, [1, 2, 3, 4], "every disk has every move");
        assert!((edge.metric("multilith_fleet_dial_seq", &[("route", "users")]) - 4.0).abs() < 0.5);
        assert!((edge.metric("multilith_fleet_members", &[]) - 3.0).abs() < 0.5);
    }
}

#[test]
fn who_knows_less_is_refused_and_told_what_is_in_force() {
    let etcd = Etcd::start("overtaken");
    let world = World::start(&etcd, 2, CANARY);
    let (status, _) = act(&world.edges[0], "promote", &json!({ "weight": "20%" }));
    assert_eq!(status, 200);
    world.until_all_have("20%");
    let (status, said) = act(&world.edges[1], "promote", &json!({ "weight": "30%", "expect_seq": 0 }));
    assert_eq!((status, &said["seq"]), (412, &json!(1)), "{said}");
    // Both at once: one of them is told that the other was first, or both are made one after the other; never one number twice.
    std::thread::scope(|scope| {
        for (edge, weight) in world.edges.iter().zip(["40%", "50%"]) {
            scope.spawn(move || act(edge, "promote", &json!({ "weight": weight })));
        }
    });
    let number = |edge| dial(edge).0;
    eventually("one dial", || (number(&world.edges[0]) == number(&world.edges[1])).then_some(()));
    let entries = etcd.values("journal/users/");
    let seqs: Vec<u64> = entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_rolled_out_replica_by_replica_moves_once_and_never_back() {
    let etcd = Etcd::start("file");
    let mut world = World::start(&etcd, 3, CANARY);
    let change = |edge: &crate::harness::Edge| edge.replace_file(&edge.text("").replace("\"10%\"", "\"35%\""));
    change(&world.edges[0]);
    world.until_all_have("35%");
    // One with the old text restarts and forgets everything: it obeys.
    let state = world.edges[2].path().with_file_name("state");
    std::fs::remove_dir_all(state).expect("the folder goes");
    world.edges[2].restart();
    eventually("it obeys", || (dial(&world.edges[2]) == (1, "35%".to_owned())).then_some(()));
    for edge in &world.edges[1..] {
        let generation = edge.generation();
        change(edge);
        eventually("the file is in force", || (edge.generation() > generation).then_some(()));
    }
    eventually("all have the same file", || {
        let files: Vec<_> = members(&world.edges[0]).iter().map(|member| member["file"].clone()).collect();
        (files.len() == 3 && files.iter().all(|file| *file == files[0])).then_some(())
    });
    let entries = etcd.values("journal/users/");
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((&entries[0]["by"], &entries[0]["action"]), (&json!("file"), &json!("file")));
    // Back to a value of the past is no move by a file, but one of a person.
    world.edges[0].replace_file(&world.edges[0].text(""));
    world.edges[0].await_log_line(&["a newer one replaced"]);
    assert_eq!(dial(&world.edges[1]), (1, "35%".to_owned()));
}

#[test]
fn a_leader_that_is_told_to_stop_is_followed_at_once() {
    let etcd = Etcd::start("leader");
    let mut world = World::start(&etcd, 2, CANARY);
    let first = world.leader().expect("one leads");
    let began = Instant::now();
    world.edges[first].signal("TERM");
    let next = &world.edges[1 - first];
    eventually("the next leads", || (next.metric("multilith_fleet_leader", &[]) > 0.5).then_some(()));
    println!("the next led {:?} after SIGTERM", began.elapsed());
    assert!(members(next).iter().any(|member| member["leader"] == true && member["asked"] == true));
    assert!(world.edges[first].wait(Duration::from_secs(20)).expect("it ends").success());
    world.edges[first].restart();
    eventually("both are listed", || (members(&world.edges[first]).len() == 2).then_some(()));
}

#[test]
fn the_big_red_button_is_pressed_and_released_everywhere() {
    let etcd = Etcd::start("button");
    let world = World::start(&etcd, 2, CANARY);
    for (edge, on) in [(0, true), (1, false)] {
        let response = post(&world.edges[edge], "/api/v1/monolith-only", &json!({ "on": on, "reason": "drill" }));
        assert_eq!(response.status(), 200);
        eventually("the button everywhere", || {
            let pressed = |edge: &crate::harness::Edge| edge.metric("multilith_monolith_only", &[]) > 0.5;
            world.edges.iter().all(|edge| pressed(edge) == on).then_some(())
        });
        let all = sides(&world.edges[1 - edge], 100);
        assert_eq!(all.contains(&"service".to_owned()), !on);
    }
}
