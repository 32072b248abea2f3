//! A shared cache never mixes two sides up, and never hands out a client's cookie.

use crate::harness::Reply;
use crate::stages::world::{World, canary, cookies, migrated};

fn answered_with(fields: &[&str], status: &str, tables: &str, sent: &[&str]) -> (Option<String>, usize) {
    let world = World::answering(Reply::status(status, fields, ""), tables);
    let response = world.get("/users", sent);
    (response.get("cache-control").map(str::to_owned), cookies(&response).len())
}

#[test]
fn while_both_sides_are_live_no_shared_cache_keeps_an_answer() {
    let unit: &[&str] = &["X-User-Id: u"];
    let both = canary("99.99%", "");
    let table: [(&str, &[&str], Option<&str>); 9] = [
        ("200 OK", &["Cache-Control: public, max-age=60"], Some("private, max-age=60")),
        ("200 OK", &["Cache-Control: s-maxage=60"], Some("private")),
        ("200 OK", &[], Some("private")),
        ("200 OK", &["Cache-Control: no-store"], Some("no-store")),
        ("200 OK", &["Cache-Control: private, max-age=1"], Some("private, max-age=1")),
        ("200 OK", &["ETag: \"1\"", "Vary: Accept"], Some("private")),
        ("304 Not Modified", &["ETag: \"1\""], Some("private")),
        ("304 Not Modified", &["Cache-Control: public"], Some("private")),
        ("302 Found", &["Location: /"], None),
    ];
    for (status, fields, expected) in table {
        assert_eq!(answered_with(fields, status, &both, unit).0.as_deref(), expected, "{status} {fields:?}");
    }
}

#[test]
fn a_cookie_of_ours_is_never_on_an_answer_that_a_shared_cache_keeps() {
    for more in ["", "shared_cache = true"] {
        for status in ["200 OK", "304 Not Modified", "404 Not Found"] {
            let (control, count) =
                answered_with(&["Cache-Control: public, max-age=60"], status, &canary("100%", more), &[]);
            assert_eq!((control.as_deref(), count), (Some("private, max-age=60"), 1), "{status} {more}");
        }
    }
}

#[test]
fn a_route_may_say_that_shared_caches_can_keep_its_answers() {
    let tables = canary("99.99%", "shared_cache = true");
    let public = "public, max-age=60";
    let (control, count) = answered_with(&[&format!("Cache-Control: {public}")], "200 OK", &tables, &["X-User-Id: u"]);
    assert_eq!((control.as_deref(), count), (Some(public), 0));
}

#[test]
fn with_one_side_live_the_answer_is_left_alone() {
    for tables in [migrated(""), canary("100%", "")] {
        let (control, _) = answered_with(&["Cache-Control: public"], "200 OK", &tables, &["X-User-Id: u"]);
        assert_eq!(control.as_deref(), Some("public"), "{tables}");
    }
}

#[test]
fn headers_that_only_caches_of_the_edge_obey_do_not_undo_it() {
    let fields = &["Cache-Control: private", "CDN-Cache-Control: max-age=60", "Surrogate-Control: max-age=60"];
    let world = World::answering(Reply::status("200 OK", fields, ""), &canary("99.99%", ""));
    let response = world.get("/users", &["X-User-Id: u"]);
    assert_eq!(response.get("cache-control"), Some("private"));
    assert_eq!((response.get("cdn-cache-control"), response.get("surrogate-control")), (None, None));
}
