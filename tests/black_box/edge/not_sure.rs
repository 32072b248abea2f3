//! What the proxy knows of itself, and says no more than that: ages of routes, who asked, refusals in words.

use super::console::{FORM, HTML, after, ask, page};
use crate::harness::{Edge, Origin, eventually};

const TOKEN: &str = "a-token-of-the-right-one";
const NEWBORN: &str = "[routes.newborn]\npath = \"/newborn/{id}\"\nservice = \"new\"\nstage = \"migrated\"\n[inventory]\nretire_after = \"5m\"\n";

/// The line of a route's list that has this title.
fn check<'a>(page: &'a str, title: &str) -> &'a str {
    let rest = page.split_once(title).unwrap_or_else(|| panic!("no {title} in {page}")).1;
    rest.split("</li>").next().unwrap_or(rest)
}

fn locked() -> Edge {
    let token = "tokens = [{ name = \"ops\", token = { env = \"TOKEN_OF_OPS\" }, role = \"operate\" }]\ntrusted = [\"127.0.0.0/8\"]\nadmin_hosts = [\"edge.test\"]";
    Edge::before(&Origin::saying("ok")).variable("TOKEN_OF_OPS", TOKEN).server(token).start()
}

#[test]
fn a_route_is_as_old_as_it_is_in_force_and_not_as_the_program() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let edge = Edge::before(&monolith).service("new", &service).start();
    let uptime = || edge.admin_json("GET", "/api/v1/status").1["uptime_seconds"].as_f64().unwrap_or_default();
    eventually("some seconds", || (uptime() >= 4.0).then_some(()));
    let before = uptime();
    edge.reload(NEWBORN);
    let shown = ask(&edge, "GET", "/route/newborn", &[HTML], "").2.replace('\u{a0}', " ");
    let stood = check(&shown, "It has stood long enough");
    let seconds: f64 = after(stood, "for ", ' ').parse().unwrap_or_else(|_| panic!("no seconds in {stood}"));
    assert!(stood.contains(" of 5 min") && seconds <= uptime() - before + 1.0, "{stood}");
}

#[test]
fn what_the_monolith_answered_before_a_route_came_is_known_of_it() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let edge = Edge::before(&monolith).server("trusted = [\"127.0.0.0/8\"]").service("new", &service).start();
    let mut client = edge.client();
    for number in 0..20 {
        let from = format!("X-Forwarded-For: 192.0.2.{}", number % 2);
        client.request("GET", &format!("/newborn/{number}"), &[&from]);
    }
    eventually("the inventory", || {
        (edge.admin_json("GET", "/api/v1/inventory").1["requests"].as_u64() >= Some(20)).then_some(())
    });
    edge.reload(NEWBORN);
    let shown = ask(&edge, "GET", "/route/newborn", &[HTML], "").2;
    let asked = check(&shown, "The monolith is not asked");
    assert!(asked.contains("it answered "), "{asked}");
}

#[test]
fn wrong_tokens_of_a_program_are_told_and_keep_nobody_from_signing_in() {
    let edge = locked();
    let status = |token: &str, from: &str| {
        let (bearer, from) = (format!("Authorization: Bearer {token}"), format!("X-Forwarded-For: {from}"));
        ask(&edge, "GET", "/api/v1/status", &[&bearer, &from], "").0
    };
    let guesses: Vec<u16> = (0..7).map(|guess| status(&format!("guess-{guess}"), "192.0.2.1")).collect();
    assert_eq!(guesses, [401; 7]);
    edge.await_log_line(&["what was given to sign in is wrong", "192.0.2.1", "bearer"]);
    assert_eq!(status(TOKEN, "192.0.2.1"), 200, "whoever has the token shares the address with who guesses");
    // A page is as good a place to guess as the API, and the form is still open to whoever is there.
    let fields = ["Authorization: Bearer guess", "X-Forwarded-For: 192.0.2.1"];
    assert_eq!(ask(&edge, "GET", "/journal", &fields, "").0, 401);
    let (cookie, word) = page(&edge, "/console/login", None);
    let (cookie, ours) = (format!("Cookie: {cookie}"), format!("Origin: http://{}", edge.admin_address()));
    let body = format!("word={word}&token={TOKEN}");
    assert_eq!(ask(&edge, "POST", "/console/login", &[FORM, &cookie, &ours, fields[1]], &body).0, 303);
}

