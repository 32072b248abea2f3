//! Which spellings of a request just miss a route.

use super::world::{Request, rule, table};
use crate::route::{Miss, RouteTable};

/// Index of the route, the path that reaches it, and why.
fn near(table: &RouteTable, target: &str) -> Vec<(u32, String, Miss)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request::get(path).query(query);
    let near = request.facts(*table.matching(), |facts| table.near_misses(facts, table.find(facts)));
    near.into_iter().map(|near| (near.route.0, near.path, near.why)).collect()
}

#[test]
fn a_request_that_just_misses_a_route_is_told_by_how_much() {
    let table = table(vec![rule(&["/posts"]), rule(&["/pages/"]), rule(&["/Users/{id}"]), rule(&["/wp-json/{*rest}"])]);
    for (target, wanted) in [
        ("/posts", None),
        ("/posts/", Some((0, "/posts", Miss::TrailingSlash))),
        ("/pages", Some((1, "/pages/", Miss::NoTrailingSlash))),
        ("/POSTS", Some((0, "/posts", Miss::Case))),
        ("/users/7", Some((2, "/Users/{id}", Miss::Case))),
        ("/posts;x", Some((0, "/posts", Miss::PathParameter))),
        ("/posts;jsessionid=7", Some((0, "/posts", Miss::PathParameter))),
        ("/index.php/posts", Some((0, "/posts", Miss::FrontController))),
        ("/?rest_route=/wp/v2/posts", Some((3, "/wp-json/wp/v2/posts", Miss::RestRoute))),
        ("/?rest_route=%2Fposts", Some((3, "/wp-json/posts", Miss::RestRoute))),
        ("/POSTS/", Some((0, "/posts", Miss::Case))),
        ("/posts/;x", Some((0, "/posts", Miss::PathParameter))),
        ("/index.php/posts/", Some((0, "/posts", Miss::FrontController))),
        ("/other", None),
        ("/index.phpx", None),
    ] {
        let found = near(&table, target);
        let wanted = wanted.map(|(route, path, why): (u32, &str, Miss)| (route, path.to_owned(), why));
        assert_eq!(found.into_iter().next(), wanted, "{target}");
    }
}

#[test]
fn a_route_that_takes_the_request_hides_none_that_it_just_misses() {
    let table = table(vec![rule(&["/{*rest}"]), rule(&["/posts"])]);
    assert_eq!(near(&table, "/posts/"), [(1, "/posts".to_owned(), Miss::TrailingSlash)]);
    assert_eq!(near(&table, "/posts"), []);
}
