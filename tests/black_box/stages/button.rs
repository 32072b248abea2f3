//! The big red button: by the file, the verb and the API, on the next request.

use crate::harness::{Client, Edge, Origin, PATIENCE, eventually, run_to_exit};

const TABLES: &str = r#"
[routes.canary]
path = "/canary"
service = "users"
stage = "canary"
weight = "100%"
pin = "10m"

[routes.split]
path = "/split"
stage = "split"
[routes.split.variants]
a = { upstream = "users", weight = "50%" }
b = { upstream = "users", weight = "50%" }

[routes.migrated]
path = "/migrated"
service = "users"
stage = "migrated"

[routes.retired]
path = "/retired"
service = "users"
stage = "retired"
"#;

struct World {
    edge: Edge,
    _upstreams: [Origin; 2],
}

fn world(server: &str) -> World {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).server(server).service("users", &service).with(TABLES).start();
    World { edge, _upstreams: [monolith, service] }
}

/// Also on a connection that was there before, and with a pin.
fn assert_pressed(world: &World, client: &mut Client, pressed: bool) {
    let moved = if pressed { "monolith" } else { "service" };
    for (path, side) in [("/canary", moved), ("/split", moved), ("/migrated", moved), ("/retired", "service")] {
        let fields = &["Cookie: multilith_pin_canary=service"];
        assert_eq!(client.request("GET", path, fields).text(), side, "{path} with the button {pressed}");
    }
    assert_eq!(world.edge.metric("multilith_monolith_only", &[]) > 0.5, pressed);
}

#[test]
fn the_file_presses_it() {
    let pressed = world("monolith_only = true");
    assert_pressed(&pressed, &mut pressed.edge.client(), true);
}

#[test]
fn the_verb_presses_and_releases_it() {
    let world = world("");
    let mut client = world.edge.client();
    assert_pressed(&world, &mut client, false);
    let admin = format!("http://{}", world.edge.admin_address());
    for (word, pressed) in [("on", true), ("off", false)] {
        let (code, stderr) = run_to_exit(PATIENCE, &["monolith-only", word, "--admin", &admin]);
        assert_eq!(code, 0, "{stderr}");
        assert_pressed(&world, &mut client, pressed);
    }
}

#[test]
fn it_stays_pressed_over_a_restart_and_stays_released() {
    let mut world = world("");
    for (word, pressed) in [("on", true), ("off", false)] {
        let admin = format!("http://{}", world.edge.admin_address());
        let (code, stderr) = run_to_exit(PATIENCE, &["monolith-only", word, "--admin", &admin]);
        assert_eq!(code, 0, "{stderr}");
        world.edge.restart();
        assert_pressed(&world, &mut world.edge.client(), pressed);
    }
}

#[test]
fn the_api_presses_and_releases_it() {
    let world = world("");
    let mut client = world.edge.client();
    for on in [true, false] {
        let body = format!("{{\"on\": {on}}}");
        let admin = world.edge.admin_address();
        let mut api = Client::connect(admin);
        api.send(format!(
            "POST /api/v1/monolith-only HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\nX-Multilith: 1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(api.response().status(), 200);
        assert_pressed(&world, &mut client, on);
    }
}

#[test]
fn the_board_shows_what_the_monolith_answered_for_a_split() {
    let world = world("");
    let split = || world.edge.admin_json("GET", "/api/v1/routes/split").1;
    assert_eq!(split()["requests"]["monolith"], 0);
    let admin = format!("http://{}", world.edge.admin_address());
    let (code, stderr) = run_to_exit(PATIENCE, &["monolith-only", "on", "--admin", &admin]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(world.edge.get("/split").text(), "monolith");
    eventually("the request on the board", || (split()["requests"]["monolith"] == 1).then_some(()));
}

#[test]
fn a_variant_called_monolith_is_the_monoliths_side() {
    let tables = TABLES.replace("a = { upstream = \"users\"", "monolith = { upstream = \"monolith\"");
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).server("monolith_only = true").service("users", &service).with(&tables).start();
    for _ in 0..20 {
        assert_eq!(edge.get("/split").text(), "monolith");
    }
    let split = || edge.admin_json("GET", "/api/v1/routes/split").1;
    eventually("the requests on the board", || (split()["requests"]["monolith"] == 20).then_some(()));
}
