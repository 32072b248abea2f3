//! Too few file descriptors: nobody dies, nobody else is blamed, and it is over when some are free again.

use std::process::Command;
use std::time::Duration;

use crate::harness::{Client, Edge, Origin, eventually};

/// An answer, if the proxy lets the client in.
fn status(edge: &Edge, target: &str) -> Option<u16> {
    let mut client = Client::try_connect(edge.address()).ok()?;
    client.try_send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).ok()?;
    Some(client.try_response(false).ok()?.status())
}

#[test]
fn more_clients_than_descriptors_are_turned_away_and_the_others_and_the_admin_listener_are_served() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).descriptors(128).start();
    edge.await_log_line(&["WARN", "128 open descriptors are allowed", "not the 10000", "LimitNOFILE"]);
    let mut first = edge.client();
    assert_eq!(first.get("/").status(), 200);
    let crowd: Vec<Client> = (0..300).filter_map(|_| Client::try_connect(edge.address()).ok()).collect();
    let refused = || edge.metric("multilith_refused_total", &[("reason", "connections")]);
    eventually("the crowd turned away", || (refused() >= 200.0).then_some(()));
    assert_eq!(edge.admin("GET", "/healthz").status(), 200);
    assert_eq!(first.get("/").status(), 200);
    assert_eq!(status(&edge, "/"), Some(503));
    drop(crowd);
    eventually("room again", || status(&edge, "/").filter(|status| *status == 200));
}

/// From now on the process may have so many open; those that are stay.
fn allow(edge: &Edge, most: &str) {
    let (process, limit) = (edge.process_id().to_string(), format!("--nofile={most}:"));
    let set = Command::new("prlimit").args(["--pid", &process, &limit]).status();
    assert!(set.expect("every Linux has prlimit").success());
}

#[test]
fn without_a_descriptor_left_accepting_pauses_and_no_upstream_is_blamed() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let route = "[routes.mine]\npath = \"/mine\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"100%\"\n\
                 breaker = { failures = 1, open = \"1h\" }";
    let edge = Edge::before(&monolith).service("users", &users).with(route).start();
    let mut inside = edge.client();
    assert_eq!(inside.get("/").text(), "monolith");
    allow(&edge, "4");
    let mut outside = edge.client();
    outside.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // There is no connection to this one yet, and none can be made.
    let refused = inside.get("/mine");
    assert_eq!((refused.status(), refused.get("retry-after").is_some()), (503, true));
    assert!(outside.stays_quiet(Duration::from_millis(50)), "there was a descriptor left");
    allow(&edge, "1024");
    assert_eq!(outside.response().text(), "monolith");
    let after = eventually("the service asked", || {
        let mut client = edge.client();
        Some(client.get("/mine")).filter(|response| response.status() == 200)
    });
    assert_eq!(after.text(), "service", "the breaker must not have opened for want of a descriptor");
    assert!(edge.metric("multilith_refused_total", &[("reason", "descriptors")]) >= 1.0);
    assert!(edge.metric("multilith_upstream_errors_total", &[]) < 0.5);
}
