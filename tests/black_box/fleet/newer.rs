//! Beside a newer program, and behind a history that is gone.

use serde_json::{Value, json};

use super::world::{CANARY, Etcd, PREFIX, World, act, dial, members};
use crate::harness::eventually;

/// The dial as it lies there, changed.
fn changed(etcd: &Etcd, change: impl Fn(&mut Value)) -> String {
    let mut record = etcd.values("dial/users").remove(0);
    change(&mut record);
    record.to_string()
}

#[test]
fn what_a_newer_program_wrote_is_obeyed_and_kept_and_where_it_asks_for_a_newer_reader_nothing_is_written() {
    let etcd = Etcd::start("newer");
    let world = World::start(&etcd, 2, CANARY);
    assert_eq!(act(&world.edges[0], "promote", &json!({ "weight": "20%" })).0, 200);
    world.until_all_have("20%");
    // A replica of tomorrow is there, and moves the route.
    let member = json!({ "life": "x", "version": "9.9.9", "address": "10.0.0.9:9900", "generation": 1, "file": "f",
        "seq": { "users": 2 }, "mood": "fine" });
    etcd.put(&format!("{PREFIX}members/tomorrow"), &member.to_string());
    etcd.put(&format!("{PREFIX}format"), &json!({ "v": 2, "min_reader": 1 }).to_string());
    let moved = changed(&etcd, |record| {
        record["v"] = json!(2);
        record["seq"] = json!(2);
        record["weight"] = json!("30%");
        record["nonce"] = json!("tomorrow-2");
        record["colour"] = json!({ "of": "tomorrow" });
    });
    etcd.put(&format!("{PREFIX}dial/users"), &moved);
    world.until_all_have("30%");
    let listed = eventually("the newer one is listed", || {
        members(&world.edges[0]).into_iter().find(|member| member["name"] == "tomorrow")
    });
    assert_eq!((&listed["version"], &listed["seq"]["users"]), (&json!("9.9.9"), &json!(2)));
    let (status, said) = act(&world.edges[1], "promote", &json!({ "weight": "40%" }));
    assert_eq!((status, &said["seq"]), (200, &json!(3)), "{said}");
    world.until_all_have("40%");
    assert_eq!(etcd.values("dial/users")[0]["colour"]["of"], "tomorrow", "what is not known here is written back");
    // From now on only newer programs may write.
    etcd.put(&format!("{PREFIX}format"), &json!({ "v": 2, "min_reader": 2 }).to_string());
    for edge in &world.edges {
        edge.await_log_line(&["written by a newer program"]);
    }
    // An older program leads nobody, and stands in no newer one's way.
    eventually("nobody leads", || world.leader().is_none().then_some(()));
    eventually("the place of the leader is free", || etcd.values("leader").is_empty().then_some(()));
    let (status, said) = act(&world.edges[0], "promote", &json!({ "weight": "50%" }));
    assert_eq!((status, said["detail"].as_str().map(|why| why.contains("newer program"))), (503, Some(true)), "{said}");
    let moved = changed(&etcd, |record| {
        record["seq"] = json!(4);
        record["weight"] = json!("60%");
        record["nonce"] = json!("tomorrow-4");
    });
    etcd.put(&format!("{PREFIX}dial/users"), &moved);
    world.until_all_have("60%");
    // A stage that is not known here changes nothing.
    let unknown = changed(&etcd, |record| {
        record["seq"] = json!(5);
        record["stage"] = json!("rainbow");
        record["nonce"] = json!("tomorrow-5");
    });
    etcd.put(&format!("{PREFIX}dial/users"), &unknown);
    world.edges[0].await_log_line(&["a dial cannot be understood"]);
    assert_eq!(dial(&world.edges[0]), (4, "60%".to_owned()));
}

