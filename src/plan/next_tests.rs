//! The next proposals, and their reasons.

use super::*;
use crate::inventory::{OtherAgents, Unknown};
use crate::migration::Percent;

const NOW: u32 = 29_000_000;

fn dial(stage: Stage) -> Dial {
    Dial { stage, weight: Percent::NOBODY }
}

fn route(stage: Stage) -> StandingRoute {
    StandingRoute {
        name: "users".to_owned(),
        dial: dial(stage),
        service: None,
        since: None,
        fallbacks: 0,
        differs: false,
    }
}

/// The file in which `users` is moved.
fn users_moved() -> Snapshot {
    let text = "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.users]\nurl = \"http://127.0.0.1:2\"\n\
                [routes.users]\npath = \"/users/{id}\"\nservice = \"users\"\nstage = \"migrated\"\n";
    crate::compile::compile(text, "routes.toml", &|_| None).snapshot.expect("a good file")
}

/// Watched for `days`; of 100 000 requests, `unmatched` went to an endpoint without a route, just now.
fn watched(days: u32, unmatched: u64) -> InventoryReport {
    let endpoint = |path: &str, route: Option<&str>, requests| LearnedEndpoint {
        method: "GET".into(),
        path: path.to_owned(),
        route: route.map(str::to_owned),
        stage: None,
        requests,
        monolith: 0,
        errors: 0,
        monolith_errors: 0,
        missing: 0,
        clients: "several".into(),
        callers: 2,
        agents: Vec::new(),
        other_agents: OtherAgents::None,
        p50_seconds: None,
        p99_seconds: None,
        first_seen: None,
        last_seen: None,
        monolith_last_seen: None,
        parameters: Vec::new(),
        writes: false,
        example: path.to_owned(),
        last_minute: NOW,
        monolith_last_minute: 0,
        untimed: false,
    };
    let since = jiff::Timestamp::from_second(i64::from(NOW - days * 24 * 60) * 60).expect("a time");
    InventoryReport {
        since: Some(since.to_string()),
        requests: 100_000,
        dropped: 0,
        endpoints: vec![endpoint("/users/{id}", Some("users"), 100_000 - unmatched), endpoint("/old", None, unmatched)],
        unknown: Unknown { requests: 0, paths: 0 },
        unsure: 0,
        strays: 0,
    }
}

#[test]
fn the_proxy_may_go_after_thirty_days_in_which_everything_had_a_moved_route() {
    let moved = [route(Stage::Migrated), route(Stage::Retired)];
    let step = leave(&watched(30, 9), &moved, true, None, NOW).expect("a proposal");
    assert_eq!((step.kind, &*step.path, &*step.toml), ("leave", "", ""));
    assert!(step.reasons.iter().any(|reason| reason.contains("`multilith export --to nginx --verify`")), "{step:?}");

    assert!(leave(&watched(29, 9), &moved, true, None, NOW).is_none(), "too short a time");
    assert!(leave(&watched(30, 10), &moved, true, None, NOW).is_none(), "0.01 % have no route");
    assert!(leave(&watched(30, 9), &moved, false, None, NOW).is_none(), "the monolith still gets what is moved");
    assert!(leave(&watched(30, 9), &[route(Stage::Canary)], true, None, NOW).is_none(), "a route is on its way");
    assert!(leave(&watched(30, 9), &[], true, None, NOW).is_none(), "there is no route");
}

#[test]
fn the_proxy_stays_while_what_is_not_listed_still_needs_the_monolith() {
    let moved = [route(Stage::Migrated)];
    // One client imports at night, and a page fails for all clients: neither is an endpoint.
    let mut report = watched(40, 0);
    report.strays = 10;
    assert!(leave(&report, &moved, true, None, NOW).is_none());
    let answered = |requests, monolith| Some(AnsweredLately { requests, monolith });
    assert!(leave(&report, &moved, true, answered(100_000, 5_000), NOW).is_none());
    assert!(leave(&report, &moved, true, answered(1_000_000, 5_000), NOW).is_some());
    // Of all that it ever answered, little is of these days.
    report.strays = 5_000;
    assert!(leave(&report, &moved, true, answered(100_000, 9), NOW).is_some());
    assert!(leave(&report, &moved, true, None, NOW).is_none());
    report.strays = 9;
    assert!(leave(&report, &moved, true, None, NOW).is_some());
    // A path too long to look at is no endpoint, and was asked for.
    report.dropped = 100;
    assert!(leave(&report, &moved, true, None, NOW).is_none());
    assert!(leave(&report, &moved, true, answered(1_000, 1_000), NOW).is_none());
}

