//! What a running proxy learns of its endpoints, keeps over a restart, and says.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::planning::ask;
use crate::harness::{Edge, Origin, Process, Reply, eventually};

const ROUTES: &str = "[routes.read-order]\npath = \"/orders/{id}\"\nmethods = [\"GET\"]\nservice = \"orders\"\nstage = \"migrated\"\n\
    [routes.old]\npath = \"/old\"\nstage = \"monolith\"\n";
const LIMIT: Duration = Duration::from_secs(20);

fn shop(more: &str) -> (Edge, [Origin; 2]) {
    let script = |request: &crate::harness::Request| {
        if request.target().starts_with(b"/wp-") {
            Reply::status("404 Not Found", &[], "")
        } else {
            Reply::ok("monolith")
        }
    };
    let origins = [Origin::start(script), Origin::saying("service")];
    let edge = Edge::before(&origins[0]).service("orders", &origins[1]).with(&format!("{ROUTES}{more}")).start();
    (edge, origins)
}

/// Orders by number, a basket that is written, products by name, and somebody who looks for what is not there.
fn traffic(edge: &Edge) {
    let mut client = edge.client();
    for number in 0..40 {
        client.request("GET", &format!("/orders/{number}?page=secret"), &["User-Agent: billing-batch/1.2"]);
        client.request("POST", "/orders", &["User-Agent: shop-app/3", "Content-Length: 0"]);
        client.request("GET", "/basket", &[]);
        client.request("GET", &format!("/wp-{number}"), &[]);
    }
}

fn inventory(edge: &Edge) -> Value {
    let (status, inventory) = edge.admin_json("GET", "/api/v1/inventory");
    assert_eq!(status, 200, "{inventory}");
    inventory
}

/// Once the learner has taken so many requests.
fn learned(edge: &Edge, requests: u64) -> Value {
    eventually("the inventory", || {
        let inventory = inventory(edge);
        (inventory["requests"].as_u64() >= Some(requests)).then_some(inventory)
    })
}

fn endpoint<'a>(inventory: &'a Value, method: &str, path: &str) -> &'a Value {
    let all = inventory["endpoints"].as_array().expect("a list");
    all.iter()
        .find(|one| one["method"] == method && one["path"] == path)
        .unwrap_or_else(|| panic!("no {method} {path} in {inventory:#}"))
}

fn paths(inventory: &Value) -> Vec<&str> {
    let all = inventory["endpoints"].as_array().expect("a list");
    all.iter().map(|one| one["path"].as_str().expect("text")).collect()
}

/// Endpoints are listed once two clients asked for them: another address of the same machine.
fn second_client(edge: &Edge) {
    let mut client = edge.client();
    for number in 100..110 {
        for (method, target) in
            [("GET", format!("/orders/{number}")), ("POST", "/orders".to_owned()), ("GET", "/basket".to_owned())]
        {
            client.request(method, &target, &["X-Forwarded-For: 192.0.2.7", "Content-Length: 0"]);
        }
    }
}

fn trusting(more: &str) -> (Edge, [Origin; 2]) {
    let origins = [
        Origin::start(|request| {
            if request.target().starts_with(b"/wp-") {
                Reply::status("404 Not Found", &[], "")
            } else {
                Reply::ok("monolith")
            }
        }),
        Origin::saying("service"),
    ];
    let edge = Edge::before(&origins[0])
        .server("trusted = [\"127.0.0.0/8\"]")
        .service("orders", &origins[1])
        .with(&format!("{ROUTES}{more}"))
        .start();
    (edge, origins)
}

