//! Kubernetes, by a stand-in for its API server that lists, watches, sends bookmarks, and forgets (410 Gone).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use multilith::endpoint::{AddressFamily, KubernetesService, ServicePort, Source};
use serde_json::{Value, json};

use super::streaming::{Question, on_tcp, open, whole};
use super::{World, spec};

#[derive(Default)]
struct Cluster {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    slices: BTreeMap<String, Value>,
    version: u64,
    events: Vec<(u64, Value)>,
    /// Watches from before this version are gone.
    oldest: u64,
    /// Says so inside of the watch, and not by its status.
    gone_inside: bool,
    /// Every watch that began under another number ends.
    round: u64,
    down: bool,
    lists: usize,
    watched_from: Vec<u64>,
    tokens: Vec<String>,
    targets: Vec<String>,
}

impl State {
    fn event(&mut self, kind: &str, name: &str) {
        self.version += 1;
        let mut object =
            self.slices.get(name).cloned().unwrap_or(json!({ "metadata": { "name": name }, "addressType": "IPv4" }));
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.events.push((self.version, json!({ "type": kind, "object": object })));
    }

    fn put(&mut self, name: &str, slice: Value) {
        let kind = if self.slices.insert(name.to_owned(), slice).is_some() { "MODIFIED" } else { "ADDED" };
        self.event(kind, name);
    }

    fn delete(&mut self, name: &str) {
        self.slices.remove(name);
        self.event("DELETED", name);
    }

    fn bookmark(&mut self) {
        self.version += 10;
        let object = json!({ "kind": "EndpointSlice", "metadata": { "resourceVersion": self.version.to_string() } });
        self.events.push((self.version, json!({ "type": "BOOKMARK", "object": object })));
    }
}

/// Ready endpoints at these addresses.
fn slice(name: &str, kind: &str, addresses: &[&str]) -> Value {
    let endpoints: Vec<_> =
        addresses.iter().map(|address| json!({ "addresses": [address], "conditions": { "ready": true } })).collect();
    json!({
        "metadata": { "name": name }, "addressType": kind, "endpoints": endpoints,
        "ports": [{ "name": "http", "protocol": "TCP", "port": 80 }, { "name": "admin", "protocol": "TCP", "port": 9000 }],
    })
}

impl Cluster {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let told = change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
        told
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }

    fn answer(&self, asked: &Question, out: &mut dyn Write) -> io::Result<()> {
        let parameter = |name: &str| asked.target.split(['?', '&']).find_map(|pair| pair.strip_prefix(name));
        let mut state = self.state.lock().unwrap();
        state.tokens.extend(asked.authorization.clone());
        state.targets.push(asked.target.clone());
        if state.down {
            return whole(out, 503, "{}");
        }
        if parameter("watch=") != Some("1") {
            state.lists += 1;
            let items: Vec<_> = state.slices.values().cloned().collect();
            let metadata = json!({ "resourceVersion": state.version.to_string() });
            return whole(out, 200, &json!({ "metadata": metadata, "items": items }).to_string());
        }
        let mut from: u64 = parameter("resourceVersion=").unwrap().parse().unwrap();
        state.watched_from.push(from);
        let gone = from < state.oldest;
        if gone && !state.gone_inside {
            return whole(out, 410, "{}");
        }
        open(out)?;
        if gone {
            let error = json!({ "type": "ERROR", "object": { "kind": "Status", "code": 410, "reason": "Expired" } });
            return writeln!(out, "{error}");
        }
        let round = state.round;
        loop {
            for (_, event) in state.events.iter().filter(|(version, _)| *version > from) {
                writeln!(out, "{event}")?;
            }
            from = state.version;
            out.flush()?;
            let quiet = |state: &mut State| state.round == round && state.version == from && !state.down;
            state = self.changed.wait_timeout_while(state, Duration::from_secs(60), quiet).unwrap().0;
            if state.round != round || state.down {
                return Ok(());
            }
        }
    }
}

struct Token(PathBuf);

