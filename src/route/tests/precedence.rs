//! Which route gets a request, and why the others did not.

use super::world::{Request, absent, cookies, equal, methods, present, query, regex, rule, shared, table};
use crate::route::{HostPattern, Matching, PathRefused, RouteTable, Rule, normalise};

/// For each path, the template that must take it (`""`: none), whatever the order of the templates.
fn check(templates: &[&str], cases: &[(&str, &str)]) {
    for turn in 0..templates.len() {
        let mut turned = templates.to_vec();
        turned.rotate_left(turn);
        let table = table(turned.iter().map(|template| rule(&[template])).collect());
        for (path, expected) in cases {
            let landed = Request::get(path).lands(&table).map_or("", |index| turned[index]);
            assert_eq!(landed, *expected, "{path}");
        }
    }
}

#[test]
fn the_most_specific_path_wins_from_the_left() {
    check(
        &["/{*all}", "/api/{*rest}", "/api/users", "/api/users/", "/api/users/{id}", "/api/users/me", "/{x}/users/me"],
        &[
            ("/", "/{*all}"),
            ("/other", "/{*all}"),
            ("/api", "/api/{*rest}"),
            ("/api/", "/api/{*rest}"),
            ("/api/users", "/api/users"),
            ("/api/users/", "/api/users/"),
            ("/api/users/7", "/api/users/{id}"),
            ("/api/users/me", "/api/users/me"),
            ("/api/users/me/x", "/api/{*rest}"),
            ("/v2/users/me", "/{x}/users/me"),
            ("/v2/users/you", "/{*all}"),
        ],
    );
}

#[test]
fn a_parameter_and_a_catch_all_stand_beside_each_other() {
    check(
        &["/a/{id}", "/a/{*rest}"],
        &[("/a/1", "/a/{id}"), ("/a/1/2", "/a/{*rest}"), ("/a", "/a/{*rest}"), ("/a/", "/a/{*rest}"), ("/b", "")],
    );
}

#[test]
fn parameters_with_affixes_rank_by_their_literal_bytes() {
    check(
        &["/f/{x}", "/f/{x}.json", "/f/v{x}", "/f/v{x}.json", "/f/{x}.tar.gz", "/f/v1.json"],
        &[
            ("/f/a", "/f/{x}"),
            ("/f/a.json", "/f/{x}.json"),
            ("/f/va", "/f/v{x}"),
            ("/f/va.json", "/f/v{x}.json"),
            ("/f/v1.json", "/f/v1.json"),
            ("/f/v.json", "/f/{x}.json"),
            ("/f/va.tar.gz", "/f/{x}.tar.gz"),
        ],
    );
}

#[test]
fn equal_affixes_are_told_apart_by_the_rest_of_the_path() {
    check(
        &["/a{x}/{y}", "/{x}a/z", "/a{x}/{*rest}"],
        &[("/aba/z", "/{x}a/z"), ("/aba/q", "/a{x}/{y}"), ("/aba", "/a{x}/{*rest}"), ("/ab/z", "/a{x}/{y}")],
    );
}

#[test]
fn a_failing_condition_leaves_the_request_to_the_next_most_specific() {
    let table = table(vec![
        Rule { methods: Some(methods(&["POST"])), ..rule(&["/users/me"]) },
        rule(&["/users/{id}"]),
        Rule { conditions: vec![equal("x-beta", "1")], ..rule(&["/users/{id}/orders"]) },
        rule(&["/{*rest}"]),
    ]);
    let cases = [
        (Request::get("/users/me"), 1),
        (Request::get("/users/me").method("POST"), 0),
        (Request::get("/users/7/orders"), 3),
        (Request::get("/users/7/orders").header("x-beta", "1"), 2),
        (Request::get("/users/7/orders").header("x-beta", "2"), 3),
    ];
    for (request, expected) in cases {
        assert_eq!(request.lands(&table), Some(expected), "{request:?}");
    }
}