#[test]
fn endpoints_are_learned_with_who_calls_them_and_who_answers() {
    let (edge, _origins) = trusting("");
    traffic(&edge);
    second_client(&edge);
    let inventory = learned(&edge, 190);
    let order = endpoint(&inventory, "GET", "/orders/{id}");
    assert_eq!((&order["route"], &order["stage"]), (&"read-order".into(), &"migrated".into()));
    assert_eq!((&order["requests"], &order["monolith"]), (&50.into(), &0.into()));
    assert_eq!((&order["clients"], &order["callers"]), (&"several".into(), &2.into()));
    assert_eq!(order["agents"][0]["name"], "billing-batch/1.2");
    assert!(order["monolith_last_seen"].is_null() && order["last_seen"].is_string(), "{order}");
    let post = endpoint(&inventory, "POST", "/orders");
    assert_eq!((&post["route"], &post["monolith"], &post["writes"]), (&Value::Null, &50.into(), &true.into()));
    endpoint(&inventory, "GET", "/basket");
    assert_eq!(inventory["unknown"]["requests"], 40, "{inventory:#}");
    assert_eq!(inventory["dropped"], 0);
    // Nothing that a client said beside method, path and its name is there.
    assert!(!inventory.to_string().contains("secret"));
    eventually("the metric", || {
        (edge.metric("multilith_inventory_endpoints", &[("state", "monolith")]) >= 2.0).then_some(())
    });
    let page = edge.admin("GET", "/metrics").text();
    assert!(!page.contains("/orders") && !page.contains("basket"), "a learned template is no label");
}

/// `/private` refuses everybody, `/old-shop` moved, and every page leads to the login.
fn refusing(request: &crate::harness::Request) -> Reply {
    let target = String::from_utf8_lossy(request.target()).into_owned();
    if target == "/private" {
        Reply::status("401 Unauthorized", &["WWW-Authenticate: Basic"], "")
    } else if target == "/old-shop" {
        Reply::status("301 Moved Permanently", &["Location: http://127.0.0.1/shop?from=old"], "")
    } else if target.starts_with("/page-") {
        Reply::status("302 Found", &[&format!("Location: /login?next={target}")], "")
    } else if target == "/shop/cart" {
        Reply::status("308 Permanent Redirect", &["Location: /shop/cart/"], "")
    } else {
        Reply::ok("monolith")
    }
}

#[test]
fn refusals_and_moves_are_endpoints_and_what_leads_to_the_login_is_none() {
    let origin = Origin::start(refusing);
    let edge = Edge::before(&origin).server("trusted = [\"127.0.0.0/8\"]").start();
    let mut client = edge.client();
    let words =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v"];
    let pages: Vec<String> = words.iter().map(|word| format!("/page-{word}")).collect();
    let targets =
        || ["/private", "/old-shop", "/shop/cart", "/shop"].into_iter().chain(pages.iter().map(String::as_str));
    let mut sent = 0;
    for address in 1..6 {
        for target in targets() {
            client.request("GET", target, &[&format!("X-Forwarded-For: 192.0.2.{address}")]);
            sent += 1;
        }
    }
    let inventory = learned(&edge, sent);
    let paths = paths(&inventory);
    for path in ["/private", "/old-shop", "/shop"] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    assert!(!paths.iter().any(|path| path.starts_with("/page-") || path.ends_with("cart")), "{paths:?}");
}

#[test]
fn a_list_of_another_program_is_known_and_not_guessed_also_after_a_restart() {
    let (mut edge, _origins) = trusting("");
    traffic(&edge);
    second_client(&edge);
    learned(&edge, 190);
    let list = edge.path().with_file_name("list.txt");
    std::fs::write(&list, "order GET /orders/:number orders#show\nbasket GET /:shop x#y\n")
        .expect("the list is written");
    let output = Command::new(env!("CARGO_BIN_EXE_multilith"))
        .args(["import", "rails", "--known", "--admin", &format!("http://{}", edge.admin_address())])
        .arg(&list)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains("the inventory knows 2 of the 2 paths"), "{said}");
    endpoint(&inventory(&edge), "GET", "/orders/{number}");
    endpoint(&inventory(&edge), "GET", "/{shop}");
    edge.signal("TERM");
    assert!(edge.wait(LIMIT).is_some(), "it ends");
    edge.restart();
    endpoint(&inventory(&edge), "GET", "/orders/{number}");
    for (body, status) in [
        (json!({ "from": "rails", "paths": ["no slash"] }), 400),
        (json!({ "from": "", "paths": [] }), 400),
        (json!({ "from": "rails" }), 400),
        (json!({ "from": "rails", "paths": [] }), 200),
    ] {
        let (found, answer) = ask(&edge, "/api/v1/inventory/known", &body);
        assert_eq!(found, status, "{body}: {answer}");
    }
    endpoint(&inventory(&edge), "GET", "/orders/{id}");
}

