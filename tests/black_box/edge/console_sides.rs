//! What the console draws of a split: each variant with its own upstream, share, errors and times.

use super::console::{HTML, ask};
use crate::harness::{Client, Edge, Origin, Reply, eventually};

const TABLES: &str = r#"
[routes.pay]
path = "/pay"
stage = "split"
sticky = ["header:x-user-id"]
[routes.pay.variants]
classic = { upstream = "monolith", weight = "50%" }
express = { upstream = "shop", weight = "30%" }
later = { upstream = "till", weight = "20%" }
"#;

struct World {
    edge: Edge,
    _origins: [Origin; 3],
}

/// `shop` fails always, and `till` is not asked.
fn world() -> World {
    let shop = Origin::start(|_| Reply::status("500 X", &[], ""));
    let origins = [Origin::saying("monolith"), shop, Origin::saying("till")];
    let edge = Edge::before(&origins[0]).server("force = { header = \"x-multilith-force\", from = [\"127.0.0.1\"] }");
    let edge = edge.service("shop", &origins[1]).service("till", &origins[2]).with(TABLES).start();
    World { edge, _origins: origins }
}

impl World {
    fn pay(&self, side: &str, times: usize) {
        let mut client = self.edge.client();
        for _ in 0..times {
            client.request("GET", "/pay", &["X-User-Id: ann", &format!("X-Multilith-Force: {side}")]);
        }
    }

    fn page(&self, target: &str) -> String {
        let (status, _, body) = ask(&self.edge, "GET", target, &[HTML], "");
        assert_eq!(status, 200, "{target}: {body}");
        body.replace('\u{a0}', " ")
    }
}

/// The part of a page with this id, or the row of this name.
fn part<'a>(page: &'a str, begins: &str, ends: &str) -> &'a str {
    let rest = page.split_once(begins).unwrap_or_else(|| panic!("no {begins} in {page}")).1;
    rest.split(ends).next().unwrap_or_default()
}

fn has_all(text: &str, parts: &[&str]) -> Option<()> {
    parts.iter().all(|part| text.contains(part)).then_some(())
}

#[test]
fn the_board_and_the_routes_page_draw_every_variant_by_its_own_figures() {
    let world = world();
    world.pay("classic", 6);
    world.pay("express", 2);
    let board = eventually("the requests on the board", || {
        let page = world.page("/");
        page.contains("of the answers classic 75 %, express 25 %, later 0 %").then_some(page)
    });
    let row = part(&board, "data-row=\"pay\"", "</tr>");
    for drawn in [
        "aria-label=\"classic 50 %, express 30 %, later 20 %\"",
        "<span class=\"l-mo\">classic (monolith) 50 %</span>",
        "<span class=\"l-se\">express (shop) 30 %</span>",
        "<span class=\"l-v2\">later (till) 20 %</span>",
        "<span class=\"mono\"><span class=\"sr\">classic </span>0.00 %</span>",
        "<span class=\"serv bad\"><span class=\"sr\">express </span>100.00 %</span>",
        // Nobody was sent there: no other side's figures stand in its place.
        "<span class=\"v2\"><span class=\"sr\">later </span>–</span>",
    ] {
        assert!(row.contains(drawn), "{drawn} in {row}");
    }
    assert_eq!(row.matches("later </span>–").count(), 2, "errors and p99: {row}");

    let page = world.page("/route/pay");
    let track = part(&page, "id=\"track\"", "</section>");
    assert!(!track.contains("canary") && track.contains("<span class=\"v2\">20 %</span>"), "{track}");
    let head = part(&page, "id=\"head\"", "</h1>").to_owned() + part(&page, "<p class=\"dim\">", "</p>");
    assert!(head.contains("<b class=\"serv\">shop</b>") && head.contains("<b class=\"v2\">till</b>"), "{head}");
    let chart = part(&page, "id=\"chart\"", "</section>");
    assert!(chart.contains("polyline class=\"li lm\"") && chart.contains("polyline class=\"li ls\""), "{chart}");
    assert!(!chart.contains("polyline class=\"li v2\"") && chart.contains("l-v2\">later –"), "{chart}");
    let sides = part(&page, "id=\"sides\"", "</section>");
    assert!(has_all(sides, &["asks monolith", "asks shop", "asks till", "(75 %)", "(25 %)"]).is_some(), "{sides}");
}

#[test]
fn the_upstreams_of_variants_have_their_routes_and_a_filter_finds_them() {
    let world = world();
    let page = world.page("/upstreams");
    for upstream in ["shop", "till"] {
        let card = part(&page, &format!("id=\"u-{upstream}\""), "</section>");
        assert!(has_all(card, &["1 route: ", "route/pay"]).is_some(), "{card}");
        assert!(world.page(&format!("/?q=service:{upstream}")).contains("data-row=\"pay\""), "{upstream}");
    }
    assert!(!world.page("/?q=service:other").contains("data-row=\"pay\""));
}

#[test]
fn requests_have_the_colours_of_their_variants() {
    let world = world();
    let mut watcher = Client::connect(world.edge.admin_address());
    watcher.send(format!("GET /console/stream HTTP/1.1\r\nHost: {}\r\n\r\n", world.edge.admin_address()));
    assert!(watcher.head().is_chunked());
    assert_eq!(watcher.chunk(), b": watching\n\n");
    for (side, class) in [("classic", "mono"), ("express", "serv"), ("later", "v2")] {
        world.pay(side, 1);
        let event = String::from_utf8(watcher.chunk()).expect("events are text");
        assert!(event.contains(&format!("<span class=\"x {class}\">{side}</span>")), "{event}");
    }
}