#[test]
fn hosts_are_asked_from_the_most_specific() {
    let host = |host: HostPattern, path: &str| Rule { host, ..rule(&[path]) };
    let table = table(vec![
        host(HostPattern::Any, "/{*rest}"),
        host(HostPattern::Wildcard(".example.com".into()), "/a/{*rest}"),
        host(HostPattern::Wildcard(".eu.example.com".into()), "/a"),
        host(HostPattern::Exact("shop.eu.example.com".into()), "/a/b"),
    ]);
    let cases = [
        ("shop.eu.example.com", "/a/b", 3),
        ("SHOP.eu.Example.com.", "/a/b", 3),
        ("shop.eu.example.com", "/a", 2),
        ("shop.eu.example.com", "/a/c", 1),
        ("shop.eu.example.com", "/c", 0),
        ("x.y.example.com", "/a/b", 1),
        ("example.com", "/a", 0),
        ("badexample.com", "/a", 0),
        (".example.com", "/a", 0),
        ("", "/a", 0),
    ];
    for (host, path, expected) in cases {
        assert_eq!(Request::get(path).host(host).lands(&table), Some(expected), "{host} {path}");
    }
}

#[test]
fn conditions_rank_by_kind_then_number_then_priority() {
    let table = table(vec![
        rule(&["/a"]),
        Rule { priority: 9, conditions: query(vec![present("q")]), ..rule(&["/a"]) },
        Rule { conditions: cookies(vec![present("c")]), ..rule(&["/a"]) },
        Rule { conditions: vec![present("x-h")], ..rule(&["/a"]) },
        Rule { conditions: vec![present("x-h"), regex("x-i", "^[0-9]+$")], ..rule(&["/a"]) },
        Rule { methods: Some(methods(&["GET"])), ..rule(&["/a"]) },
        Rule { priority: -1, ..rule(&["/a"]) },
    ]);
    let cases = [
        (Request::get("/a").method("PUT"), 0),
        (Request::get("/a").method("PUT").query("q=1"), 1),
        (Request::get("/a").method("PUT").query("q").header("cookie", "c=1"), 2),
        (Request::get("/a").method("PUT").header("cookie", "c=1").header("x-h", ""), 3),
        (Request::get("/a").method("PUT").header("x-h", "1").header("x-i", "12"), 4),
        (Request::get("/a").method("PUT").header("x-h", "1").header("x-i", "twelve"), 3),
        (Request::get("/a").header("x-h", "1").header("x-i", "12"), 5),
        (Request::get("/a").method("HEAD"), 5),
    ];
    for (request, expected) in cases {
        assert_eq!(request.lands(&table), Some(expected), "{request:?}");
    }
}

#[test]
fn methods_without_a_bit_of_their_own_are_matched_by_name() {
    let table = table(vec![
        Rule { methods: Some(methods(&["PURGE"])), ..rule(&["/a"]) },
        Rule { methods: Some(methods(&["BAN", "POST"])), ..rule(&["/a"]) },
        Rule { methods: Some(methods(&["HEAD"])), ..rule(&["/b"]) },
    ]);
    let cases = [
        ("PURGE", "/a", Some(0)),
        ("BAN", "/a", Some(1)),
        ("POST", "/a", Some(1)),
        ("OTHER", "/a", None),
        ("GET", "/b", None),
        ("HEAD", "/b", Some(2)),
    ];
    for (method, path, expected) in cases {
        assert_eq!(Request::get(path).method(method).lands(&table), expected, "{method} {path}");
    }
}

#[test]
fn a_preflight_follows_the_request_it_announces() {
    let table = table(vec![
        Rule { methods: Some(methods(&["PUT"])), ..rule(&["/a"]) },
        Rule { methods: Some(methods(&["PUT"])), conditions: vec![equal("x-beta", "1")], ..rule(&["/a"]) },
        Rule { methods: Some(methods(&["GET"])), conditions: cookies(vec![present("uid")]), ..rule(&["/a"]) },
        Rule { conditions: vec![absent("x-beta")], ..rule(&["/a"]) },
        Rule { methods: Some(methods(&["OPTIONS"])), ..rule(&["/a"]) },
    ]);
    let cases = [
        (Request::get("/a").method("PUT").announcing("content-type"), 0),
        (Request::get("/a").method("PUT").announcing("content-type, X-Beta"), 1),
        (Request::get("/a").announcing(""), 2),
        (Request::get("/a"), 3),
        (Request::get("/a").method("DELETE").announcing(""), 3),
        (Request::get("/a").method("OPTIONS"), 4),
    ];
    for (request, expected) in cases {
        assert_eq!(request.lands(&table), Some(expected), "{request:?}");
    }
    assert_eq!(Request::get("/a").method("DELETE").announcing("x-beta").lands(&table), None);
}