#[test]
fn errors_and_times_of_a_service_are_no_reason_to_take_a_route_from_the_monolith() {
    let mut report = watched(30, 0);
    let slow = LearnedEndpoint {
        errors: 28_500,
        p99_seconds: Some(3.0),
        monolith_last_minute: NOW,
        ..report.endpoints.remove(0)
    };
    report.endpoints = (0..9)
        .map(|number| LearnedEndpoint {
            path: format!("/page-{number}"),
            p99_seconds: Some(0.1),
            route: None,
            ..slow.clone()
        })
        .collect();
    let reasons = |monolith, monolith_errors| {
        let mut report = report.clone();
        report.endpoints.push(LearnedEndpoint { monolith, monolith_errors, ..slow.clone() });
        let steps = take(&Traffic::of(&report), &users_moved(), &[route(Stage::Monolith)], &[], NOW);
        let step = steps.into_iter().find(|step| step.route.as_deref() == Some("users")).expect("it is proposed");
        step.reasons.join("; ")
    };
    let by_service = reasons(0, 0);
    assert!(!by_service.contains("errors") && !by_service.contains("p99"), "{by_service}");
    let by_both = reasons(50_000, 1_000);
    assert!(by_both.contains("2.0 % of the monolith's answers are errors") && !by_both.contains("p99"), "{by_both}");
    let by_monolith = reasons(100_000, 28_500);
    assert!(by_monolith.contains("28.5 %") && by_monolith.contains("p99 is about 3000 ms"), "{by_monolith}");
}

/// `read-order` divides its clients by their cookie; the rest of the resource is at the monolith.
const ORDERS: &str = "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.orders]\nurl = \"http://127.0.0.1:2\"\n\
    [routes.read-order]\npath = \"/orders/{id}\"\nmethods = [\"GET\"]\nservice = \"orders\"\nstage = \"canary\"\n\
    weight = \"5%\"\nsticky = \"cookie:sid\"\n";

fn orders(more: &str) -> Snapshot {
    let text = format!("{ORDERS}{more}");
    crate::compile::compile(&text, "routes.toml", &|_| None).snapshot.unwrap_or_else(|| panic!("a good file: {text}"))
}

#[test]
fn what_is_to_be_pasted_keeps_a_resource_together() {
    let canary = StandingRoute {
        name: "read-order".to_owned(),
        dial: Dial { stage: Stage::Canary, weight: Percent::from_hundredths(500).expect("a share") },
        service: Some("orders".to_owned()),
        ..route(Stage::Canary)
    };
    let mut report = watched(30, 0);
    let one = report.endpoints.remove(0);
    let endpoint = |method: &'static str, path: &str, route: Option<&str>| LearnedEndpoint {
        method: method.into(),
        path: path.to_owned(),
        route: route.map(str::to_owned),
        writes: method != "GET",
        ..one.clone()
    };
    let pasted = |endpoints: Vec<LearnedEndpoint>, more: &str, routes: &[StandingRoute]| {
        let report = InventoryReport { endpoints, ..report.clone() };
        take(&Traffic::of(&report), &orders(more), routes, &[], NOW)
    };
    let read = endpoint("GET", "/orders/{id}", Some("read-order"));
    let writes = [("POST", "/orders"), ("DELETE", "/orders/{id}"), ("POST", "/orders/{id}/cancel")]
        .map(|(method, path)| endpoint(method, path, None));
    // Also where a single path is offered, and where the route beside it has no requests.
    for endpoints in [[std::slice::from_ref(&read), &writes[..]].concat(), vec![writes[1].clone()]] {
        let steps = pasted(endpoints, "", std::slice::from_ref(&canary));
        assert_eq!(steps.len(), 1, "{steps:?}");
        let toml = &steps[0].toml;
        assert!(toml.contains("# `read-order` stands at 5%") && toml.contains("service = \"orders\""), "{toml}");
        assert!(steps[0].reasons.iter().any(|why| why.contains("one cohort with `read-order`")), "{steps:?}");
        let all = orders(toml).routes;
        assert!(all.len() > 1);
        for route in &all {
            assert_eq!((&*route.policy.cohort, &route.policy.sticky), ("read-order", &all[0].policy.sticky), "{toml}");
        }
    }
    // A route that is there is told what it lacks.
    let own =
        "[routes.change]\npath = \"/orders/{id}\"\nmethods = [\"PUT\"]\nservice = \"orders\"\nstage = \"monolith\"\n";
    let change =
        StandingRoute { name: "change".to_owned(), service: Some("orders".to_owned()), ..route(Stage::Monolith) };
    let steps = pasted(vec![endpoint("PUT", "/orders/{id}", Some("change"))], own, &[canary.clone(), change]);
    let toml = &steps[0].toml;
    assert!(toml.starts_with("# in [routes.change]:\ncohort = \"read-order\"\nsticky = [\"cookie:sid\"]\n"), "{toml}");
    // Another resource has nothing in common with it.
    let steps = pasted(vec![endpoint("POST", "/orders/archive", None)], "", &[canary]);
    assert!(!steps[0].toml.contains("cohort") && steps[0].toml.contains("service = \"orders\""), "{steps:?}");
}

