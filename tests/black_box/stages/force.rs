//! A tester in a trusted network names the side; anybody else's wish is removed.

use crate::harness::{Edge, Origin};
use crate::stages::world::{World, canary, cookies};

const FORCE: &str = "trusted = [\"127.0.0.0/8\"]\nforce = { header = \"x-multilith-force\", from = [\"10.0.0.0/8\"] }";
const INSIDE: &str = "X-Forwarded-For: 10.1.2.3";
const OUTSIDE: &str = "X-Forwarded-For: 203.0.113.7";

fn world(tables: &str) -> World {
    World::between(Origin::saying("monolith"), Origin::saying("service"), FORCE, tables)
}

#[test]
fn only_a_client_of_the_named_networks_chooses_its_side() {
    let world = world(&canary("0%", ""));
    let table: [(&[&str], &str); 6] = [
        (&[INSIDE, "X-Multilith-Force: service"], "service"),
        (&[INSIDE, "x-multilith-force: monolith"], "monolith"),
        (&[INSIDE, "X-Multilith-Force: nonsense"], "monolith"),
        (&[OUTSIDE, "X-Multilith-Force: service"], "monolith"),
        (&["X-Multilith-Force: service"], "monolith"),
        (&["X-Forwarded-For: 10.1.2.3, 203.0.113.7", "X-Multilith-Force: service"], "monolith"),
    ];
    for (fields, side) in table {
        assert_eq!(world.get("/users", fields).text(), side, "{fields:?}");
    }
    for request in world.monolith.requests().iter().chain(&world.service.requests()) {
        assert_eq!(request.get("x-multilith-force"), None, "{:?}", request.head);
    }
}

#[test]
fn without_the_setting_the_header_is_nothing() {
    let world = World::start(&canary("0%", ""));
    assert_eq!(world.get("/users", &["X-Multilith-Force: service"]).text(), "monolith");
}

#[test]
fn an_untrusted_peer_cannot_say_that_it_is_inside() {
    let server = "force = { header = \"x-multilith-force\", from = [\"10.0.0.0/8\"] }";
    let world = World::between(Origin::saying("monolith"), Origin::saying("service"), server, &canary("0%", ""));
    assert_eq!(world.get("/users", &[INSIDE, "X-Multilith-Force: service"]).text(), "monolith");
}

#[test]
fn a_forced_answer_is_nobody_elses() {
    let world = world(&canary("0%", ""));
    let forced = world.get("/users", &[INSIDE, "X-Multilith-Force: service"]);
    assert_eq!((forced.get("cache-control"), cookies(&forced).len()), (Some("private"), 0));
}

#[test]
fn a_variant_can_be_named_too() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let tables = "[routes.pay]\npath = \"/pay\"\nstage = \"split\"\n[routes.pay.variants]\n\
                  blue = { upstream = \"monolith\", weight = \"100%\" }\ngreen = { upstream = \"users\", weight = \"0%\" }";
    let edge = Edge::before(&monolith).server(FORCE).service("users", &service).with(tables).start();
    let answer =
        |side: &str| edge.client().request("GET", "/pay", &[INSIDE, &format!("X-Multilith-Force: {side}")]).text();
    assert_eq!(answer("green"), "service");
    assert_eq!(answer("blue"), "monolith");
}
