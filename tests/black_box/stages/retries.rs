//! Another endpoint of the same upstream answers what one did not: never the one that failed, and not for ever.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Edge, Origin, Reply};

/// A migrated service at `/users` of these endpoints.
fn service(endpoints: &[&Origin], upstream: &str, route: &str) -> String {
    let addresses: Vec<_> = endpoints.iter().map(|origin| origin.address().to_string()).collect();
    let mut text = format!("[services.users]\nendpoints = {addresses:?}\n{upstream}\n");
    write!(text, "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"migrated\"\n{route}\n")
        .expect("a string takes everything");
    text
}

fn asked(origins: &[&Origin]) -> usize {
    origins.iter().map(|origin| origin.requests().len()).sum()
}

#[test]
fn one_broken_endpoint_of_two_fails_no_get_and_is_soon_left_alone() {
    for (name, reply) in [("hangs up", Reply::bytes("").close()), ("no HTTP", Reply::bytes("SSH-2.0\r\n\r\n").close())]
    {
        let (broken, well) = (Origin::start(move |_| reply.clone()), Origin::saying("well"));
        let edge = Edge::before(&Origin::saying("monolith")).with(&service(&[&broken, &well], "", "")).start();
        for _ in 0..200 {
            assert_eq!(edge.get("/users").status(), 200, "{name}");
        }
        // Five failures in a row, and hardly any more in the seconds that this takes.
        assert_eq!(broken.requests().len(), 5, "{name}");
        assert_eq!(well.requests().len(), 200, "{name}");
    }
}

#[test]
fn without_ejection_every_failure_goes_to_the_other_endpoint_and_the_turn_stays() {
    let (broken, well) = (Origin::start(|_| Reply::bytes("").close()), Origin::saying("well"));
    let edge = Edge::before(&Origin::saying("monolith")).with(&service(&[&broken, &well], "eject = false", "")).start();
    // As many as the budget of retries has at its beginning.
    for _ in 0..20 {
        assert_eq!(edge.get("/users").status(), 200);
    }
    assert_eq!((broken.requests().len(), well.requests().len()), (10, 20), "half of the requests begin at each");
    let retries = edge.metric("multilith_retries_total", &[("upstream", "users"), ("reason", "reset")]);
    assert!((retries - 10.0).abs() < 0.1, "{retries}");
}

#[test]
fn after_a_timeout_one_more_endpoint_is_asked_and_only_for_safe_methods() {
    const QUICK: &str = "timeouts = { answer = \"300ms\" }";
    let monolith = Origin::saying("monolith");
    for (name, silent, method, status, most) in [
        ("one of two is silent", 1, "GET", 200, 2),
        ("one of two is silent, HEAD", 1, "HEAD", 200, 2),
        ("all three are silent", 3, "GET", 504, 2),
        ("an unsafe method", 3, "POST", 504, 1),
    ] {
        let hanging: Vec<_> = (0..silent).map(|_| Origin::start(|_| Reply::hang())).collect();
        let well = Origin::saying("well");
        let mut all: Vec<_> = hanging.iter().collect();
        if silent == 1 {
            all.push(&well);
        }
        let edge = Edge::before(&monolith).with(&service(&all, QUICK, "")).start();
        let began = Instant::now();
        let response = edge.client().request(method, "/users", &["Content-Length: 0"]);
        assert_eq!(response.status(), status, "{name}");
        assert!(asked(&all) <= most, "{name}: {} asked", asked(&all));
        if status == 504 {
            assert_eq!(asked(&all), most, "{name}");
            assert!(
                began.elapsed()
                    < Duration::from_millis(300) * u32::try_from(most).unwrap_or(9) + Duration::from_secs(2)
            );
        }
    }
    assert_eq!(monolith.requests().len(), 0, "without a fallback the monolith is not asked");
}

#[test]
fn behind_a_timeout_no_third_endpoint_is_asked_whatever_the_second_does() {
    let (silent, closing) = (Origin::start(|_| Reply::hang()), Origin::start(|_| Reply::bytes("").close()));
    let (other, third) = (Origin::start(|_| Reply::hang()), Origin::start(|_| Reply::hang()));
    let all = [&silent, &closing, &other, &third];
    let edge = Edge::before(&Origin::saying("monolith"))
        .with(&service(&all, "timeouts = { answer = \"300ms\" }\nbalance = \"round-robin\"", ""))
        .start();
    assert_eq!(edge.get("/users").status(), 502);
    assert_eq!([silent.requests().len(), closing.requests().len(), asked(&[&other, &third])], [1, 1, 0]);
}

#[test]
fn no_endpoint_is_asked_when_total_has_passed() {
    let all = [Origin::start(|_| Reply::hang()), Origin::start(|_| Reply::hang())];
    let quick = "timeouts = { answer = \"10s\", total = \"300ms\" }";
    let edge = Edge::before(&Origin::saying("monolith")).with(&service(&[&all[0], &all[1]], quick, "")).start();
    let began = Instant::now();
    assert_eq!(edge.get("/users").status(), 504);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(asked(&[&all[0], &all[1]]), 1);
}

#[test]
fn where_a_fallback_is_on_it_comes_in_place_of_the_retry_after_a_timeout() {
    let monolith = Origin::saying("monolith");
    let all = [Origin::start(|_| Reply::hang()), Origin::saying("well")];
    let quick = "timeouts = { answer = \"300ms\" }";
    let edge = Edge::before(&monolith).with(&service(&[&all[0], &all[1]], quick, "fallback = true")).start();
    assert_eq!(edge.get("/users").text(), "monolith");
    assert_eq!((asked(&[&all[0]]), asked(&[&all[1]]), monolith.requests().len()), (1, 0, 1));
    assert_eq!(edge.get("/users").text(), "well", "the turn has moved on by one");
}

#[test]
fn a_kept_connection_that_ends_is_made_anew_at_the_same_endpoint() {
    let asked = AtomicUsize::new(0);
    let closing = Origin::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        // The second request comes over the connection of the first.
        1 => Reply::bytes("").close(),
        _ => Reply::ok("closing"),
    });
    let other = Origin::saying("other");
    let edge = Edge::before(&Origin::saying("monolith")).with(&service(&[&closing, &other], "", "")).start();
    let mut client = edge.client();
    let answers: Vec<_> = (0..5).map(|_| client.get("/users").text()).collect();
    assert_eq!(answers, ["closing", "other", "closing", "other", "closing"], "the turn does not move");
    assert_eq!((closing.requests().len(), closing.connections()), (4, 2));
}
