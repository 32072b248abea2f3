//! What the console's pages say, and how soon.

use super::console::{FORM, HTML, after, ask, page};
use crate::harness::{Edge, Origin, eventually};

#[test]
fn of_ten_thousand_routes_no_page_is_late_and_the_file_comes_page_by_page() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let route = |n: usize| {
        format!("[routes.route-{n}]\npath = \"/things/{n}/{{id}}\"\nservice = \"new\"\nstage = \"shadow\"\n")
    };
    let routes = (0..10_000).map(route).collect::<Vec<_>>().concat();
    let edge = Edge::before(&monolith).service("new", &service).with(&routes).start();
    let dialog = |key: &str, rest: &str| format!("/console/act?do=rule&key={key}&{rest}");
    let mut last = String::new();
    for (target, words, longest) in [
        ("/".to_owned(), "page 1 of 51", 400 * 1024),
        ("/file".to_owned(), "page 1 of ", 64 * 1024),
        ("/file?page=50".to_owned(), "page 50 of ", 64 * 1024),
        ("/file?q=routes.route-9998%5D".to_owned(), "things/9998", 16 * 1024),
        ("/route/route-9998".to_owned(), "/things/9998/", 64 * 1024),
        (dialog("ignore", "route=route-9998&field=%24.as_of"), "+ ignore = [", 16 * 1024),
        (dialog("mask", "route=route-9998&field=%24.as_of&pattern=%5Cd"), "+ mask = ", 16 * 1024),
        (dialog("mask", "route=route-9998&field=%24.as_of&pattern=("), "not a regular expression", 16 * 1024),
        (dialog("literal", "field=/things/mine"), "+ literal = [", 16 * 1024),
        ("/console/act?do=press".to_owned(), "Monolith only", 16 * 1024),
        ("/console/act?do=promote&route=route-9998".to_owned(), "Take route-9998 to canary", 16 * 1024),
        ("/console/act?do=rollback&route=route-9998&to=monolith".to_owned(), "name=\"write\"", 16 * 1024),
    ] {
        // A page waits three times as long as the one before it took. With optimisations each takes a twentieth of this.
        let began = std::time::Instant::now();
        let (status, _, body) = ask(&edge, "GET", &target, &[HTML], "");
        let took = began.elapsed();
        assert_eq!(status, 200, "{target}: {body}");
        assert!(body.contains(words) && body.len() < longest, "{target}: {} bytes: {body}", body.len());
        assert!(took < std::time::Duration::from_secs(2), "{target}: {took:?} after {last}");
        last = target;
    }
}

#[test]
fn what_no_route_takes_is_a_row_of_the_board_and_no_route() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let route = |name: &str| format!("[routes.{name}]\npath = \"/{name}\"\nservice = \"new\"\nstage = \"shadow\"\n");
    let edge = Edge::before(&monolith).service("new", &service).with(&(route("a1") + &route("b1"))).start();
    let board = |filter: &str| ask(&edge, "GET", &format!("/?q={filter}"), &[HTML], "").2;
    for (filter, rows, routes) in [("", 3, 2), ("a1", 1, 1), ("unmatched", 1, 0)] {
        let page = board(filter);
        assert_eq!(page.matches("<tr data-row").count(), rows, "{filter}");
        assert!(page.contains(&format!("<span class=\"dim\">{routes}, the last five minutes")), "{filter}: {page}");
    }
    assert!(board("").contains("<time id=\"clock\" data-live>"), "the time of day");
}

#[test]
fn a_word_of_the_file_is_set_as_code_in_a_question_s_warning() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let routes = "[routes.mine]\npath = \"/m\"\nservice = \"new\"\nstage = \"canary\"\nweight = \"5%\"\ngate = {}\n";
    let edge = Edge::before(&monolith).service("new", &service).with(routes).start();
    assert_eq!(edge.admin("POST", "/api/v1/routes/mine/rollback").status(), 200);
    let question = || {
        let page = ask(&edge, "GET", "/console/act?do=promote&route=mine", &[HTML], "").2;
        page.contains("rolled back").then_some(page)
    };
    let page = crate::harness::eventually("the gate says so", question);
    assert!(page.contains("a new <code>version</code> begins anew") && !page.contains('`'), "{page}");
}

#[test]
fn a_filter_that_finds_nothing_because_it_is_wrong_says_so() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let route = |name: &str| format!("[routes.{name}]\npath = \"/{name}\"\nservice = \"new\"\nstage = \"shadow\"\n");
    let edge = Edge::before(&monolith).service("new", &service).with(&(route("a1") + &route("b1"))).start();
    let shown = |target: &str| ask(&edge, "GET", target, &[HTML], "").2;
    for (target, words) in [
        ("/requests?status=7xx", "a status is written as <code>404</code>"),
        ("/requests?client=me", "<code>client</code> is an address"),
        ("/requests?route=nosuch", "There is no route <code>nosuch</code>"),
        ("/journal?q=verdict:good", "does not know <code>verdict</code>"),
        ("/inventory?q=verdict:good", "does not know <code>verdict</code>"),
        ("/?q=by:gate", "does not know `by`"),
    ] {
        assert!(shown(target).contains(words), "{target}: {}", shown(target));
    }
    assert!(!shown("/requests?status=7xx").contains("data-stream"), "no stream is asked for that would be refused");
    for target in [
        "/requests?status=5xx&route=unmatched",
        "/journal?q=route:a1+by:gate+stage:canary",
        "/inventory?q=stage:shadow",
    ] {
        assert!(!shown(target).contains("bad\">"), "{target}: {}", shown(target));
    }
    let board = shown("/?q=route:a1");
    assert!(board.contains("data-row=\"a1\"") && !board.contains("data-row=\"b1\""), "{board}");
}

