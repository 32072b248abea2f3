//! A conversation stays where it began, as long as that side is live.

use crate::harness::{Edge, Origin, Reply, free_address};
use crate::stages::world::{World, canary, cookies, pair};

fn pin_of(lines: &[&str]) -> Option<String> {
    lines.iter().find(|line| line.starts_with("multilith_pin_users=")).map(|line| (*line).to_owned())
}

#[test]
fn a_pinned_client_survives_a_change_of_weight_but_not_the_end_of_its_side() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &service).start();
    edge.reload(&canary("0%", "pin = \"10m\""));
    let first = edge.client().request("GET", "/users", &["X-User-Id: u"]);
    let line = pin_of(&cookies(&first)).expect("the conversation is pinned");
    assert_eq!(line, "multilith_pin_users=monolith; Path=/; Max-Age=600; HttpOnly; SameSite=Lax");
    let ask = |pin: &str| edge.client().request("GET", "/users", &["X-User-Id: u", &format!("Cookie: {pin}")]);
    for weight in ["10%", "99.99%"] {
        edge.reload(&canary(weight, "pin = \"10m\""));
        let answer = ask(pair(&line));
        assert_eq!(answer.text(), "monolith", "{weight}");
        assert_eq!(pin_of(&cookies(&answer)).as_ref(), Some(&line), "renewed with each answer");
    }
    edge.reload(&canary("100%", "pin = \"10m\""));
    let moved = ask(pair(&line));
    assert_eq!(moved.text(), "service", "the monolith's side has weight 0");
    assert!(pin_of(&cookies(&moved)).is_some_and(|line| line.starts_with("multilith_pin_users=service;")));
    edge.reload(&canary("0%", "pin = \"10m\""));
    assert_eq!(ask("multilith_pin_users=service").text(), "monolith", "a roll-back takes effect on the next request");
    edge.reload(&canary("50%", ""));
    assert!(pin_of(&cookies(&ask(pair(&line)))).is_none(), "a route without pins sets none");
}

#[test]
fn a_conversation_that_began_with_a_fallback_stays_at_the_monolith() {
    let monolith = Origin::saying("monolith");
    let tables = format!(
        "[services.users]\nurl = \"http://{}\"\n{}",
        free_address(),
        canary("100%", "pin = \"1m\"").replace("100%", "99.99%")
    );
    let edge = Edge::before(&monolith).with(&tables).start();
    let first = edge.client().request("GET", "/users", &["X-User-Id: u"]);
    assert_eq!(first.text(), "monolith");
    assert!(
        pin_of(&cookies(&first)).is_some_and(|line| line.starts_with("multilith_pin_users=monolith;")),
        "{first:?}"
    );
}

#[test]
fn one_failed_answer_does_not_move_a_conversation() {
    let world = World::answering(Reply::status("503 Service Unavailable", &[], ""), &canary("50%", "pin = \"1m\""));
    let answer = world.get("/users", &["X-User-Id: u", "Cookie: multilith_pin_users=service"]);
    assert_eq!(answer.text(), "monolith");
    assert!(
        pin_of(&cookies(&answer)).is_some_and(|line| line.starts_with("multilith_pin_users=service;")),
        "{answer:?}"
    );
}

#[test]
fn a_pin_that_names_nothing_is_no_pin() {
    let world = World::start(&canary("0.01%", "pin = \"1m\""));
    for forged in ["", "other", "service; multilith_pin_other=x", "SERVICE"] {
        let answer = world.get("/users", &["X-User-Id: u", &format!("Cookie: multilith_pin_users={forged}")]);
        let expected = if forged.starts_with("service") { "service" } else { "monolith" };
        assert_eq!(answer.text(), expected, "{forged}");
    }
}