#[test]
fn case_and_trailing_slash_can_be_made_not_to_count() {
    let matching = Matching { case_insensitive: true, ignore_trailing_slash: true, ..Matching::default() };
    let rules = vec![rule(&["/Api/Users/"]), rule(&["/api/{id}.JSON"]), rule(&["/x/{*rest}"]), rule(&["/"])];
    let table = RouteTable::build(&shared(rules), matching).expect("the routes are told apart");
    for (path, expected) in
        [("/API/users", 0), ("/api/USERS/", 0), ("/api/A.json/", 1), ("/X", 2), ("/x/", 2), ("/", 3)]
    {
        assert_eq!(Request::get(path).lands(&table), Some(expected), "{path}");
    }
}

#[test]
fn no_spelling_of_a_path_steps_around_its_route() {
    let table = table(vec![rule(&["/api/users"]), rule(&["/api/public/{*rest}"]), rule(&["/admin/{*rest}"])]);
    let select = |raw: &str| {
        let path = normalise(raw, table.matching())?;
        let request = Request::get(raw);
        request.facts(*table.matching(), |facts| table.select(facts, &path)).map(|found| found.map(|own| own.route.0))
    };
    let cases = [
        ("/api/users", Ok(Some(0))),
        ("/api/%75sers", Ok(Some(0))),
        ("/api//users", Ok(Some(0))),
        ("//api/users", Ok(Some(0))),
        ("/api/./users", Err(PathRefused::OtherRoute)),
        ("/api/%2e/users", Err(PathRefused::OtherRoute)),
        ("/api/users;x", Ok(None)),
        ("/api/public/../users", Err(PathRefused::OtherRoute)),
        ("/api/public/%2E%2e/%2e./admin/x", Err(PathRefused::OtherRoute)),
        ("/api/public/..%2f..%2fadmin", Ok(Some(1))),
        ("/api/public/a/../b", Ok(Some(1))),
        ("/api/public/./b", Ok(Some(1))),
        ("/api/public/..", Err(PathRefused::OtherRoute)),
        ("/other/../elsewhere", Ok(None)),
        ("/admin/..;/api/users", Err(PathRefused::DotSemicolon)),
        ("/api\\users", Err(PathRefused::Backslash)),
        ("/api/users%00", Err(PathRefused::Nul)),
        ("/api/users/", Ok(None)),
        ("/API/users", Ok(None)),
    ];
    for (raw, expected) in cases {
        assert_eq!(select(raw), expected, "{raw}");
    }
}

#[test]
fn each_loser_is_told_why_it_lost() {
    let table = table(vec![
        Rule { conditions: vec![present("x-a")], priority: 1, ..rule(&["/u/me"]) },
        rule(&["/u/me"]),
        rule(&["/u/{id}", "/u/{*rest}"]),
        Rule { methods: Some(methods(&["POST", "PUT"])), ..rule(&["/u/me"]) },
        Rule { host: HostPattern::Exact("a.example".into()), ..rule(&["/u/me"]) },
        Rule { conditions: vec![equal("x-b", "1")], priority: 2, ..rule(&["/u/me"]) },
        Rule { conditions: cookies(vec![present("c")]), ..rule(&["/u/me"]) },
        Rule { conditions: query(vec![absent("q")]), ..rule(&["/u/me"]) },
        Rule { conditions: vec![present("x-a")], ..rule(&["/u/me"]) },
        rule(&["/other"]),
    ]);
    let request = Request::get("/u/me").query("q=1").header("x-a", "1").header("x-b", "2");
    let explanation = request.facts(*table.matching(), |facts| table.explain(facts));
    assert_eq!(explanation.found.map(|found| found.route.0), Some(0));
    let mut lost: Vec<(u32, String)> =
        explanation.candidates.iter().map(|candidate| (candidate.route.0, candidate.lost.to_string())).collect();
    lost.sort();
    let expected = [
        (1, "less specific: 0 header conditions against 1"),
        (2, "less specific: `{id}` against `me` in segment 2 of the path"),
        (3, "the method `GET` is not one of `POST`, `PUT`"),
        (4, "the host is not `a.example`"),
        (5, "header `x-b` is not equal to `1`"),
        (6, "cookie `c` is missing"),
        (7, "query `q` is present"),
        (8, "lower priority: 0 against 1"),
    ];
    assert_eq!(lost, expected.map(|(route, why)| (route, why.to_owned())));
}