#[test]
fn a_browser_finds_the_icon_also_where_no_page_names_it() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let (status, head, body) = ask(&edge, "GET", "/favicon.ico", &[], "");
    assert!(status == 200 && head.contains("image/svg+xml") && body.starts_with("<svg"), "{head}: {body}");
}

#[test]
fn a_first_visit_of_a_long_file_is_light_although_its_page_is_not_packed() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let route = |n: usize| {
        format!(
            "# Of team {n}, since the summer.\n[routes.route-{n}]\npath = \"/things/{n}/{{id}}\"\nservice = \"new\"\nstage = \"shadow\"\n\n"
        )
    };
    let routes = (0..1000).map(route).collect::<Vec<_>>().concat();
    let edge = Edge::before(&monolith).service("new", &service).with(&routes).start();
    let page = ask(&edge, "GET", "/file", &[HTML], "").2;
    // The assets take at most nine more, packed.
    assert!(page.contains("page 1 of ") && page.len() <= 31 * 1024, "{} bytes", page.len());
}

#[test]
fn a_mistake_in_one_of_several_files_has_the_place_that_check_prints() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let folder = edge.path().with_file_name("routes.d");
    std::fs::create_dir(&folder).expect("the folder takes another");
    let team = "[routes.team]\n\tpath = \"/team\"\n\tstage = \"monolith\"\n";
    std::fs::write(folder.join("team.toml"), team).expect("a file");
    edge.replace_file(&format!("include = [\"routes.d/*.toml\"]\n{}", edge.text("")));
    let read = |target: &str| ask(&edge, "GET", target, &[HTML], "").2;
    let page = eventually("both files in force", || Some(read("/file")).filter(|page| page.contains("team.toml")));
    assert!(page.contains("\tpath = ") && !page.contains("u{9}"), "tabs stay tabs: {page}");
    std::fs::write(folder.join("team.toml"), team.replace("monolith", "monolit")).expect("a file");
    let place = "routes.d/team.toml:3:10</code>: ";
    let page = eventually("the mistake", || Some(read("/file")).filter(|page| page.contains("is refused")));
    assert!(page.contains(place), "{page}");
    let board = read("/");
    assert!(board.contains(place) && board.contains("The file on the disk is refused"), "{board}");
}

#[test]
fn who_signs_in_comes_back_to_the_page_of_a_link_of_ours() {
    let token = "a-token-for-the-pages";
    let edge = Edge::before(&Origin::saying("ok")).variable("TOKEN_OF_PAGES", token);
    let edge =
        edge.server("tokens = [{ name = \"eve\", token = { env = \"TOKEN_OF_PAGES\" }, role = \"read\" }]").start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let (_, head, _) = ask(&edge, "GET", "/journal?q=route:users", &[HTML], "");
    let asked = after(&head, "console/login?next=", '"').to_owned();
    let (cookie, word) = page(&edge, &format!("/console/login?next={asked}"), None);
    let body = format!("word={word}&token={token}&next={asked}");
    let (status, head, text) =
        ask(&edge, "POST", "/console/login", &[FORM, &format!("Cookie: {cookie}"), &ours], &body);
    assert!(status == 303 && head.contains("\"../journal?q=route:users\""), "{status} {head} {text}");
}

#[test]
fn the_path_below_which_the_console_is_shown_leads_to_its_pages_without_its_slash_too() {
    for (base, asked, place) in [
        ("/edge/", "/edge", "edge/"),
        ("/edge", "/edge?q=stage:canary", "edge/?q=stage:canary"),
        ("/a/edge/", "/a/edge?", "edge/?"),
    ] {
        let edge = Edge::before(&Origin::saying("ok")).server(&format!("admin_base = \"{base}\"")).start();
        let (status, head, _) = ask(&edge, "GET", asked, &[HTML], "");
        assert!(status == 308 && head.contains(&format!("\"{place}\"")), "{base} {asked}: {status} {head}");
        let below = asked.split('?').next().expect("split gives one");
        assert_eq!(ask(&edge, "GET", &format!("{below}/"), &[HTML], "").0, 200);
        // The pages are where they were, too, and nothing else is.
        assert_eq!(ask(&edge, "GET", "/", &[HTML], "").0, 200);
        assert_eq!(ask(&edge, "GET", &format!("{below}s"), &[HTML], "").0, 404);
    }
    let edge = Edge::before(&Origin::saying("ok")).server("admin_base = \"/inventory/\"").start();
    assert_eq!(ask(&edge, "GET", "/inventory", &[HTML], "").0, 200, "a page of ours stays one");
}