#[test]
fn a_page_loaded_by_http_presses_nothing_by_https() {
    let edge = locked();
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let https = "X-Forwarded-Proto: https";
    for (fields, status) in [
        (vec!["Origin: https://edge.test", https], 200),
        (vec!["Origin: http://edge.test", https], 403),
        (vec!["Origin: https://edge.test"], 403),
        (vec!["Origin: http://edge.test"], 200),
        (vec!["Origin: ftp://edge.test", https], 403),
    ] {
        let fields = [&fields[..], &[bearer.as_str()]].concat();
        assert_eq!(ask(&edge, "GET", "/api/v1/status", &fields, "").0, status, "{fields:?}");
    }
}

#[test]
fn a_refusal_is_a_page_for_people_and_json_for_programs() {
    let edge = locked();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let press = |fields: &[&str]| {
        ask(&edge, "POST", "/console/act", &[&[FORM, ours.as_str()][..], fields].concat(), "do=promote&route=a")
    };
    let (status, head, body) = press(&[HTML]);
    assert!(status == 401 && head.contains("text/html"), "{status} {head}");
    assert!(
        body.contains("Nothing was changed") && body.contains("href=\"../console/login?next=route%2Fa\""),
        "{body}"
    );
    let (status, head, body) = press(&[]);
    assert!(
        status == 401 && head.contains("application/problem+json") && body.starts_with('{'),
        "{status} {head} {body}"
    );

    let (cookie, word) = page(&edge, "/console/login", None);
    let cookie = format!("Cookie: {cookie}");
    let signed = ask(&edge, "POST", "/console/login", &[FORM, &ours, &cookie], &format!("word={word}&token={TOKEN}")).1;
    let session = format!("Cookie: multilith_console={}", after(&signed, "multilith_console=", ';'));
    let (status, head, body) = press(&[HTML, &session]);
    assert!(status == 403 && head.contains("text/html"), "{status} {head}");
    assert!(body.contains("Not done: this form is no longer good") && body.contains("Nothing was changed"), "{body}");
    let (status, _, body) = ask(&edge, "GET", "/console/nothing", &[HTML, &session], "");
    assert!(status == 404 && body.contains("there is no page at this path") && body.contains("</html>"), "{body}");
}

#[test]
fn requests_are_listed_without_a_script_and_one_has_a_page_of_its_own() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let read = |target: &str| ask(&edge, "GET", target, &[HTML], "").2;
    let first = read("/requests");
    assert!(first.contains("Nothing came yet") && first.contains("http-equiv=\"refresh\""), "{first}");
    assert_eq!(edge.get("/seen?by=nobody").status(), 200);
    let list = eventually("the request", || Some(read("/requests")).filter(|page| page.contains("/seen?by=nobody")));
    assert!(!list.contains("Nothing came yet") && list.contains("data-stream"), "{list}");
    let one = format!("/requests?one={}", after(&list, "requests?one=", '"'));
    let shown = read(&one);
    assert!(shown.contains("<details open") || shown.contains(" open>"), "{shown}");
    assert!(shown.contains("/seen?by=nobody") && !shown.contains("http-equiv"), "{shown}");
    assert!(!read("/requests?status=5xx").contains("/seen?by=nobody"), "the filter holds for these, too");
    assert!(read("/requests?one=none").contains("not among the last requests"));
}

#[test]
fn a_refused_file_shows_the_lines_that_are_wrong() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let read = || ask(&edge, "GET", "/file", &[HTML], "").2;
    assert!(read().contains("action=\"console/check#found\""));
    let wrong = "[services.mine]\nurl = \"http://me:geheim@127.0.0.1:9\"\nbalanc = \"sticky\"\n";
    edge.replace_file(&edge.text(wrong));
    edge.await_refusal();
    let shown = read();
    assert!(shown.contains("<span class=\"e\">balanc") && !shown.contains("geheim"), "{shown}");
}
