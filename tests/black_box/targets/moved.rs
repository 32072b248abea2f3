//! A function of Lambda in a canary: its share, its breaker, its gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::gate::traffic::{self, Traffic, actions, patiently, status};
use crate::harness::{Edge, Origin, Reply};
use crate::targets::aws;

fn raises() -> Reply {
    Reply::status("200 OK", &["X-Amz-Function-Error: Unhandled"], "{\"errorMessage\": \"secret\"}")
}

struct World {
    monolith: Origin,
    /// Stands in for AWS.
    _service: Origin,
    ran: Arc<AtomicUsize>,
    /// The function raises.
    ill: Arc<AtomicBool>,
    edge: Edge,
}

impl World {
    fn start(ill: bool, route: &str) -> Self {
        let ill = Arc::new(AtomicBool::new(ill));
        let switch = Arc::clone(&ill);
        let answer = move || if switch.load(Ordering::SeqCst) { raises() } else { aws::answer(200, "service") };
        let (service, ran) = aws::service(move |_| answer());
        let monolith = Origin::saying("monolith");
        let route = route.replace("service = \"users\"", "service = \"quote\"");
        let edge = Edge::before(&monolith).with(&format!("{}{route}", aws::table(&service, ""))).start();
        Self { monolith, _service: service, ran, ill, edge }
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

fn users(more: &str) -> String {
    format!("[routes.users]\npath = \"/users\"\nservice = \"quote\"\nsticky = [\"header:x-user-id\"]\n{more}\n")
}

#[test]
fn a_canary_calls_the_function_for_its_share_of_the_clients() {
    let world = World::start(false, &users("stage = \"canary\"\nweight = \"50%\""));
    let mut client = world.edge.client();
    let mut ask = |user: usize| client.request("GET", "/users", &[&format!("X-User-Id: {user}")]).text();
    let first: Vec<String> = (0..200).map(&mut ask).collect();
    assert_eq!(first.iter().filter(|text| *text == "service").count(), world.ran());
    assert_eq!(first.iter().filter(|text| *text == "monolith").count(), world.monolith.requests().len());
    assert!((60..140).contains(&world.ran()), "{} of 200", world.ran());
    let again: Vec<String> = (0..200).map(&mut ask).collect();
    assert_eq!(first, again, "each client has its side");
}

#[test]
fn the_breaker_of_a_function_that_raises_opens_and_lets_one_call_try_again() {
    let more = "stage = \"migrated\"\nfallback = true\nbreaker = { failures = 3, open = \"1s\" }";
    let world = World::start(true, &users(more));
    let breaker =
        || world.edge.admin_json("GET", "/api/v1/status").1["routes"][0]["breaker"].as_str().map(str::to_owned);
    for _ in 0..3 {
        assert_eq!(world.edge.get("/users").text(), "monolith");
    }
    assert_eq!((breaker().as_deref(), world.ran()), (Some("open"), 3));
    assert_eq!(world.edge.client().request("POST", "/users", &[]).text(), "monolith", "nothing was called");
    world.ill.store(false, Ordering::SeqCst);
    patiently("a closed breaker", || world.edge.get("/users").text() == "service");
    // The success counts when the exchange is over, and the client may have its answer before.
    patiently("the breaker is shown as closed", || breaker().as_deref() == Some("closed"));
}

#[test]
fn a_function_that_answers_is_migrated_by_its_gate() {
    let route = traffic::route("stage = \"canary\"\nweight = \"40%\"", "approve = []", "");
    let world = World::start(false, &route);
    let _traffic = Traffic::begin(&world.edge);
    patiently("the route migrated", || status(&world.edge)["stage"] == "migrated");
    assert_eq!(actions(&world.edge).last().map(String::as_str), Some("advance"));
}

#[test]
fn a_function_that_raises_is_rolled_back_by_its_gate() {
    let route = traffic::route("stage = \"canary\"\nweight = \"40%\"", "", "fallback = false");
    let world = World::start(true, &route);
    let _traffic = Traffic::begin(&world.edge);
    patiently("rolled back", || status(&world.edge)["weight"] == "0%");
    let entry = world.edge.admin_json("GET", "/api/v1/journal?route=users").1["entries"][0].clone();
    assert!(entry["reason"].as_str().is_some_and(|reason| reason.starts_with("failures: service 100 % of")), "{entry}");
}
