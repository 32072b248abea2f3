//! One rate for all replicas: each spends its part, by what it is asked for.

use super::world::{Etcd, World};
use crate::harness::{Edge, eventually};

/// Each client has forty requests, and gets one more in a minute and a half.
const LIMITED: &str = "[routes.users]\npath = \"/users\"\nstage = \"monolith\"\n\
     rate_limit = { per = \"header:x-user-id\", rate = \"40/h\", burst = 40, fleet = true }\n";

/// A new client asks: how many requests at once this replica grants.
fn granted(edge: &Edge) -> u32 {
    let user = format!("X-User-Id: {:x}", fastrand::u64(..));
    let response = edge.client().request("GET", "/users", &[&user]);
    assert_eq!(response.status(), 200);
    response.get("RateLimit-Limit").expect("a limit").parse().expect("a number")
}

#[test]
fn replicas_share_a_rate_by_what_they_are_asked_for() {
    let mut etcd = Etcd::start("rates");
    let world = World::start(&etcd, 2, LIMITED);
    let [one, other] = &world.edges[..] else { panic!("two replicas") };
    let is_half = |granted: u32| (17..=23).contains(&granted);
    let halves = eventually("half of the rate on each", || {
        let halves = (granted(one), granted(other));
        (is_half(halves.0) && is_half(halves.1)).then_some(halves)
    });
    let passes = |edge: &Edge| {
        let mut client = edge.client();
        (0..40).filter(|_| client.request("GET", "/users", &["X-User-Id: greedy"]).status() == 200).count()
    };
    let passed = passes(one) + passes(other);
    assert!((36..=48).contains(&passed), "{passed} of 80 passed of a rate of 40; {halves:?} were granted");

    // A balancer that prefers one of them moves the rate with its requests.
    eventually("most of the rate where all requests come", || (granted(one) >= 28).then_some(()));

    // Without etcd nobody waits, and what is known last is kept.
    etcd.stop();
    let mut last = 0;
    eventually("etcd is missed", || {
        last = granted(one);
        (one.metric("multilith_fleet_up", &[]) < 0.5).then_some(())
    });
    assert!((last.saturating_sub(2)..=last + 2).contains(&granted(one)));
    assert!(last >= 26, "{last}");
}