#[test]
fn routes_to_paste_have_names_of_their_own() {
    let mut endpoints = watched(30, 9).endpoints;
    "/a/b".clone_into(&mut endpoints[0].path);
    "/a-b".clone_into(&mut endpoints[1].path);
    let text = routes_to_paste(&endpoints.iter().collect::<Vec<_>>(), None, None, &mut BTreeSet::new());
    assert!(text.contains("[routes.a-b]") && text.contains("[routes.a-b-2]"), "{text}");
    assert!(text.parse::<toml::Table>().is_ok(), "{text}");
}

#[test]
fn a_method_without_a_name_gets_no_route_to_paste() {
    let mut endpoints = watched(30, 9).endpoints;
    endpoints[1].method = "OTHER".into();
    let text = routes_to_paste(&endpoints.iter().collect::<Vec<_>>(), None, None, &mut BTreeSet::new());
    assert!(text.contains("# /old: no route") && !text.contains("path = \"/old\""), "{text}");
    assert!(text.contains("methods = [\"GET\"]"), "{text}");
}

#[test]
fn a_step_to_take_has_no_name_of_the_file_and_is_no_spelling_of_a_moved_route() {
    let mut report = watched(30, 9);
    let old = report.endpoints[1].clone();
    report.endpoints.push(LearnedEndpoint { path: "/Users/{id}".to_owned(), ..old.clone() });
    report.endpoints.push(LearnedEndpoint { path: "/users".to_owned(), ..old });
    let zombie = NextStep {
        kind: "zombie",
        method: "GET".to_owned(),
        path: "/Users/{id}".to_owned(),
        route: Some("users".to_owned()),
        share: 0.0,
        reasons: Vec::new(),
        toml: String::new(),
    };
    let steps = take(&Traffic::of(&report), &users_moved(), &[route(Stage::Migrated)], &[zombie], NOW);
    let mut all: Vec<&str> = steps.iter().map(|step| &*step.path).collect();
    all.sort_unstable();
    assert_eq!(all, ["/old", "/users"]);
    let text: String = steps.iter().map(|step| &*step.toml).collect();
    assert!(text.contains("[routes.users-2]") && text.contains("[routes.old]"), "{text}");
}

#[test]
fn a_zombie_is_told_by_every_reason_that_is_known_and_by_no_other() {
    let snapshot = users_moved();
    let mut report = watched(30, 0);
    report.endpoints[0].monolith_last_minute = NOW - 5;
    let reasons = |fallbacks, button| {
        let moved = [StandingRoute { fallbacks, ..route(Stage::Migrated) }];
        let mut zombies = zombies(&Traffic::of(&report), &snapshot, &moved, button, NOW, RECENT);
        assert_eq!(zombies.len(), 1);
        zombies.remove(0).reasons.split_off(1)
    };
    let fallback = "its fallback: 7 requests since the program began";
    assert_eq!(reasons(7, false), [fallback]);
    assert_eq!(reasons(7, true), [fallback, "the big red button is on"]);
    assert_eq!(reasons(0, true), ["the big red button is on"]);
    // The program was started anew: what it did before is not known, and is not laid to the conditions.
    let [unsure] = &reasons(0, false)[..] else { panic!("one reason") };
    assert!(unsure.contains("by one of them before, or its conditions"), "{unsure}");
}

#[test]
fn a_spelling_of_a_moved_route_is_not_proposed_on_the_days_after() {
    let snapshot = users_moved();
    let mut report = watched(30, 40);
    let other = &mut report.endpoints[1];
    (other.path, other.example) = ("/users/{id}/".to_owned(), "/users/42/".to_owned());
    for hours in [1, 30, 24 * 29] {
        report.endpoints[1].last_minute = NOW - hours * 60;
        report.endpoints[1].monolith_last_minute = NOW - hours * 60;
        let steps = what_next(&report, &snapshot, &[route(Stage::Migrated)], false, None, NOW);
        assert!(steps.iter().all(|step| step.kind != "take"), "{hours} hours: {steps:?}");
        assert_eq!(steps.iter().any(|step| step.kind == "zombie"), hours == 1, "{hours} hours");
    }
}