impl Token {
    fn new(name: &str) -> Self {
        let path =
            std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("token-{name}-{}", std::process::id()));
        std::fs::write(&path, "first\n").unwrap();
        Self(path)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn start(name: &str, change: impl FnOnce(&mut KubernetesService)) -> (Arc<Cluster>, Token, World) {
    let cluster = Arc::new(Cluster::default());
    cluster.change(|state| {
        state.version = 100;
        state.put("users-a", slice("users-a", "IPv4", &["10.0.0.1", "10.0.0.2"]));
    });
    let asked = Arc::clone(&cluster);
    let address = on_tcp(Arc::new(move |question, out| asked.answer(question, out)));
    let token = Token::new(name);
    let mut service = KubernetesService {
        service: "users".into(),
        namespace: Some("shop".into()),
        port: Some(ServicePort::Named("http".into())),
        family: None,
        api: Some(format!("http://{address}").into()),
        token: Some(token.0.clone()),
        ca: None,
    };
    change(&mut service);
    let world = World::new(spec(Source::Kubernetes(Box::new(service))));
    (cluster, token, world)
}

#[test]
fn slices_are_merged_and_what_changes_arrives() {
    let (cluster, _token, world) = start("merged", |_| {});
    world.until_listed(&["10.0.0.1:80", "10.0.0.2:80"]);
    cluster.change(|state| state.put("users-b", slice("users-b", "IPv4", &["10.0.0.3"])));
    world.until_listed(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    cluster.change(|state| {
        let mut changed = slice("users-a", "IPv4", &["10.0.0.1", "10.0.0.2"]);
        changed["endpoints"][0]["conditions"] = json!({ "ready": false, "serving": true, "terminating": true });
        state.put("users-a", changed);
    });
    world.until_listed(&["10.0.0.2:80", "10.0.0.3:80"]);
    cluster.change(|state| state.delete("users-a"));
    world.until_listed(&["10.0.0.3:80"]);
    assert!(!world.status().stale);
    cluster.look(|state| {
        assert_eq!(state.lists, 1);
        assert!(state.tokens.iter().all(|token| token == "Bearer first") && !state.tokens.is_empty());
        let base = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dusers";
        assert_eq!(state.targets[0], base);
        let watch = format!("{base}&watch=1&allowWatchBookmarks=true&resourceVersion=101&timeoutSeconds=");
        assert!(state.targets[1].starts_with(&watch), "{}", state.targets[1]);
    });
}

#[test]
fn a_watch_that_ends_goes_on_behind_the_last_bookmark_with_the_token_of_today() {
    let (cluster, token, world) = start("bookmark", |_| {});
    world.until_listed(&["10.0.0.1:80", "10.0.0.2:80"]);
    world.eventually("it is watched", || cluster.look(|state| state.watched_from == [101]));
    cluster.change(State::bookmark);
    std::fs::write(&token.0, "second\n").unwrap();
    // What is deleted while nobody watches was deleted nevertheless: one word is enough.
    cluster.change(|state| state.put("users-b", slice("users-b", "IPv4", &["10.0.0.9"])));
    world.until_listed(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.9:80"]);
    cluster.change(State::bookmark);
    cluster.change(|state| state.put("users-c", slice("users-c", "IPv4", &[])));
    cluster.change(|state| {
        state.round += 1;
        state.delete("users-b");
    });
    world.until_listed(&["10.0.0.1:80", "10.0.0.2:80"]);
    cluster.look(|state| {
        assert_eq!(state.lists, 1, "no list was needed");
        assert!(state.watched_from.iter().skip(1).all(|from| *from >= 112), "{:?}", state.watched_from);
        assert_eq!(state.tokens.last().map(String::as_str), Some("Bearer second"));
    });
}

#[test]
fn a_version_that_is_too_old_makes_it_list_again() {
    for inside in [false, true] {
        let (cluster, _token, world) = start(if inside { "inside" } else { "gone" }, |_| {});
        world.until_listed(&["10.0.0.1:80", "10.0.0.2:80"]);
        world.eventually("it is watched", || cluster.look(|state| !state.watched_from.is_empty()));
        cluster.change(|state| {
            state.gone_inside = inside;
            state.put("users-a", slice("users-a", "IPv4", &["10.0.0.1", "10.0.0.4"]));
            state.events.clear();
            state.version += 100;
            state.oldest = state.version;
            state.round += 1;
        });
        // The new one at once; the missing one when a second list lacks it, too.
        world.until_listed(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80"]);
        world.until_listed(&["10.0.0.1:80", "10.0.0.4:80"]);
        assert_eq!(cluster.look(|state| state.lists), 3);
        assert!(!world.status().stale);
    }
}

#[test]
fn a_server_that_is_down_takes_nothing_away() {
    let (cluster, _token, world) = start("down", |_| {});
    world.until_listed(&["10.0.0.1:80", "10.0.0.2:80"]);
    cluster.change(|state| state.down = true);
    world.eventually("it is stale", || world.status().stale);
    assert_eq!(world.listed(), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert!(world.status().trouble.unwrap_or_default().contains("Kubernetes: status 503"));
    cluster.change(|state| {
        state.down = false;
        state.put("users-b", slice("users-b", "IPv4", &["10.0.0.3"]));
    });
    world.until_listed(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    world.eventually("all is well", || !world.status().stale);
}

#[test]
fn a_port_that_is_not_known_is_said_and_one_family_is_taken() {
    let (_cluster, _token, world) = start("port", |service| service.port = None);
    world.eventually("the ports are named", || {
        world.status().trouble.unwrap_or_default().contains("several ports (`admin` (9000), `http` (80)): name one")
    });
    let (cluster, _token, world) = start("family", |service| {
        service.port = Some(ServicePort::Number(9000));
        service.family = Some(AddressFamily::Ipv6);
    });
    cluster.change(|state| state.put("users-six", slice("users-six", "IPv6", &["fd00::1"])));
    world.until_listed(&["[fd00::1]:9000"]);
}
