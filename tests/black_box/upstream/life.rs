//! The life of a service as its clients see it: replaced by a new version, killed, and its registry gone, under load.
//!
//! An instance is the program itself, serving an origin with no file at all: it stops as a well-behaved service does.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::etcd::Etcd;
use crate::harness::{Client, Edge, Origin, PATIENCE, Process, eventually, free_address};

/// Requests a second of all clients together.
const RATE: u32 = 500;
const CLIENTS: u32 = 10;

/// One instance of a service.
struct Instance {
    process: Process,
    address: SocketAddr,
}

fn serving(version: &Origin, address: SocketAddr) -> Vec<String> {
    let (listen, admin) = (address.to_string(), free_address().to_string());
    ["run", "--monolith", &version.url(), "--listen", &listen, "--admin", &admin].map(str::to_owned).to_vec()
}

impl Instance {
    /// Registered by the side-car.
    fn registered(etcd: &Etcd, version: &Origin) -> Self {
        let address = free_address();
        let (own, url) = (address.to_string(), etcd.url());
        let sidecar = ["register", "--etcd", &url, "--service", "users", "--address", &own, "--ttl", "5s", "--"];
        let binary = std::env::var("MULTILITH_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_multilith").to_owned());
        let arguments = sidecar.map(str::to_owned).into_iter().chain([binary]).chain(serving(version, address));
        Self { process: Process::spawn(arguments), address }
    }

    /// Not registered by anybody.
    fn alone(version: &Origin) -> Self {
        let address = free_address();
        let process = Process::spawn(serving(version, address));
        eventually("the instance listens", || Client::try_connect(address).ok());
        Self { process, address }
    }
}

impl Drop for Instance {
    /// The side-car ends its program only when it is told to end.
    fn drop(&mut self) {
        if self.process.exit_status().is_none() {
            self.process.signal("TERM");
            self.process.wait(PATIENCE);
        }
    }
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    /// Statuses other than 200, and broken connections.
    failures: std::sync::Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// Clients that ask at a steady rate on connections of their own, until they are told to stop.
struct Load {
    seen: Arc<Seen>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn new(edge: &Edge, method: &'static str) -> Self {
        let seen = Arc::new(Seen::default());
        let address = edge.address();
        let client = |_| {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || ask(address, method, &seen))
        };
        let load = Self { clients: (0..CLIENTS).map(client).collect(), seen: Arc::clone(&seen) };
        load.await_more(CLIENTS as usize);
        load
    }

    /// Waits until this many more requests were answered.
    fn await_more(&self, more: usize) {
        let wanted = self.seen.requests.load(Ordering::SeqCst) + more;
        eventually("requests go on", || (self.seen.requests.load(Ordering::SeqCst) >= wanted).then_some(()));
    }

    /// The number of requests, and what failed.
    fn end(self) -> (usize, Vec<String>) {
        self.seen.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        let failures = self.seen.failures.lock().unwrap().clone();
        (self.seen.requests.load(Ordering::SeqCst), failures)
    }
}