#[test]
fn the_monolith_is_a_side_of_a_split_of_services_once_the_button_sent_somebody_there() {
    let world = world();
    let services = TABLES.replace("upstream = \"monolith\"", "upstream = \"till\"");
    let text = world.edge.text("").replace(TABLES, &services);
    world.edge.replace_file(&text);
    world.edge.await_text(&text);
    let sides = || part(&world.page("/route/pay"), "id=\"sides\"", "</section>").to_owned();
    world.pay("classic", 1);
    eventually("the request of a variant", || has_all(&sides(), &["<td class=\"r\" data-l=\"In all\">1"]));
    assert!(!sides().contains(">monolith<"), "{}", sides());
    let admin = world.edge.admin_address();
    let mut api = Client::connect(admin);
    let json = "Content-Type: application/json\r\nX-Multilith: 1\r\nContent-Length: 12";
    api.send(format!("POST /api/v1/monolith-only HTTP/1.1\r\nHost: {admin}\r\n{json}\r\n\r\n{{\"on\": true}}"));
    assert_eq!(api.response().status(), 200);
    world.pay("later", 1);
    eventually("the request of the monolith", || has_all(&sides(), &["<b class=\"mono\">monolith</b>"]));
    assert!(part(&world.page("/"), "data-row=\"pay\"", "</tr>").contains("monolith only"));
}

#[test]
fn a_moved_route_or_a_variant_that_fails_needs_somebody() {
    let world = world();
    let more = "[routes.moved]\npath = \"/moved\"\nservice = \"shop\"\nstage = \"migrated\"\n\
                [routes.gone]\npath = \"/gone\"\nservice = \"shop\"\nstage = \"retired\"\n";
    let text = format!("{}{more}", world.edge.text(""));
    world.edge.replace_file(&text);
    world.edge.await_text(&text);
    world.pay("express", 20);
    for path in ["/moved", "/gone"] {
        let mut client = world.edge.client();
        for _ in 0..20 {
            client.request("GET", path, &[]);
        }
    }
    let figures = "20 errors of 20 (100.00 %)";
    let all = ["<b>moved</b>", "<b>gone</b>", "<b>pay</b>"].map(|name| format!("{name} answers with errors in "));
    let board = eventually("the failing routes", || {
        let page = world.page("/");
        let todo = part(&page, "Needs you", "routes-h").to_owned();
        (all.iter().all(|said| todo.contains(said)) && todo.matches(figures).count() == 3).then_some(page)
    });
    for name in ["moved", "gone", "pay"] {
        let row = part(&board, &format!("data-row=\"{name}\""), "</tr>");
        assert!(row.contains("pill f bad\">failing<"), "{row}");
    }
}

/// The service answers something else well: the fault is in its routes.
#[test]
fn all_that_needs_somebody_is_counted_and_the_rest_is_a_link() {
    let service = Origin::start(move |request| {
        if request.target().starts_with(b"/bad") { Reply::status("500 X", &[], "") } else { Reply::ok("fine") }
    });
    let table = |number: usize| {
        format!("[routes.bad-{number}]\npath = \"/bad-{number}\"\nservice = \"shop\"\nstage = \"migrated\"\n")
    };
    let fine = "[routes.fine]\npath = \"/fine\"\nservice = \"shop\"\nstage = \"migrated\"\n".to_owned();
    let tables: String = (0..15).map(table).chain([fine]).collect();
    let edge = Edge::before(&Origin::saying("monolith")).service("shop", &service).with(&tables).start();
    let mut client = edge.client();
    for _ in 0..20 {
        for number in 0..15 {
            client.request("GET", &format!("/bad-{number}"), &[]);
            client.request("GET", "/fine", &[]);
        }
    }
    eventually("all fifteen", || {
        let (_, _, board) = ask(&edge, "GET", "/", &[HTML], "");
        let board = board.replace('\u{a0}', " ");
        has_all(
            &board,
            &[
                "15 things need somebody. The rest is quiet.",
                "Needs you</h2><span class=\"dim\">15</span>",
                "and 3 more: <a href=\"./?q=verdict:failing\">3 failing</a>",
            ],
        )
    });
}

#[test]
fn an_upstream_that_answers_nowhere_and_its_routes_are_one_thing() {
    let service = Origin::saying("service");
    let table = |name: &str| format!("[routes.{name}]\npath = \"/{name}\"\nservice = \"shop\"\nstage = \"migrated\"\n");
    let edge = Edge::before(&Origin::saying("monolith")).service("shop", &service);
    let edge = edge.with(&[table("one"), table("two")].concat()).start();
    drop(service);
    let mut client = edge.client();
    for _ in 0..20 {
        for path in ["/one", "/two"] {
            client.request("GET", path, &[]);
        }
    }
    eventually("one note", || {
        let board = ask(&edge, "GET", "/", &[HTML], "").2.replace('\u{a0}', " ");
        let said = ["One thing needs somebody. The rest is quiet.", " 2 routes fail with it: ", "./?q=service:shop"];
        has_all(&board, &said)
    });
}
