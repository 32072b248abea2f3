//! One judgement: the leader's, by what all replicas counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use super::world::{Etcd, World, dial};
use crate::gate::traffic::{patiently, route};
use crate::harness::{Client, Reply};

/// Clients of every replica, until the value is dropped.
pub(crate) struct Traffic(Arc<AtomicBool>, Vec<thread::JoinHandle<()>>);

impl Traffic {
    pub(crate) fn begin(world: &World) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = world.edges.iter().enumerate().map(|(number, edge)| {
            let (stop, address) = (Arc::clone(&stop), edge.address());
            thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    client.request("GET", "/users", &[&format!("X-User-Id: {number}-{count}")]);
                }
            })
        });
        Self(Arc::clone(&stop), threads.collect())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for thread in self.1.drain(..) {
            assert!(thread.join().is_ok() || thread::panicking(), "every request was answered");
        }
    }
}

#[test]
fn a_bad_service_is_rolled_back_everywhere_by_one_leader() {
    let etcd = Etcd::start("bad");
    let route = route("stage = \"canary\"\nweight = \"40%\"", "", "fallback = false");
    let world = World::start_with(&etcd, 2, &route, "", Reply::status("500 Internal Server Error", &[], "bad"));
    let _traffic = Traffic::begin(&world);
    patiently("it is rolled back everywhere", || world.edges.iter().all(|edge| dial(edge).1 == "0%"));
    let entries = etcd.values("journal/users/");
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(
        (&entries[0]["by"], &entries[0]["action"], &entries[0]["latched"]),
        (&json!("gate"), &json!("roll-back"), &json!(true))
    );
    assert!(entries[0]["term"].as_i64() > Some(0), "under a leader: {}", entries[0]);
    let leader = world.leader().expect("one leads");
    patiently("the others say so", || {
        world.edges[1 - leader].admin_json("GET", "/api/v1/routes/users/gate").1["state"] == "latched"
    });
    println!("rolled back by {}: {}", entries[0]["who"], entries[0]["reason"]);
}

#[test]
fn a_good_service_is_promoted_everywhere_and_the_others_say_who_judges() {
    let etcd = Etcd::start("good");
    let route = route("stage = \"canary\"\nweight = \"40%\"", "", "");
    let world = World::start_with(&etcd, 2, &route, "", Reply::ok("service"));
    let leader = world.leader().expect("one leads");
    let _traffic = Traffic::begin(&world);
    patiently("the others say who judges", || {
        let report = world.edges[1 - leader].admin_json("GET", "/api/v1/routes/users/gate").1;
        report["why"].as_str().is_some_and(|why| why.contains(&format!("`edge-{}`", leader + 1)))
    });
    patiently("it is promoted everywhere", || world.edges.iter().all(|edge| dial(edge).1 == "60%"));
    let entry = etcd.values("journal/users/").remove(0);
    assert_eq!((&entry["by"], &entry["action"]), (&json!("gate"), &json!("advance")));
    let evidence = etcd.values("evidence/");
    assert_eq!(evidence.len(), 2);
    println!("an evidence record has {} bytes", evidence[0].to_string().len());
    assert!(etcd.values("gate/users")[0].to_string().len() < 100_000);
}
