//! Containers, by a stand-in for the engine's API that lists and plays events over a Unix socket.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use multilith::endpoint::{DockerContainers, Source};
use serde_json::{Value, json};

use super::streaming::{Question, on_socket, open, whole};
use super::{World, spec};

#[derive(Default)]
struct Engine {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    containers: Vec<Value>,
    events: Vec<Value>,
    down: bool,
    targets: Vec<String>,
}

fn container(name: &str, address: &str) -> Value {
    json!({
        "Id": format!("id-{name}"), "Names": [format!("/{name}")], "State": "running", "Status": "Up 2 seconds",
        "Labels": { "multilith.service": "users" }, "Ports": [{ "PrivatePort": 80, "Type": "tcp" }],
        "NetworkSettings": { "Networks": { "bridge": { "IPAddress": address } } },
    })
}

impl Engine {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn answer(&self, asked: &Question, out: &mut dyn Write) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.targets.push(asked.target.clone());
        if state.down {
            return whole(out, 500, "{}");
        }
        if asked.target.starts_with("/containers/json") {
            return whole(out, 200, &Value::from(state.containers.clone()).to_string());
        }
        open(out)?;
        let mut told = state.events.len();
        loop {
            for event in &state.events[told..] {
                writeln!(out, "{event}")?;
            }
            told = state.events.len();
            out.flush()?;
            let quiet = |state: &mut State| state.events.len() == told && !state.down;
            state = self.changed.wait_timeout_while(state, Duration::from_secs(60), quiet).unwrap().0;
            if state.down {
                return Ok(());
            }
        }
    }
}

struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn source(socket: &Path) -> Source {
    Source::Docker(DockerContainers {
        label: "multilith.service=users".into(),
        socket: socket.into(),
        network: None,
        port: None,
    })
}

fn start(name: &str) -> (Arc<Engine>, Socket, World) {
    let engine = Arc::new(Engine::default());
    engine.change(|state| {
        state.containers = vec![container("users-1", "172.17.0.2"), container("users-2", "172.17.0.3")];
    });
    let socket = Socket(std::env::temp_dir().join(format!("multilith-{name}-{}.sock", std::process::id())));
    let asked = Arc::clone(&engine);
    on_socket(&socket.0, Arc::new(move |question, out| asked.answer(question, out)));
    let world = World::new(spec(source(&socket.0)));
    world.until_listed(&["172.17.0.2:80", "172.17.0.3:80"]);
    (engine, socket, world)
}

#[test]
fn what_starts_and_stops_is_heard_at_once() {
    let (engine, _socket, world) = start("events");
    engine.change(|state| {
        state.containers.push(container("users-3", "172.17.0.4"));
        state.events.push(json!({ "Type": "container", "Action": "start" }));
    });
    world.until_listed(&["172.17.0.2:80", "172.17.0.3:80", "172.17.0.4:80"]);
    engine.change(|state| {
        state.containers.remove(0);
        // As Podman says it.
        state.events.push(json!({ "Type": "container", "Action": "died", "status": "died" }));
    });
    world.until_listed(&["172.17.0.3:80", "172.17.0.4:80"]);
    engine.change(|state| {
        state.containers[0]["Status"] = "Up 5 seconds (unhealthy)".into();
        state.events.push(json!({ "Type": "container", "Action": "health_status: unhealthy" }));
    });
    world.until_listed(&["172.17.0.4:80"]);
    let targets = engine.state.lock().unwrap().targets.clone();
    let filters = "%7B%22label%22%3A%5B%22multilith.service%3Dusers%22%5D%7D";
    assert!(targets.contains(&format!("/containers/json?filters={filters}")), "{targets:?}");
    assert!(targets[0].starts_with("/events?filters="), "the events are heard before the list: {targets:?}");
}

#[test]
fn words_that_change_nothing_ask_for_nothing() {
    let (engine, _socket, world) = start("words");
    let asked = || engine.state.lock().unwrap().targets.len();
    let before = asked();
    engine.change(|state| {
        for action in ["exec_create: sh", "exec_start: sh", "attach", "top"] {
            state.events.push(json!({ "Type": "container", "Action": action }));
        }
        state.containers.remove(0);
        state.events.push(json!({ "Type": "container", "Action": "die" }));
    });
    world.until_listed(&["172.17.0.3:80"]);
    assert_eq!(asked() - before, 1);
}

#[test]
fn a_container_that_cannot_be_placed_keeps_the_place_it_had() {
    let (engine, _socket, world) = start("places");
    engine.change(|state| {
        state.containers[0]["Ports"] = json!([]);
        state.events.push(json!({ "Type": "network", "Action": "connect" }));
        state.containers.push(container("users-3", "172.17.0.4"));
    });
    world.until_listed(&["172.17.0.2:80", "172.17.0.3:80", "172.17.0.4:80"]);
}

#[test]
fn an_engine_that_is_down_takes_nothing_away() {
    let (engine, _socket, world) = start("down");
    engine.change(|state| state.down = true);
    world.eventually("it is stale", || world.status().stale);
    assert_eq!(world.listed(), ["172.17.0.2:80", "172.17.0.3:80"]);
    engine.change(|state| {
        state.down = false;
        state.containers.remove(0);
    });
    world.eventually("all is well", || !world.status().stale);
    assert_eq!(world.listed(), ["172.17.0.2:80", "172.17.0.3:80"], "one look counted");
    world.until_listed(&["172.17.0.3:80"]);
}