#[test]
fn lists_that_are_told_at_once_are_all_known_also_to_a_successor() {
    const LISTS: usize = 8;
    let (mut edge, _origins) = trusting("");
    std::thread::scope(|scope| {
        for number in 0..LISTS {
            let list = json!({ "from": format!("list-{number}"), "paths": [format!("/part-{number}/{{code}}")] });
            let edge = &edge;
            scope.spawn(move || assert_eq!(ask(edge, "/api/v1/inventory/known", &list).0, 200));
        }
    });
    let mut client = edge.client();
    for number in 0..LISTS {
        for word in ["blue", "green", "red"] {
            for from in ["192.0.2.7", "192.0.2.8"] {
                client.request("GET", &format!("/part-{number}/{word}"), &[&format!("X-Forwarded-For: {from}")]);
            }
        }
    }
    let is_known = |inventory: &Value| {
        let paths = paths(inventory);
        (0..LISTS).all(|number| paths.contains(&&*format!("/part-{number}/{{code}}")))
    };
    let known = learned(&edge, 6 * u64::try_from(LISTS).expect("small"));
    assert!(is_known(&known), "{known:#}");
    drop(client);
    let mut successor = Process::spawn(["run".as_ref(), "--upgrade".as_ref(), "-c".as_ref(), edge.path().as_os_str()]);
    let place = edge.path().with_file_name("state").join("upgrade.sock");
    eventually("the successor waiting", || place.exists().then_some(()));
    edge.signal("QUIT");
    assert_eq!(edge.wait(LIMIT).expect("the predecessor ends").code(), Some(0));
    eventually("the successor's inventory", || is_known(&inventory(&edge)).then_some(()));
    successor.signal("TERM");
    assert_eq!(successor.wait(LIMIT).expect("the successor ends").code(), Some(0));
}

#[test]
fn what_was_learned_survives_a_restart() {
    let (mut edge, _origins) = trusting("");
    traffic(&edge);
    second_client(&edge);
    learned(&edge, 190);
    edge.signal("TERM");
    assert!(edge.wait(LIMIT).is_some(), "it ends");
    edge.restart();
    let again = inventory(&edge);
    assert_eq!(again["requests"], 190, "{again:#}");
    assert_eq!(endpoint(&again, "GET", "/orders/{id}")["agents"][0]["name"], "billing-batch/1.2");
    second_client(&edge);
    learned(&edge, 220);
}

#[test]
fn the_file_overrules_what_is_learned_and_switches_it_off() {
    let (edge, _origins) = trusting("[inventory]\nliteral = [\"/orders/77\"]\nparameter = [\"/{page}\"]\n");
    let mut client = edge.client();
    for client_address in ["192.0.2.1", "192.0.2.2"] {
        for target in ["/orders/77", "/orders/78", "/basket", "/help"] {
            for _ in 0..3 {
                client.request("GET", target, &[&format!("X-Forwarded-For: {client_address}")]);
            }
        }
    }
    let inventory = learned(&edge, 24);
    assert_eq!(endpoint(&inventory, "GET", "/orders/77")["requests"], 6);
    assert_eq!(endpoint(&inventory, "GET", "/{page}")["requests"], 12);
    let text = edge.text("").replace("[inventory]", "[inventory]\nlearn = false");
    edge.replace_file(&text);
    edge.await_text(&text);
    for _ in 0..20 {
        edge.get("/basket");
    }
    let text = edge.text("");
    edge.replace_file(&text);
    edge.await_text(&text);
    edge.get("/orders/5");
    assert_eq!(learned(&edge, 25)["requests"], 25);
}

