//! Which routes are refused because neither is the more specific.

use super::world::{absent, cookies, equal, methods, present, query, regex, rule, shared};
use crate::route::{HostPattern, Matching, RouteTable, Rule};

fn pairs(rules: Vec<Rule>) -> Vec<(u32, u32)> {
    let built = RouteTable::build(&shared(rules), Matching::default());
    let ambiguities = built.err().unwrap_or_default();
    ambiguities.iter().map(|pair| (pair.first.0, pair.second.0)).collect()
}

#[test]
fn routes_of_equal_rank_for_one_request_are_ambiguous() {
    let table: Vec<(&str, Rule, Rule)> = vec![
        ("one path", rule(&["/a"]), rule(&["/a"])),
        ("names of parameters do not count", rule(&["/a/{x}"]), rule(&["/a/{y}"])),
        ("spelling does not count", rule(&["/%61/\u{e9}"]), rule(&["/a/%c3%a9"])),
        ("one path of several", rule(&["/a", "/b"]), rule(&["/c", "/b"])),
        ("catch-alls", rule(&["/a/{*x}"]), rule(&["/a/{*y}"])),
        ("affixes that overlap", rule(&["/a{x}"]), rule(&["/{x}b"])),
        ("affixes, one the beginning of the other", rule(&["/ab{x}c/{y}"]), rule(&["/a{x}dc/{z}"])),
        (
            "GET stands for HEAD",
            Rule { methods: Some(methods(&["GET"])), ..rule(&["/a"]) },
            Rule { methods: Some(methods(&["HEAD", "POST"])), ..rule(&["/a"]) },
        ),
        (
            "different headers",
            Rule { conditions: vec![equal("x-a", "1")], ..rule(&["/a"]) },
            Rule { conditions: vec![equal("x-b", "1")], ..rule(&["/a"]) },
        ),
        (
            "present and equal",
            Rule { conditions: vec![present("x-a")], ..rule(&["/a"]) },
            Rule { conditions: vec![equal("x-a", "1")], ..rule(&["/a"]) },
        ),
        (
            "a regex is not looked into",
            Rule { conditions: vec![regex("x-a", "^2$")], ..rule(&["/a"]) },
            Rule { conditions: vec![equal("x-a", "1")], ..rule(&["/a"]) },
        ),
    ];
    for (case, left, right) in table {
        assert_eq!(pairs(vec![left, right]), [(0, 1)], "{case}");
    }
}

#[test]
fn routes_that_cannot_meet_or_differ_in_rank_are_not() {
    let host = |host: &str| Rule { host: HostPattern::Exact(host.into()), ..rule(&["/a"]) };
    let table: Vec<(&str, Rule, Rule)> = vec![
        ("hosts", host("a.example"), host("b.example")),
        (
            "methods",
            Rule { methods: Some(methods(&["GET"])), ..rule(&["/a"]) },
            Rule { methods: Some(methods(&["PUT"])), ..rule(&["/a"]) },
        ),
        ("naming methods", Rule { methods: Some(methods(&["GET"])), ..rule(&["/a"]) }, rule(&["/a"])),
        ("priority", Rule { priority: 1, ..rule(&["/a"]) }, rule(&["/a"])),
        ("affixes that never meet", rule(&["/ab{x}"]), rule(&["/c{x}b"])),
        ("affixes of other lengths", rule(&["/ab{x}"]), rule(&["/{x}b"])),
        ("overlapping affixes, then another literal", rule(&["/a{x}/b"]), rule(&["/{x}a/c"])),
        ("overlapping affixes, then another rank", rule(&["/a{x}/b"]), rule(&["/{x}a/{y}"])),
        (
            "equal values",
            Rule { conditions: query(vec![equal("q", "1")]), ..rule(&["/a"]) },
            Rule { conditions: query(vec![equal("q", "2")]), ..rule(&["/a"]) },
        ),
        (
            "presence and absence",
            Rule { conditions: cookies(vec![present("c")]), ..rule(&["/a"]) },
            Rule { conditions: cookies(vec![absent("c")]), ..rule(&["/a"]) },
        ),
    ];
    for (case, left, right) in table {
        assert_eq!(pairs(vec![left, right]), [], "{case}");
    }
}

#[test]
fn a_route_is_not_ambiguous_with_itself() {
    assert_eq!(pairs(vec![rule(&["/a/{x}", "/a/{y}", "/b{x}", "/{x}b"])]), []);
}

#[test]
fn each_pair_is_told_once_and_with_its_paths() {
    let built =
        RouteTable::build(&shared(vec![rule(&["/a", "/b", "/c"]), rule(&["/x", "/b", "/c"])]), Matching::default());
    let ambiguities = built.expect_err("the routes overlap");
    assert_eq!(ambiguities.len(), 1);
    assert_eq!((ambiguities[0].first_path, ambiguities[0].second_path), (1, 1));
}

#[test]
fn settings_can_make_routes_ambiguous() {
    let rules = || shared(vec![rule(&["/a"]), rule(&["/A/"])]);
    assert!(RouteTable::build(&rules(), Matching::default()).is_ok());
    let lax = Matching { case_insensitive: true, ignore_trailing_slash: true, ..Matching::default() };
    assert_eq!(RouteTable::build(&rules(), lax).expect_err("the routes overlap").len(), 1);
}

#[test]
fn many_routes_told_apart_by_one_value_are_all_compared() {
    let with = |value: &str, other: &str| Rule {
        conditions: vec![equal("x-tenant", value), present(other)],
        ..rule(&["/rpc"])
    };
    let mut rules: Vec<Rule> = (0..500).map(|tenant| with(&tenant.to_string(), "x-a")).collect();
    assert_eq!(pairs(rules.clone()), []);
    rules.push(with("77", "x-b"));
    rules.push(Rule { conditions: vec![present("x-c"), absent("x-tenant")], ..rule(&["/rpc"]) });
    assert_eq!(pairs(rules.clone()), [(77, 500)]);
    rules.push(Rule { conditions: vec![equal("x-c", "1"), equal("x-tenant", "499")], ..rule(&["/rpc"]) });
    assert_eq!(pairs(rules), [(77, 500), (499, 502)]);
}
