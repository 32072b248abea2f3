//! The board: figures of a window, of the same things, and what is known of each endpoint.

use serde_json::Value;

use crate::harness::{Edge, PATIENCE, Process, Reply, eventually, free_address};
use crate::stages::world::{World, canary};

const QUICK: &str = "[services.users.timeouts]\nanswer = \"300ms\"\n";

fn board(edge: &Edge, arguments: &[&str]) -> String {
    let file = edge.path().display().to_string();
    let mut process =
        Process::spawn_with(["status", "-c", &file].iter().chain(arguments), [("COLUMNS", "200".to_owned())]);
    let status = process.wait(PATIENCE).expect("the verb ends");
    assert!(status.success(), "{}", process.stderr());
    process.stdout()
}

fn status(edge: &Edge) -> Value {
    edge.admin_json("GET", "/api/v1/status").1
}

/// The cells of the line that has all of these words.
fn line(board: &str, words: &[&str]) -> Vec<String> {
    let has = |line: &&str| words.iter().all(|word| line.split_whitespace().any(|cell| cell == *word));
    let found = board.lines().find(has).unwrap_or_else(|| panic!("no line with {words:?}:\n{board}"));
    found.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_wait_for_the_service_is_not_the_monoliths_time() {
    let world = World::answering(Reply::hang(), &format!("{QUICK}{}", canary("100%", "breaker = { failures = 1000 }")));
    for _ in 0..3 {
        assert_eq!(world.get("/users", &[]).text(), "monolith");
    }
    let route = eventually("the requests on the board", || {
        Some(status(&world.edge)["routes"][0].clone()).filter(|route| route["requests"]["monolith"] == 3)
    });
    assert_eq!((&route["requests"]["service"], &route["errors"]["service"]), (&3.into(), &3.into()), "{route}");
    assert_eq!((&route["requests"]["monolith"], &route["errors"]["monolith"]), (&3.into(), &0.into()), "{route}");
    assert_eq!(route["p50_seconds"]["monolith"], Value::Null, "the monolith was assigned nothing: {route}");
    assert!(route["p50_seconds"]["service"].as_f64().is_some_and(|p50| p50 > 0.25), "{route}");
    let count =
        |side| world.edge.metric("multilith_request_duration_seconds_count", &[("route", "users"), ("side", side)]);
    assert!((count("service") - 3.0).abs() < 0.1 && count("monolith") < 0.1);
    let text = board(&world.edge, &[]);
    let service = line(&text, &["service"]);
    assert_eq!(service[..4], ["service", "3", "3", "3"], "requests, errors, fallbacks:\n{text}");
}

#[test]
fn what_an_open_breaker_keeps_from_the_service_is_the_monoliths_own_time() {
    let world = World::answering(Reply::no_answer(), &canary("100%", "breaker = { failures = 1, open = \"1h\" }"));
    for _ in 0..4 {
        assert_eq!(world.get("/users", &[]).text(), "monolith");
    }
    let route = eventually("the requests on the board", || {
        Some(status(&world.edge)["routes"][0].clone())
            .filter(|route| route["fallbacks"] == 4 && route["requests"]["monolith"] == 4)
    });
    assert_eq!((&route["requests"]["service"], &route["errors"]["service"]), (&1.into(), &1.into()), "{route}");
    let count =
        |side| world.edge.metric("multilith_request_duration_seconds_count", &[("route", "users"), ("side", side)]);
    assert!((count("service") - 1.0).abs() < 0.1 && (count("monolith") - 3.0).abs() < 0.1);
}

#[test]
fn the_board_says_its_window_and_takes_another() {
    let world = World::start(&canary("100%", ""));
    assert_eq!(world.get("/users", &[]).text(), "service");
    assert!(board(&world.edge, &[]).lines().next().is_some_and(|line| line.ends_with("of the last 5 min")));
    assert!(
        board(&world.edge, &["--since", "15m"]).lines().next().is_some_and(|line| line.ends_with("of the last 15 min"))
    );
    let whole = eventually("the request on the board", || {
        Some(world.edge.admin_json("GET", "/api/v1/status?since=1h").1)
            .filter(|status| status["routes"][0]["requests"]["service"] == 1)
    });
    assert_eq!((&whole["window_seconds"], &whole["last_error"]), (&3600.0.into(), &Value::Null));
    assert_eq!(whole["routes"][0]["totals"]["requests"]["service"], 1);
    eventually("a window without the request", || {
        let (_, status) = world.edge.admin_json("GET", "/api/v1/status?since=1s");
        let route = &status["routes"][0];
        assert_eq!(route["totals"]["requests"]["service"], 1, "the totals stay");
        (route["requests"]["service"] == 0 && route["p50_seconds"]["service"].is_null()).then_some(())
    });
    for (query, code) in
        [("since=2h", 400), ("since=0s", 400), ("since=soon", 400), ("sinc=5m", 400), ("since=90s", 200)]
    {
        assert_eq!(world.edge.admin("GET", &format!("/api/v1/status?{query}")).status(), code, "{query}");
    }
}

#[test]
fn a_refused_file_stands_on_the_board_with_its_first_mistake() {
    let world = World::start(&canary("10%", ""));
    let good = world.edge.text("");
    world.edge.replace_file(&good.replace("\"canary\"", "\"canry\""));
    world.edge.await_refusal();
    assert_eq!(status(&world.edge)["last_error"]["diagnostics"][0]["code"], "invalid-value");
    let text = board(&world.edge, &[]);
    let told = text.lines().find(|line| line.starts_with("NOT IN FORCE")).unwrap_or_default();
    assert!(told.contains("routes.toml:") && told.contains("canry"), "{text}");
    world.edge.replace_file(&format!("{good}# mended\n"));
    eventually("the mended file in force", || status(&world.edge)["last_error"].is_null().then_some(()));
}

#[test]
fn an_endpoint_is_healthy_only_once_something_was_answered() {
    let dead = free_address();
    let tables = format!(
        "[services.dead]\nurl = \"http://{dead}\"\n[routes.copied]\npath = \"/copied\"\nservice = \"dead\"\n\
         stage = \"shadow\"\nshadow = {{ compare = {{}} }}\n{}",
        canary("100%", "")
    );
    let world = World::start(&tables);
    let states = || {
        let (_, upstreams) = world.edge.admin_json("GET", "/api/v1/upstreams");
        ["monolith", "dead", "users"].map(|name| {
            let of = upstreams.as_array().and_then(|all| all.iter().find(|one| one["name"] == name)).cloned();
            of.map(|of| of["endpoints"][0].clone()).unwrap_or_default()
        })
    };
    assert!(states().iter().all(|endpoint| endpoint["state"] == "unchecked"), "{:?}", states());
    for _ in 0..20 {
        assert_eq!(world.get("/copied", &[]).text(), "monolith");
    }
    assert_eq!(world.get("/users", &[]).text(), "service");
    let failing = eventually("the copies refused", || {
        let [_, dead, _] = states();
        (dead["why"] == "refused 20 copies").then_some(dead)
    });
    assert_eq!(failing["state"], "failing");
    let [monolith, _, users] = states();
    assert_eq!((&monolith["state"], &users["state"]), (&"healthy".into(), &"healthy".into()));
    let text = board(&world.edge, &[]);
    assert!(line(&text, &["dead", "failing"]).join(" ").ends_with("refused 20 copies"), "{text}");
    let copied = line(&text, &["service", "20"]);
    assert_eq!(copied[..3], ["service", "0", "0"], "20 copies, no request:\n{text}");
    let counted = |state| world.edge.metric("multilith_upstream_endpoints", &[("upstream", "dead"), ("state", state)]);
    assert!((counted("failing") - 1.0).abs() < 0.1 && counted("healthy") + counted("unchecked") < 0.1);
    let log = world.edge.await_log_line(&["an endpoint is failing", "refused"]);
    assert!(!world.edge.log().contains("why=\"\""), "{log}");
}