fn ask(address: SocketAddr, method: &str, seen: &Seen) {
    let period = Duration::from_secs(1) * CLIENTS / RATE;
    let mut client = Client::connect(address);
    let mut next = Instant::now();
    while !seen.stop.load(Ordering::SeqCst) {
        let head = format!("{method} /users/1 HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 0\r\n\r\n");
        let answer = client.try_send(head).and_then(|()| client.try_response(false));
        let failure = match &answer {
            Ok(response) if response.status() == 200 => None,
            Ok(response) => Some(format!("{} {}", response.status(), response.text())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(failure) = failure {
            seen.failures.lock().unwrap().push(failure);
            client = Client::connect(address);
        }
        seen.requests.fetch_add(1, Ordering::SeqCst);
        next += period;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn say(figures: &str) {
    // Past the capture of passing tests: the figures are worth a line in every run.
    drop(writeln!(std::io::stderr(), "{figures}"));
}

/// The edge before a monolith that must not be asked and a service whose instances are in etcd.
fn edge(monolith: &Origin, etcd: &Etcd) -> Edge {
    Edge::before(monolith)
        .with(&format!(
            "[services.users]\ndiscover.etcd = {{ endpoints = [\"{}\"], prefix = \"/services/users/\" }}\n\
             [routes.users]\npath = \"/users/{{id}}\"\nservice = \"users\"\nstage = \"migrated\"\n\
             [logs]\nformat = \"off\"",
            etcd.url()
        ))
        .start()
}

fn endpoints(edge: &Edge) -> Vec<(String, String)> {
    let upstreams = edge.admin_json("GET", "/api/v1/upstreams").1;
    let users = upstreams.as_array().unwrap().iter().find(|upstream| upstream["name"] == "users").unwrap().clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    users["endpoints"].as_array().unwrap().iter().map(|e| (text(&e["address"]), text(&e["state"]))).collect()
}

fn await_listed(edge: &Edge, instance: &Instance, listed: bool) {
    let address = instance.address.to_string();
    eventually("the registry is heard", || {
        let there = endpoints(edge).iter().any(|(listed, state)| *listed == address && state != "draining");
        (there == listed).then_some(())
    });
}

#[test]
fn three_instances_are_replaced_one_after_another_without_a_failed_request() {
    let etcd = Etcd::new("rolling");
    let (monolith, old, new) = (Origin::saying("monolith"), Origin::saying("old"), Origin::saying("new"));
    let edge = edge(&monolith, &etcd);
    let mut instances: Vec<_> = (0..3).map(|_| Instance::registered(&etcd, &old)).collect();
    for instance in &instances {
        await_listed(&edge, instance, true);
    }
    // One load per kind of request: a GET may be sent again, a POST never.
    let (reads, writes) = (Load::new(&edge, "GET"), Load::new(&edge, "POST"));
    let mut replaced = Vec::new();
    for mut leaving in instances.drain(..) {
        let coming = Instance::registered(&etcd, &new);
        await_listed(&edge, &coming, true);
        reads.await_more(200);
        leaving.process.signal("TERM");
        assert!(leaving.process.wait(PATIENCE).unwrap().success(), "{}", leaving.process.stderr());
        await_listed(&edge, &leaving, false);
        replaced.push(coming);
    }
    reads.await_more(200);
    let ((reads, lost_reads), (writes, lost_writes)) = (reads.end(), writes.end());
    say(&format!(
        "rolling replacement: {reads} GET and {writes} POST, {} and {} failed",
        lost_reads.len(),
        lost_writes.len()
    ));
    assert!(lost_reads.is_empty(), "{lost_reads:?}");
    assert!(lost_writes.is_empty(), "{lost_writes:?}");
    assert_eq!(edge.get("/users/1").text(), "new");
    assert!(monolith.requests().is_empty());
}

#[test]
fn an_instance_that_is_killed_costs_no_safe_request_and_at_most_one_unsafe_one_for_each_of_its_connections() {
    let etcd = Etcd::new("killed");
    let (monolith, version) = (Origin::saying("monolith"), Origin::saying("service"));
    let mut instances: Vec<_> = (0..3).map(|_| Instance::alone(&version)).collect();
    for instance in &instances {
        // No lease: the registry will not hear of the death.
        etcd.put(&instance.address.to_string(), &instance.address.to_string());
    }
    let edge = edge(&monolith, &etcd);
    for instance in &instances {
        await_listed(&edge, instance, true);
    }
    let (reads, writes) = (Load::new(&edge, "GET"), Load::new(&edge, "POST"));
    reads.await_more(200);
    let mut victim = instances.remove(1);
    victim.process.signal("KILL");
    victim.process.wait(PATIENCE).unwrap();
    let dead = Instant::now();
    let address = victim.address.to_string();
    eventually("it is passed over", || {
        endpoints(&edge).iter().any(|(listed, state)| *listed == address && state == "unhealthy").then_some(())
    });
    let noticed = dead.elapsed();
    reads.await_more(500);
    let ((reads, lost_reads), (writes, lost_writes)) = (reads.end(), writes.end());
    say(&format!(
        "killed instance: {reads} GET and {writes} POST, {} and {} failed, passed over after {} ms",
        lost_reads.len(),
        lost_writes.len(),
        noticed.as_millis()
    ));
    assert!(lost_reads.is_empty(), "{lost_reads:?}");
    // Both loads share the connections, and a new one is made only while all others are in use: there are no more of them than
    // clients. The system closes them one after another, so a client whose write was lost may meet another one that is about to go.
    let connections = 2 * CLIENTS as usize;
    assert!(lost_writes.len() <= connections, "{} lost over {connections}: {lost_writes:?}", lost_writes.len());
    assert!(noticed < Duration::from_secs(2), "{noticed:?}");
}

#[test]
fn all_new_requests_go_to_another_upstream_at_one_reload_and_none_is_lost() {
    let (monolith, blue, green) = (Origin::saying("monolith"), Origin::saying("blue"), Origin::saying("green"));
    let edge = Edge::before(&monolith)
        .with("[routes.users]\npath = \"/users/{id}\"\nservice = \"users\"\nstage = \"migrated\"\n[logs]\nformat = \"off\"")
        .with(&format!("[services.users]\nurl = \"{}\"", blue.url()))
        .start();
    let (reads, writes) = (Load::new(&edge, "GET"), Load::new(&edge, "POST"));
    reads.await_more(200);
    for (from, to) in [(&blue, (&green, "green")), (&green, (&blue, "blue")), (&blue, (&green, "green"))] {
        let (to, name) = to;
        edge.replace_file(&edge.config()["text"].as_str().unwrap().replace(&from.url(), &to.url()));
        let (status, said) = edge.post_reload();
        assert_eq!(status, 200, "{said}");
        // What began before the swap may still be on its way; what begins from now on is not for the old one.
        for _ in 0..50 {
            assert_eq!(edge.get("/users/1").text(), name);
        }
        reads.await_more(200);
    }
    let ((reads, lost_reads), (writes, lost_writes)) = (reads.end(), writes.end());
    say(&format!(
        "blue/green, three swaps: {reads} GET and {writes} POST, {} and {} failed",
        lost_reads.len(),
        lost_writes.len()
    ));
    assert!(lost_reads.is_empty(), "{lost_reads:?}");
    assert!(lost_writes.is_empty(), "{lost_writes:?}");
    assert!(monolith.requests().is_empty());
}

#[test]
fn a_registry_that_dies_is_seen_in_the_metrics_and_costs_nothing() {
    let mut etcd = Etcd::new("dies");
    let (monolith, version) = (Origin::saying("monolith"), Origin::saying("service"));
    let instances: Vec<_> = (0..2).map(|_| Instance::alone(&version)).collect();
    for instance in &instances {
        etcd.put(&instance.address.to_string(), &instance.address.to_string());
    }
    let edge = edge(&monolith, &etcd);
    for instance in &instances {
        await_listed(&edge, instance, true);
    }
    let up = |edge: &Edge| edge.metric("multilith_discovery_up", &[("upstream", "users")]);
    eventually("discovery is up", || (up(&edge) > 0.5).then_some(()));
    let load = Load::new(&edge, "POST");
    etcd.stop();
    eventually("discovery is down", || (up(&edge) < 0.5).then_some(()));
    load.await_more(200);
    etcd.start_again();
    eventually("discovery is up again", || (up(&edge) > 0.5).then_some(()));
    load.await_more(200);
    let (requests, lost) = load.end();
    say(&format!("registry down and up: {requests} POST, {} failed", lost.len()));
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn a_start_while_the_registry_is_down_serves_with_the_endpoints_known_last() {
    let mut etcd = Etcd::new("down-at-the-start");
    let (monolith, version) = (Origin::saying("monolith"), Origin::saying("service"));
    let instance = Instance::alone(&version);
    etcd.put("one", &instance.address.to_string());
    let mut edge = edge(&monolith, &etcd);
    await_listed(&edge, &instance, true);
    assert_eq!(edge.get("/users/1").text(), "service");
    etcd.stop();
    edge.signal("KILL");
    edge.wait(PATIENCE).expect("killed");
    edge.restart();
    assert_eq!(edge.get("/users/1").text(), "service");
    let users = || {
        let upstreams = edge.admin_json("GET", "/api/v1/upstreams").1;
        upstreams.as_array().unwrap().iter().find(|upstream| upstream["name"] == "users").unwrap().clone()
    };
    assert_eq!(users()["stale"], true, "{}", users());
    assert!(edge.metric("multilith_discovery_up", &[("upstream", "users")]) < 0.5);
    // What the registry says then counts at once.
    etcd.start_again();
    let other = Instance::alone(&version);
    etcd.put("two", &other.address.to_string());
    etcd.delete("one");
    await_listed(&edge, &other, true);
    await_listed(&edge, &instance, false);
    assert_eq!(users()["stale"], false, "{}", users());
    assert!(edge.metric("multilith_discovery_up", &[("upstream", "users")]) > 0.5);
}
