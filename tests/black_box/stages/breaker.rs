//! The breaker: opened by failures of the service side as a whole, closed by one request that tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Edge, Origin, Reply, eventually};
use crate::stages::world::{World, canary, migrated};

/// A service that fails while the switch is on.
fn failing(reply: Reply) -> (Origin, Arc<AtomicBool>) {
    let ill = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&ill);
    let origin =
        Origin::start(move |_| if switch.load(Ordering::SeqCst) { reply.clone() } else { Reply::ok("service") });
    (origin, ill)
}

fn state(world: &World) -> String {
    world.edge.admin_json("GET", "/api/v1/status").1["routes"][0]["breaker"].as_str().expect("a word").to_owned()
}

#[test]
fn it_opens_after_so_many_failures_in_a_row_and_is_seen_everywhere() {
    let (service, _) = failing(Reply::no_answer());
    let tables = migrated("fallback = true\nbreaker = { failures = 3, open = \"1h\" }");
    let world = World::between(Origin::saying("monolith"), service, "debug_headers = true", &tables);
    assert_eq!(state(&world), "closed");
    for _ in 0..3 {
        assert_eq!(world.get("/users", &[]).get("x-multilith-fallback"), Some("reset"));
    }
    assert_eq!(state(&world), "open");
    assert!(world.edge.metric("multilith_breaker_open", &[("route", "users")]) > 0.5);
    world.edge.await_log_line(&["breaker opened", "users"]);
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let answer = world.edge.client().request(method, "/users", &[]);
        assert_eq!(answer.text(), "monolith", "{method}");
        assert_eq!(answer.get("x-multilith-fallback"), Some("breaker_open"), "{method}");
        assert_eq!(answer.get("x-multilith-reason"), Some("breaker_open"), "{method}");
    }
    assert_eq!(world.service.requests().len(), 3, "an open breaker does not ask");
    let counted = |reason| world.edge.metric("multilith_fallbacks_total", &[("route", "users"), ("reason", reason)]);
    assert!((counted("reset") - 3.0).abs() < 0.1 && (counted("breaker_open") - 4.0).abs() < 0.1);
    world.edge.await_log_line(&["\"fallback\":\"breaker_open\""]);
}

#[test]
fn an_answer_in_between_starts_the_count_over() {
    let (service, ill) = failing(Reply::no_answer());
    let tables = migrated("fallback = true\nbreaker = { failures = 3, open = \"1h\" }");
    let world = World::between(Origin::saying("monolith"), service, "", &tables);
    // One connection: an exchange is over, and counted, before the next one on it begins.
    let mut client = world.edge.client();
    for _ in 0..4 {
        ill.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            assert_eq!(client.request("GET", "/users", &[]).text(), "monolith");
        }
        ill.store(false, Ordering::SeqCst);
        assert_eq!(client.request("GET", "/users", &[]).text(), "service");
    }
    assert_eq!(state(&world), "closed");
}

#[test]
fn a_probe_closes_it_when_the_service_is_well_again() {
    let (service, ill) = failing(Reply::status("503 Service Unavailable", &[], ""));
    let tables = migrated("fallback = true\nbreaker = { failures = 1, open = \"100ms\" }");
    let world = World::between(Origin::saying("monolith"), service, "", &tables);
    assert_eq!(world.get("/users", &[]).text(), "monolith");
    let asked = world.service.requests().len();
    eventually("a probe", || {
        assert_eq!(world.get("/users", &[]).text(), "monolith", "a probe that fails is answered, too");
        (world.service.requests().len() > asked).then_some(())
    });
    ill.store(false, Ordering::SeqCst);
    eventually("the service's answer", || (world.get("/users", &[]).text() == "service").then_some(()));
    eventually("a closed breaker", || (state(&world) == "closed").then_some(()));
    assert!(world.edge.metric("multilith_breaker_open", &[("route", "users")]) < 0.5);
    for _ in 0..5 {
        assert_eq!(world.get("/users", &[]).text(), "service");
    }
    world.edge.await_log_line(&["breaker closed"]);
}

#[test]
fn clients_of_the_monolith_do_not_use_up_the_right_to_probe() {
    let (service, ill) = failing(Reply::no_answer());
    let tables = canary("50%", "breaker = { failures = 1, open = \"200ms\" }");
    let world = World::between(Origin::saying("monolith"), service, "", &tables);
    // Units on both sides, worked out without the proxy.
    let (there, here): (Vec<_>, Vec<_>) = (0..40)
        .map(|number| format!("X-User-Id: {number}"))
        .partition(|field| multilith::migration::bucket("users", &field.as_bytes()[11..]).0 < 5_000);
    assert_eq!(world.get("/users", &[&there[0]]).text(), "monolith");
    ill.store(false, Ordering::SeqCst);
    eventually("the time to probe", || (state(&world) == "probing").then_some(()));
    let mut client = world.edge.client();
    for field in &here {
        assert_eq!(client.request("GET", "/users", &[field]).text(), "monolith");
    }
    assert_eq!(state(&world), "probing", "nobody has taken the right to probe");
    assert_eq!(client.request("GET", "/users", &[&there[0]]).text(), "service");
    eventually("a closed breaker", || (state(&world) == "closed").then_some(()));
}

#[test]
fn a_service_that_breaks_off_every_answer_opens_it() {
    let (service, _) = failing(Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").close());
    let tables = migrated("fallback = true\nbreaker = { failures = 3, open = \"1h\" }");
    let world = World::between(Origin::saying("monolith"), service, "", &tables);
    for _ in 0..3 {
        let mut client = world.edge.client();
        client.send("GET /users HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.try_response(false).is_err());
    }
    eventually("an open breaker", || (state(&world) == "open").then_some(()));
    assert_eq!(world.get("/users", &[]).text(), "monolith");
}

#[test]
fn a_breaker_with_nothing_to_do_is_not_shown_as_open() {
    let (service, _) = failing(Reply::no_answer());
    let (monolith, settings) =
        (Origin::saying("monolith"), "fallback = true\nbreaker = { failures = 1, open = \"1h\" }");
    let edge = Edge::before(&monolith).service("users", &service).start();
    edge.reload(&migrated(settings));
    assert_eq!(edge.get("/users").text(), "monolith");
    let shown = || {
        let word = edge.admin_json("GET", "/api/v1/status").1["routes"][0]["breaker"].clone();
        (word, edge.metric("multilith_breaker_open", &[("route", "users")]) > 0.5)
    };
    assert_eq!(shown(), ("open".into(), true));
    edge.reload(&migrated(settings).replace("migrated", "monolith"));
    assert_eq!(shown(), ("closed".into(), false));
    edge.reload(&migrated(settings));
    assert_eq!(shown(), ("open".into(), true), "it survives a reload");
}