#[test]
fn what_is_next_has_reasons_and_routes_that_check_accepts() {
    let (edge, _origins) = trusting("");
    traffic(&edge);
    second_client(&edge);
    learned(&edge, 190);
    let (status, steps) = edge.admin_json("GET", "/api/v1/next");
    assert_eq!(status, 200);
    let take: Vec<&Value> = steps.as_array().expect("a list").iter().filter(|step| step["kind"] == "take").collect();
    let paths: Vec<&str> = take.iter().filter_map(|step| step["path"].as_str()).collect();
    assert!(paths.contains(&"/basket") && paths.contains(&"/orders"), "{steps:#}");
    let post = take.iter().find(|step| step["path"] == "/orders").expect("it is there");
    assert!(post["reasons"].to_string().contains("`read-order` beside it is in stage migrated"), "{post}");
    for step in take {
        edge.reload(step["toml"].as_str().expect("text"));
    }
    let admin = format!("http://{}", edge.admin_address());
    let told = Command::new(env!("CARGO_BIN_EXE_multilith")).args(["status", "--next", "--admin", &admin]).output();
    let text = String::from_utf8_lossy(&told.expect("it starts").stdout).into_owned();
    assert!(text.contains("To take next\n") && text.contains("GET /basket"), "{text}");
    let (_, status) = edge.admin_json("GET", "/api/v1/status");
    assert!(status["progress"]["endpoints"].is_number() || status["progress"]["endpoints"].is_null());
}