#[test]
fn paused_roll_backs_are_so_on_every_replica_and_an_older_program_ends_them_with_the_pause() {
    let etcd = Etcd::start("paused");
    let world = World::start(&etcd, 2, &format!("{CANARY}gate = {{}}\n"));
    assert_eq!(act(&world.edges[0], "pause", &json!({ "all": true, "reason": "a drill" })).0, 200);
    let all_say = |state: &str, all: bool| {
        for edge in &world.edges {
            eventually(state, || {
                let gate = edge.admin_json("GET", "/api/v1/routes/users/gate").1;
                let says = (gate["state"] == "paused", gate["paused_all"] == true);
                (says == (state == "paused", all)).then_some(())
            });
        }
    };
    all_say("paused", true);
    let record = etcd.values("dial/users").remove(0);
    // The words of an older program: it knows no other action, and reads a pause.
    assert_eq!((&record["action"], &record["paused"]), (&json!("pause"), &json!(true)), "{record}");
    assert_eq!((&record["paused_all"], &record["reason"]), (&json!(true), &json!("roll-backs, too: a drill")));
    let resumed = changed(&etcd, |record| {
        record["seq"] = json!(record["seq"].as_u64().map(|seq| seq + 1));
        record["action"] = json!("resume");
        record["paused"] = json!(false);
        record["nonce"] = json!("yesterday");
    });
    etcd.put(&format!("{PREFIX}dial/users"), &resumed);
    all_say("going on", false);
    // What it left there says nothing, and is gone with the next pause.
    let (status, said) = act(&world.edges[1], "pause", &json!({}));
    assert_eq!(status, 200, "{said}");
    all_say("paused", false);
    assert_eq!(etcd.values("dial/users")[0]["paused_all"], Value::Null);
}

#[test]
fn etcd_keeps_the_newest_thousand_entries_of_a_route() {
    let etcd = Etcd::start("thousand");
    let world = World::start(&etcd, 2, CANARY);
    assert_eq!(act(&world.edges[0], "promote", &json!({ "weight": "20%" })).0, 200);
    world.until_all_have("20%");
    let entry = |seq: u64| {
        changed(&etcd, |record| {
            record["seq"] = json!(seq);
            record["weight"] = json!("30%");
            record["nonce"] = json!(format!("{seq}"));
        })
    };
    for seq in [500, 501, 502, 1500] {
        etcd.put(&format!("{PREFIX}journal/users/{seq:010}"), &entry(seq));
    }
    etcd.put(&format!("{PREFIX}dial/users"), &entry(1500));
    world.until_all_have("30%");
    let (status, said) = act(&world.edges[1], "promote", &json!({ "weight": "40%" }));
    assert_eq!((status, &said["seq"]), (200, &json!(1501)), "{said}");
    let kept: Vec<_> = etcd.values("journal/users/").iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(kept, [502, 1500, 1501]);
    world.until_all_have("40%");
}

#[test]
fn a_replica_whose_place_in_the_history_was_compacted_reads_everything_anew() {
    let etcd = Etcd::start("compacted");
    let world = World::start(&etcd, 2, CANARY);
    let (sleeper, awake) = (&world.edges[1], &world.edges[0]);
    sleeper.signal("STOP");
    // More than its connection holds, in the range that it listens to.
    let filler = "x".repeat(1 << 20);
    for _ in 0..40 {
        etcd.put(&format!("{PREFIX}c-filler"), &filler);
    }
    for weight in ["20%", "30%", "40%"] {
        assert_eq!(act(awake, "promote", &json!({ "weight": weight })).0, 200);
    }
    let answer = etcd.call("/v3/kv/range", &json!({ "key": "YQ==" })).expect("etcd answers");
    let revision = answer["header"]["revision"].clone();
    assert!(
        etcd.call("/v3/kv/compaction", &json!({ "revision": revision, "physical": true }))
            .is_some_and(|a| a.is_object())
    );
    sleeper.signal("CONT");
    world.until_all_have("40%");
    assert_eq!(dial(sleeper).0, 3);
    let page = sleeper.admin_json("GET", "/api/v1/journal?route=users").1;
    let kept: Vec<_> = page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].clone()).collect();
    assert_eq!(kept, [1, 2, 3], "what it missed is on its disk");
    assert_eq!(act(sleeper, "promote", &json!({ "weight": "50%" })).0, 200);
    world.until_all_have("50%");
    println!(
        "compacted: {}",
        sleeper.log().lines().filter(|line| line.contains("etcd of the fleet")).collect::<Vec<_>>().join("\n")
    );
}
