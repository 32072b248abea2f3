//! A monolith, a service, and clients that ask as long as the test wants.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Client, Edge, Origin, Reply};

/// A route at `/users`, with a gate that is quick rather than careful.
pub(crate) fn route(stage: &str, gate: &str, more: &str) -> String {
    format!(
        "[routes.users]\npath = \"/users\"\nservice = \"users\"\n{stage}\nsticky = [\"header:x-user-id\"]\n{more}\n\
         [routes.users.gate]\nsteps = [\"40%\", \"100%\"]\ninterval = \"1s\"\nsettle = \"2s\"\nmin_requests = 20\n\
         confidence = 0.9\nmax_error_increase = \"20%\"\nmax_latency_increase = \"1000%\"\ncontrol = \"40%\"\n{gate}\n"
    )
}

pub(crate) fn edge(service: Reply, tables: &str) -> (Edge, Origin, Origin) {
    let monolith = Origin::saying("monolith");
    let service = Origin::start(move |_| service.clone());
    let edge = Edge::before(&monolith).service("users", &service).with(tables).start();
    (edge, monolith, service)
}

/// Clients that ask until they are dropped, each request as another client.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub(crate) fn begin(edge: &Edge) -> Self {
        Self::of(edge, false)
    }

    /// Clients that take a response that breaks off, and connect again.
    pub(crate) fn whatever_breaks(edge: &Edge) -> Self {
        Self::of(edge, true)
    }

    fn of(edge: &Edge, may_break: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(0));
        let address = edge.address();
        let threads = (0..2).map(|_| {
            let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
            thread::spawn(move || {
                let mut client = None;
                while !stop.load(Ordering::Relaxed) {
                    let user = next.fetch_add(1, Ordering::Relaxed);
                    let request = format!("GET /users HTTP/1.1\r\nHost: edge.test\r\nX-User-Id: {user}\r\n\r\n");
                    let mut open = client.take().unwrap_or_else(|| Client::connect(address));
                    match open.try_send(request).and_then(|()| open.try_response(false)) {
                        Ok(_) => client = Some(open),
                        Err(error) => assert!(may_break, "no complete answer: {error}"),
                    }
                }
            })
        });
        Self { threads: threads.collect(), stop }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            assert!(thread.join().is_ok() || thread::panicking(), "every request was answered");
        }
    }
}

/// A verb that talks to this proxy: its exit code and what it wrote.
pub(crate) fn verb(edge: &Edge, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_multilith"))
        .args(arguments)
        .args(["--admin", &edge.admin_address().to_string()])
        .output()
        .expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it ends by itself"), text(&output.stdout), text(&output.stderr))
}

/// Proofs take requests, and a busy machine answers few: longer than other waits, and still no wait for a time.
pub(crate) fn patiently(what: &str, mut ask: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !ask() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn status(edge: &Edge) -> Value {
    edge.admin_json("GET", "/api/v1/routes/users").1
}

pub(crate) fn actions(edge: &Edge) -> Vec<String> {
    let page = edge.admin_json("GET", "/api/v1/journal?route=users").1;
    let entries = page["entries"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["action"].as_str().unwrap_or("?").to_owned()).collect()
}