#[test]
fn thousands_of_routes_and_endpoints_are_not_looked_for_among_each_other() {
    const MANY: usize = 3000;
    let one = watched(30, 9).endpoints.remove(0);
    let endpoint = |number: usize| LearnedEndpoint {
        path: format!("/thing-{number}/{{id}}"),
        route: Some(format!("route-{}", 2 * number)),
        ..one.clone()
    };
    let report = InventoryReport { endpoints: (0..MANY).map(endpoint).collect(), ..watched(30, 9) };
    let stage = |number: usize| if number.is_multiple_of(4) { Stage::Monolith } else { Stage::Canary };
    let named = |number: usize| StandingRoute { name: format!("route-{number}"), ..route(stage(number)) };
    let routes: Vec<StandingRoute> = (0..2 * MANY).map(named).collect();
    // Each with each would be minutes.
    let steps = what_next(&report, &users_moved(), &routes, false, None, NOW);
    assert_eq!(steps.iter().filter(|step| step.kind == "take").count(), MOST);
}

#[test]
fn an_endpoint_with_a_route_of_its_own_is_promoted_and_gets_no_second_route() {
    let snapshot = |path: &str| {
        let text = format!(
            "[monolith]\nurl = \"http://127.0.0.1:1\"\n[services.users]\nurl = \"http://127.0.0.1:2\"\n\
             [routes.users]\npath = \"{path}\"\nservice = \"users\"\nstage = \"monolith\"\n"
        );
        crate::compile::compile(&text, "routes.toml", &|_| None).snapshot.expect("a good file")
    };
    let mut report = watched(30, 40);
    // It writes, so everything below its path would be taken together.
    let mut post = report.endpoints[1].clone();
    (post.method, post.path, post.writes) = ("POST".into(), "/users".to_owned(), true);
    report.endpoints.push(post);
    let taken = |path: &str, service: Option<&str>| {
        let route = StandingRoute { service: service.map(str::to_owned), ..route(Stage::Monolith) };
        let steps = take(&Traffic::of(&report), &snapshot(path), &[route], &[], NOW);
        steps.into_iter().filter(|step| step.path.starts_with("/users")).collect::<Vec<_>>()
    };
    let steps = taken("/users/{number}", Some("users"));
    let of = |steps: &[NextStep], path: &str| steps.iter().find(|step| step.path == path).cloned().expect(path);
    let own = of(&steps, "/users/{id}");
    assert_eq!((own.route.as_deref(), &*own.toml), (Some("users"), "# in [routes.users]:\nstage = \"shadow\"\n"));
    assert!(own.reasons.iter().any(|why| why.contains("takes it already, in stage monolith: promote it")), "{own:?}");
    let post = of(&steps, "/users");
    assert!(post.route.is_none() && post.toml.contains("[routes.users-2]") && !post.toml.contains("{id}"), "{post:?}");
    // Without a service there is nothing to promote to.
    let own = of(&taken("/users/{id}", None), "/users/{id}");
    assert!(own.toml.is_empty() && own.reasons.iter().any(|why| why.contains("give it a `service`")), "{own:?}");
    // A route of more than this path leaves room for one of its own.
    let steps = taken("/{*rest}", Some("users"));
    assert!(
        steps.len() == 1 && steps[0].route.is_none() && steps[0].toml.contains("path = \"/users/{id}\""),
        "{steps:?}"
    );
}

#[test]
fn a_route_that_the_monolith_still_answers_does_not_retire() {
    let mut report = watched(60, 9);
    let route = StandingRoute { since: Some(NOW - 40 * 24 * 60), ..route(Stage::Migrated) };
    let kinds = |report: &InventoryReport, route: &StandingRoute| {
        let steps = what_next(report, &users_moved(), std::slice::from_ref(route), false, None, NOW);
        steps.iter().map(|step| step.kind).collect::<Vec<_>>()
    };
    assert!(kinds(&report, &route).contains(&"retire"), "{:?}", kinds(&report, &route));
    let differs = StandingRoute { differs: true, ..route.clone() };
    assert!(!kinds(&report, &differs).contains(&"retire"), "copies that go back are answered otherwise");
    // Another spelling of it.
    "/Users/{id}".clone_into(&mut report.endpoints[1].path);
    "/Users/42".clone_into(&mut report.endpoints[1].example);
    report.endpoints[1].monolith_last_minute = NOW - 60;
    let found = kinds(&report, &route);
    assert!(found.contains(&"zombie") && !found.contains(&"retire"), "{found:?}");
}
