//! Consul, by a stand-in that follows the documented protocol of blocking queries (no server is packaged).

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use multilith::endpoint::Source;

use super::stand_in::{Asked, StandIn, answer};
use super::{World, spec};

/// Instances by ID with their port, the index, and whether the cluster has a leader.
#[derive(Default)]
struct Catalogue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    instances: BTreeMap<&'static str, u16>,
    index: u64,
    broken: bool,
    targets: Vec<String>,
}

impl Catalogue {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap();
        state.index += 1;
        change(&mut state);
        self.changed.notify_all();
    }

    fn answer(&self, asked: &Asked) -> String {
        let parameter =
            |name: &str| asked.target.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)).map(str::to_owned);
        let index: u64 = parameter("index=").map_or(0, |index| index.parse().unwrap());
        let mut state = self.state.lock().unwrap();
        state.targets.push(asked.target.clone());
        if index > 0 {
            // A wait in which nothing changes ends with the list as it is.
            let unchanged = |state: &mut State| state.index == index && !state.broken;
            state = self.changed.wait_timeout_while(state, Duration::from_secs(20), unchanged).unwrap().0;
        }
        if state.broken {
            return answer(500, "", "No cluster leader");
        }
        let instance = |(id, port): (&&str, &u16)| {
            format!(
                r#"{{"Node":{{"Node":"n1","Address":"127.0.0.1"}},"Service":{{"ID":"{id}","Service":"users","Address":"","Port":{port},"Weights":{{"Passing":1,"Warning":1}}}},"Checks":[]}}"#
            )
        };
        let body = state.instances.iter().map(instance).collect::<Vec<_>>().join(",");
        let headers = format!(
            "X-Consul-Index: {}\r\nX-Consul-KnownLeader: true\r\nContent-Type: application/json\r\n",
            state.index
        );
        answer(200, &headers, &format!("[{body}]"))
    }
}

fn world() -> (Arc<Catalogue>, StandIn, World) {
    let catalogue = Arc::new(Catalogue::default());
    catalogue.change(|state| state.instances = BTreeMap::from([("u1", 1), ("u2", 2)]));
    let asked = Arc::clone(&catalogue);
    let server = StandIn::new(move |request| asked.answer(request));
    let source = Source::Consul { url: server.url().into(), service: "users".into(), tag: Some("v 2".into()) };
    let world = World::new(spec(source));
    world.until_listed(&["127.0.0.1:1", "127.0.0.1:2"]);
    (catalogue, server, world)
}

#[test]
fn changes_arrive_by_a_blocking_query_and_a_departure_counts_at_once() {
    let (catalogue, _server, world) = world();
    catalogue.change(|state| state.instances.extend([("u3", 3)]));
    world.until_listed(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
    catalogue.change(|state| state.instances.retain(|id, _| *id != "u1"));
    world.until_listed(&["127.0.0.1:2", "127.0.0.1:3"]);
    let targets = catalogue.state.lock().unwrap().targets.clone();
    assert_eq!(targets[0], "/v1/health/service/users?passing=1&tag=v%202");
    assert!(targets[1].starts_with("/v1/health/service/users?passing=1&tag=v%202&index=1&wait="), "{targets:?}");
    // One question at the start and one for each change; nobody was asked in a loop.
    assert!(targets.len() <= 5, "{targets:?}");
}

#[test]
fn a_registry_in_trouble_or_emptied_takes_nothing_away() {
    let (catalogue, _server, world) = world();
    catalogue.change(|state| state.broken = true);
    world.eventually("it is stale", || world.status().stale);
    assert_eq!(world.listed(), ["127.0.0.1:1", "127.0.0.1:2"]);
    // It comes back with nothing, and its index begins anew.
    catalogue.change(|state| {
        state.broken = false;
        state.instances.clear();
        state.index = 1;
    });
    world.eventually("the loss is reported", || {
        world.status().trouble.unwrap_or_default().contains("no longer lists 2")
    });
    assert_eq!(world.listed(), ["127.0.0.1:1", "127.0.0.1:2"]);
    catalogue.change(|state| state.instances = BTreeMap::from([("u1", 1), ("u2", 2)]));
    world.eventually("all is well", || !world.status().stale);
    catalogue.change(|state| state.instances.retain(|id, _| *id != "u2"));
    world.until_listed(&["127.0.0.1:1"]);
}

#[test]
fn who_is_merely_missing_after_an_interruption_goes_at_the_second_look() {
    let (catalogue, _server, world) = world();
    catalogue.change(|state| state.broken = true);
    world.eventually("it is stale", || world.status().stale);
    catalogue.change(|state| {
        state.broken = false;
        state.instances.remove("u2");
    });
    world.eventually("it answers again", || !world.status().stale);
    assert_eq!(world.listed(), ["127.0.0.1:1", "127.0.0.1:2"], "one look counted");
    world.until_listed(&["127.0.0.1:1"]);
}
