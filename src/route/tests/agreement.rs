//! The tree finds what a linear search finds, whatever the routes, their order and the request.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::world::{Request, absent, cookies, equal, methods, present, query, regex, rule, shared};
use crate::route::{Condition, HostPattern, Matching, RouteTable, Rule, linear};

/// Few words, so that templates and paths meet often.
fn template() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "b", "aa", "ab", "{x}", "a{x}", "{x}a", "b{x}", "{x}b", "a{x}a", "ab{x}", "{x}ab"]);
    (vec(segment, 0..4), select(vec!["", "", "/", "/{*r}"])).prop_map(|(segments, end)| {
        let named =
            segments.iter().enumerate().map(|(at, segment)| format!("/{}", segment.replace('x', &format!("p{at}"))));
        let text: String = named.chain([end.to_owned()]).collect();
        if text.is_empty() { "/".to_owned() } else { text }
    })
}

fn condition() -> impl Strategy<Value = Option<Condition>> {
    select(vec![
        None,
        None,
        None,
        Some(equal("k", "1")),
        Some(equal("k", "2")),
        Some(present("k")),
        Some(absent("k")),
        Some(regex("k", "^[12]$")),
        Some(present("l")),
    ])
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let host = select(vec![
        HostPattern::Any,
        HostPattern::Any,
        HostPattern::Exact("a.x.y".into()),
        HostPattern::Wildcard(".y".into()),
        HostPattern::Wildcard(".x.y".into()),
    ]);
    let named = select(vec![None, None, Some("GET"), Some("POST"), Some("HEAD"), Some("PURGE")]);
    (vec(template(), 1..3), host, named, condition(), condition(), condition(), -1_i64..2).prop_map(
        |(paths, host, method, header, cookie, asked, priority)| {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            Rule {
                host,
                methods: method.map(|method| methods(&[method])),
                conditions: header
                    .into_iter()
                    .chain(cookies(cookie.into_iter().collect()))
                    .chain(query(asked.into_iter().collect()))
                    .collect(),
                priority,
                ..rule(&paths)
            }
        },
    )
}

/// Rules that differ in little but their paths, so that many rank equally.
fn plain_rule() -> impl Strategy<Value = Rule> {
    let segment = || select(vec!["a", "{x}", "a{x}", "{x}a", "b{x}", "{x}b", "ab{x}", "{x}ab", "a{x}b"]);
    let path = (segment(), prop::option::of(segment()), select(vec!["", "", "/{*r}"]));
    (path, select(vec![None, Some("GET"), Some("POST")]), condition()).prop_map(
        |((first, second, end), method, header)| {
            let second = second.map(|segment| format!("/{}", segment.replace('x', "y"))).unwrap_or_default();
            Rule {
                methods: method.map(|method| methods(&[method])),
                conditions: header.into_iter().collect(),
                ..rule(&[&format!("/{first}{second}{end}")])
            }
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let segment = select(vec!["a", "b", "aa", "ab", "aba", "aaa", "A", "aB", "", "c"]);
    let host = select(vec!["", "a.x.y", "A.X.y", "b.x.y", "b.y", "y"]);
    let value = || select(vec![None, None, Some("1"), Some("2"), Some("3")]);
    let method = select(vec!["GET", "POST", "HEAD", "PURGE", "PUT"]);
    let preflight = select(vec![None, None, None, Some(""), Some("k"), Some("l, K")]);
    (vec(segment, 0..5), host, method, value(), value(), value(), preflight).prop_map(
        |(segments, host, method, header, cookie, query, preflight)| {
            let mut request = Request::get(&format!("/{}", segments.join("/"))).host(host).method(method);
            if let Some(value) = header {
                request = request.header("k", value);
            }
            if let Some(value) = cookie {
                request = request.header("cookie", &format!("l=0; k={value}"));
            }
            request.query = query.map(|value| format!("k={value}"));
            request.preflight = preflight.map(str::to_owned);
            request
        },
    )
}

fn matching() -> impl Strategy<Value = Matching> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(merge_slashes, case_insensitive, ignore_trailing_slash)| Matching {
            merge_slashes,
            case_insensitive,
            ignore_trailing_slash,
        },
    )
}

/// Leaves out one route of each ambiguous pair, until none is left.
fn settle(mut rules: Vec<Arc<Rule>>, matching: Matching) -> (Vec<Arc<Rule>>, RouteTable) {
    loop {
        match RouteTable::build(&rules, matching) {
            Ok(table) => return (rules, table),
            Err(ambiguities) => {
                rules.remove(ambiguities[0].second.index());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_tree_agrees_with_a_linear_search(
        rules in prop_oneof![vec(any_rule(), 1..24), vec(plain_rule(), 1..24)],
        requests in vec(request(), 16),
        matching in matching(),
    ) {
        let (rules, table) = settle(shared(rules), matching);
        for request in requests {
            request.facts(matching, |facts| {
                prop_assert_eq!(table.find(facts), linear(&rules, facts, matching), "{:?}", request);
                let explanation = table.explain(facts);
                prop_assert_eq!(explanation.found, table.find(facts));
                Ok(())
            })?;
        }
    }

    #[test]
    fn the_order_of_the_routes_does_not_matter(
        rules in vec(any_rule(), 1..16),
        requests in vec(request(), 8),
        turn in 0_usize..16,
    ) {
        let matching = Matching::default();
        let (rules, table) = settle(shared(rules), matching);
        let mut turned = rules.clone();
        turned.rotate_left(turn % rules.len());
        turned.reverse();
        let other = RouteTable::build(&turned, matching).expect("the same routes are told apart in any order");
        for request in requests.iter().filter(|request| request.preflight.is_none()) {
            let taken = |table: &RouteTable, rules: &[Arc<Rule>]| {
                request.facts(matching, |facts| table.find(facts)).map(|found| Arc::as_ptr(&rules[found.route.index()]))
            };
            prop_assert_eq!(taken(&table, &rules), taken(&other, &turned), "{:?}", request);
        }
    }

    /// Completeness of the search for ambiguities: what it passes is never decided by order.
    #[test]
    fn no_request_meets_two_routes_of_equal_rank(
        rules in prop_oneof![vec(any_rule(), 2..16), vec(plain_rule(), 2..16)],
        requests in vec(request(), 24),
        matching in matching(),
    ) {
        let (rules, table) = settle(shared(rules), matching);
        let mut backwards = rules.clone();
        backwards.reverse();
        for request in requests.iter().filter(|request| request.preflight.is_none()) {
            request.facts(matching, |facts| {
                let forward = table.find(facts).map(|found| found.route.index());
                let backward = linear(&backwards, facts, matching).map(|found| rules.len() - 1 - found.route.index());
                prop_assert_eq!(forward, backward);
                Ok(())
            })?;
        }
    }
}