#[test]
fn the_verb_asks_the_running_proxy() {
    let (edge, _origins) = trusting("");
    traffic(&edge);
    second_client(&edge);
    learned(&edge, 190);
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_multilith"))
            .arg("inventory")
            .args(arguments)
            .args(["--admin", &format!("http://{}", edge.admin_address())])
            .output()
            .expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run(&[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("POST /orders") && text.contains("read-order"), "{text}");
    let (_, suggested) = run(&["--suggest"]);
    assert!(suggested.contains("path = \"/basket\"") && !suggested.contains("/orders/{id}"), "{suggested}");
    let (_, writes) = run(&["--writes", "--json"]);
    let writes: Value = serde_json::from_str(&writes).expect("JSON");
    assert_eq!(writes["endpoints"].as_array().map(Vec::len), Some(1), "{writes:#}");
    let (_, openapi) = run(&["--openapi"]);
    assert!(openapi.contains("\"/orders/{id}\""), "{openapi}");
    // Nothing is known of the time thirty days ago, and nobody says that an endpoint was silent then.
    assert_eq!(run(&["--silent", "30d"]).0, Some(1));
}

#[test]
fn a_store_that_was_damaged_loses_the_inventory_alone() {
    let (mut edge, _origins) = shop("");
    traffic(&edge);
    learned(&edge, 160);
    edge.signal("TERM");
    assert!(edge.wait(LIMIT).is_some());
    let database = rusqlite::Connection::open(edge.path().with_file_name("state/multilith.db")).expect("it is there");
    database.execute("UPDATE learned SET data = x'00'", []).expect("it takes a change");
    drop(database);
    edge.restart();
    assert_eq!(edge.get("/basket").text(), "monolith");
    assert_eq!(learned(&edge, 1)["requests"], 1);
    assert!(edge.log().contains("the inventory begins anew"), "{}", edge.log());
}

#[test]
fn the_progress_of_each_hour_survives_a_restart() {
    let (mut edge, _origins) = trusting("");
    traffic(&edge);
    second_client(&edge);
    learned(&edge, 190);
    let (_, route) = edge.admin_json("GET", "/api/v1/routes/read-order");
    let by_service = route["totals"]["requests"]["service"].as_u64().expect("a count");
    edge.signal("TERM");
    assert!(edge.wait(LIMIT).is_some(), "it ends");
    edge.restart();
    let (status, progress) = edge.admin_json("GET", "/api/v1/progress?since=24h");
    assert_eq!(status, 200, "{progress}");
    let hours = progress["hours"].as_array().expect("a list");
    // Two, if an hour ended meanwhile.
    let sum = |key: &str| hours.iter().filter_map(|hour| hour[key].as_u64()).sum::<u64>();
    assert_eq!((sum("requests"), sum("moved_requests")), (190, by_service), "{progress:#}");
    let last = hours.last().expect("an hour");
    assert_eq!((&last["routes"], &last["moved_routes"]), (&2.into(), &1.into()), "{progress:#}");
    assert!(last["hour"].as_str().is_some_and(|hour| hour.ends_with(":00:00Z")), "{last}");
    assert_eq!(progress["now"]["routes"], 0.5);
    let (_, page) = edge.admin_json("GET", "/api/v1/progress?since=soon");
    assert_eq!(page["status"], 400);
}

#[test]
fn a_route_whose_path_is_not_ascii_is_found_and_its_word_is_no_id() {
    let books = "[routes.books]\npath = \"/b\u{fc}cher/{id}\"\nstage = \"monolith\"\n";
    let (edge, _origins) = trusting(books);
    let mut client = edge.client();
    for number in 0..40 {
        let from = format!("X-Forwarded-For: 192.0.2.{}", number % 4);
        client.request("GET", &format!("/b%C3%BCcher/{number}"), &[&from]);
        client.request("GET", &format!("/m%C3%B6bel/{number}"), &[&from]);
    }
    let inventory = learned(&edge, 80);
    assert_eq!(endpoint(&inventory, "GET", "/b%C3%BCcher/{id}")["route"], "books");
    assert_eq!(endpoint(&inventory, "GET", "/m%C3%B6bel/{id}")["route"], Value::Null);
    let steps = edge.admin_json("GET", "/api/v1/next").1;
    let paths: Vec<&str> = steps.as_array().expect("a list").iter().filter_map(|step| step["path"].as_str()).collect();
    assert!(paths.contains(&"/m%C3%B6bel/{id}") && !paths.iter().any(|path| path.starts_with("/{")), "{steps:#}");
    let own = steps.as_array().expect("a list").iter().find(|step| step["path"] == "/b%C3%BCcher/{id}");
    assert_eq!(own.map(|step| &step["route"]), Some(&"books".into()), "it has a route already: {steps:#}");
}

#[test]
fn what_the_button_brought_to_the_monolith_makes_no_zombie_once_it_is_released() {
    let (edge, _origins) = trusting("");
    let press = |on: bool| {
        let body = format!("{{\"on\":{on}}}");
        let length = format!("Content-Length: {}", body.len());
        let mut client = crate::harness::Client::connect(edge.admin_address());
        let host = edge.admin_address();
        let head = format!(
            "POST /api/v1/monolith-only HTTP/1.1\r\nHost: {host}\r\nX-Multilith: 1\r\nContent-Type: application/json\r\n{length}\r\n\r\n{body}"
        );
        client.send(head);
        assert_eq!(client.response().status(), 200);
    };
    let zombie = || {
        let steps = edge.admin_json("GET", "/api/v1/next").1;
        steps.as_array().expect("a list").iter().find(|step| step["kind"] == "zombie").cloned()
    };
    press(true);
    traffic(&edge);
    second_client(&edge);
    learned(&edge, 190);
    let while_pressed = zombie().expect("the monolith gets what is migrated");
    assert!(while_pressed["reasons"].to_string().contains("the big red button is on"), "{while_pressed:#}");
    press(false);
    assert_eq!(zombie(), None);
}
