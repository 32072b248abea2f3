//! The console: who may see it, who may press what, and what no page of another site can do to it.

use crate::harness::{Client, Edge, Origin, Reply, eventually};

const TOKEN: &str = "a-token-for-the-tests";
pub(crate) const HTML: &str = "Accept: text/html";
pub(crate) const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// Status, head as text, body.
pub(crate) fn ask(edge: &Edge, method: &str, target: &str, fields: &[&str], body: &str) -> (u16, String, String) {
    let mut client = Client::connect(edge.admin_address());
    let host = format!("Host: {}\r\nContent-Length: {}", edge.admin_address(), body.len());
    let fields: Vec<&str> = std::iter::once(host.as_str()).chain(fields.iter().copied()).collect();
    client.send(format!("{method} {target} HTTP/1.1\r\n{}\r\n\r\n{body}", fields.join("\r\n")));
    let response = client.response();
    (response.status(), format!("{:?}", response.head), response.text())
}

/// What follows a word, up to a delimiter.
pub(crate) fn after<'a>(text: &'a str, word: &str, end: char) -> &'a str {
    let rest = text.split_once(word).unwrap_or_else(|| panic!("no {word} in {text}")).1;
    rest.split(end).next().expect("split gives one")
}

/// The cookie and the word of the form that the page gives.
pub(crate) fn page(edge: &Edge, target: &str, cookie: Option<&str>) -> (String, String) {
    let given = cookie.map(|cookie| format!("Cookie: {cookie}"));
    let fields: Vec<&str> = std::iter::once(HTML).chain(given.as_deref()).collect();
    let (status, head, body) = ask(edge, "GET", target, &fields, "");
    assert_eq!(status, 200, "{target}: {body}");
    let cookie =
        cookie.map_or_else(|| format!("multilith_console={}", after(&head, "multilith_console=", ';')), str::to_owned);
    (cookie, after(&body, "name=\"word\" value=\"", '"').to_owned())
}

fn pressed(edge: &Edge) -> bool {
    edge.metric("multilith_monolith_only", &[]) > 0.5
}

#[test]
fn the_button_is_pressed_by_our_own_form_and_by_nothing_else() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let (cookie, word) = page(&edge, "/console/act?do=press", None);
    let (_, other_word) = page(&edge, "/console/act?do=press", None);
    let cookie = format!("Cookie: {cookie}");
    let body = format!("word={word}&do=press&reason=why%20not");
    let stale = format!("word={other_word}&do=press");
    let table: [(&str, Vec<&str>, &str, u16); 8] = [
        ("without an origin", vec![FORM, &cookie], &body, 403),
        ("a foreign origin", vec![FORM, &cookie, "Origin: http://evil.example"], &body, 403),
        ("sent by another site", vec![FORM, &cookie, &ours, "Sec-Fetch-Site: cross-site"], &body, 403),
        ("without the cookie", vec![FORM, &ours], &body, 403),
        ("another page's word", vec![FORM, &cookie, &ours], &stale, 403),
        ("no word", vec![FORM, &cookie, &ours], "do=press", 403),
        ("JSON", vec!["Content-Type: application/json", &cookie, &ours], "{}", 415),
        ("text", vec!["Content-Type: text/plain", &cookie, &ours], &body, 415),
    ];
    for (what, fields, body, status) in table {
        assert_eq!(ask(&edge, "POST", "/console/act", &fields, body).0, status, "{what}");
        assert!(!pressed(&edge), "{what}");
    }
    assert_eq!(ask(&edge, "GET", "/console/act?do=press", &[HTML, &cookie], "").0, 200);
    assert!(!pressed(&edge), "a GET changes nothing");
    let fields = [FORM, &cookie, &ours, "Sec-Fetch-Site: same-origin", "User-Agent: Mozilla/5.0 Firefox/140.0"];
    assert_eq!(ask(&edge, "POST", "/console/act", &fields, &body).0, 303);
    assert!(pressed(&edge));
    let journal = ask(&edge, "GET", "/api/v1/journal", &[], "").2;
    assert!(
        journal.contains("loopback via console from 127.0.0.1 (Firefox)") && journal.contains("why not"),
        "{journal}"
    );
}

#[test]
fn a_token_opens_a_session_and_five_wrong_ones_a_minute_of_silence() {
    let path = format!("{}/console-token-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, TOKEN).expect("cargo's folder for tests takes a file");
    let tokens = format!("tokens = [{{ name = \"eve\", token = {{ file = \"{path}\" }}, role = \"read\" }}]");
    let edge = Edge::before(&Origin::saying("ok")).server(&tokens).start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let (status, head, _) = ask(&edge, "GET", "/journal", &[HTML], "");
    assert!(status == 303 && head.contains("console/login?next=journal"), "{status} {head}");
    assert_eq!(ask(&edge, "GET", "/journal", &[], "").0, 401, "a program is told what is missing");
    assert_eq!(ask(&edge, "GET", "/console/live", &[], "").0, 401);
    let (cookie, word) = page(&edge, "/console/login", None);
    let cookie = format!("Cookie: {cookie}");
    let sign_in = |token: &str| {
        let body = format!("word={word}&token={token}&next=journal");
        ask(&edge, "POST", "/console/login", &[FORM, &cookie, &ours], &body)
    };
    let (status, head, _) = sign_in(TOKEN);
    assert!(status == 303 && head.contains("../journal"), "{head}");
    assert!(head.contains("HttpOnly; SameSite=Strict"), "{head}");
    let session = format!("Cookie: multilith_console={}", after(&head, "multilith_console=", ';'));
    let (status, _, body) = ask(&edge, "GET", "/", &[HTML, &session], "");
    assert!(status == 200 && body.contains("eve · read"), "{body}");
    assert!(!body.contains("Monolith only"), "a button that may not be pressed is not drawn");
    assert_eq!(ask(&edge, "GET", "/console/act?do=press", &[HTML, &session], "").0, 403);
    // A reader's form, by whatever way it came by its word.
    let logout = ask(&edge, "GET", "/console/logout", &[HTML, &session], "").2;
    let word_out = after(&logout, "name=\"word\" value=\"", '"').to_owned();
    let body = format!("word={word_out}&do=press");
    assert_eq!(ask(&edge, "POST", "/console/act", &[FORM, &session, &ours], &body).0, 403);
    assert_eq!(ask(&edge, "POST", "/console/logout", &[FORM, &session, &ours], &format!("word={word_out}")).0, 303);
    assert_eq!(ask(&edge, "GET", "/", &[HTML, &session], "").0, 303, "signed out");
    for guess in 0..5 {
        assert_eq!(sign_in("wrong").0, 403, "guess {guess}");
    }
    assert_eq!(sign_in(TOKEN).0, 429, "even the right one waits now");
    std::fs::remove_file(&path).expect("the file is still there");
}

#[test]
fn another_token_ends_the_sessions_of_the_one_before_and_an_unreadable_one_changes_nothing() {
    let path = format!("{}/console-token-changed-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, TOKEN).expect("cargo's folder for tests takes a file");
    let tokens = format!("tokens = [{{ name = \"eve\", token = {{ file = \"{path}\" }}, role = \"read\" }}]");
    let edge = Edge::before(&Origin::saying("ok")).server(&tokens).start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let status = |token: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        ask(&edge, "GET", "/api/v1/status", &[&bearer], "").0
    };
    let (cookie, word) = page(&edge, "/console/login", None);
    let body = format!("word={word}&token={TOKEN}&next=journal");
    let (_, head, _) = ask(&edge, "POST", "/console/login", &[FORM, &format!("Cookie: {cookie}"), &ours], &body);
    let session = format!("Cookie: multilith_console={}", after(&head, "multilith_console=", ';'));
    assert_eq!((ask(&edge, "GET", "/", &[HTML, &session], "").0, status(TOKEN)), (200, 200));

    std::fs::write(&path, "").expect("the file takes another text");
    edge.await_log_line(&["the admin token `eve` is empty"]);
    assert_eq!((ask(&edge, "GET", "/", &[HTML, &session], "").0, status(TOKEN)), (200, 200), "the old one is good");

    std::fs::write(&path, "another-token").expect("the file takes another text");
    eventually("the new token", || (status("another-token") == 200).then_some(()));
    // Asked for while it was not known yet, the new one counted as wrong.
    assert_eq!(status(TOKEN), 401);
    assert_eq!(ask(&edge, "GET", "/", &[HTML, &session], "").0, 303, "its session is gone");
    std::fs::remove_file(&path).expect("the file is still there");
}

#[test]
fn every_page_is_drawn_and_keeps_to_the_policy() {
    let service = Origin::saying("service");
    let hostile = "/a<script>alert(1)</script>/{id}";
    let routes = format!("[routes.mine]\npath = '{hostile}'\nservice = \"users\"\nstage = \"shadow\"\n");
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(&routes).start();
    for target in [
        "/",
        "/?q=stage:shadow+errors%3C1%25",
        "/?q=%22%3E%3Cscript%3Ealert(2)%3C/script%3E",
        "/inventory",
        "/requests",
        "/journal?q=route:mine",
        "/upstreams",
        "/file",
        "/route/mine",
        "/console/act?do=promote&route=mine",
        "/console/act?do=rule&key=ignore&route=mine&field=%24.as_of",
        "/console/act?do=rule&key=ignore&route=mine&field=%3Cscript%3E",
    ] {
        let (status, head, body) = ask(&edge, "GET", target, &[HTML], "");
        // What is no field's name is refused, with a page like any other.
        assert_eq!(status, if target.contains("=%3C") { 409 } else { 200 }, "{target}: {body}");
        let head = head.to_lowercase();
        assert!(head.contains("script-src 'self'") && head.contains("frame-ancestors 'none'"), "{head}");
        assert!(
            !head.contains("unsafe")
                && head.contains("no-store")
                && head.contains("referrer-policy")
                && head.contains("same-origin"),
            "{head}"
        );
        assert!(!body.contains("<script>") && !body.contains(" style=") && !body.contains(" onclick"), "{target}");
        assert!(body.len() < 64 * 1024 && !body.contains("href=\"/") && !body.contains("src=\"/"), "{target}");
    }
    assert_eq!(ask(&edge, "GET", "/route/none", &[HTML], "").0, 404);
    let board = ask(&edge, "GET", "/", &[HTML], "").2;
    let sheet = after(&board, "stylesheet\" href=\"", '"').to_owned();
    let (status, head, _) = ask(&edge, "GET", &format!("/{sheet}"), &[], "");
    assert!(status == 200 && head.contains("immutable"), "{sheet} {head}");
}

#[test]
fn a_rule_is_written_once_with_who_and_why_and_only_into_the_file_in_force() {
    let service = Origin::saying("service");
    let routes = "[routes.mine]\npath = \"/m\" # kept\nservice = \"users\"\nstage = \"shadow\"\n";
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(routes).start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let page_of = "/console/act?do=rule&key=ignore&route=mine&field=%24.as_of";
    let (cookie, word) = page(&edge, page_of, None);
    let given = format!("Cookie: {cookie}");
    let shown = ask(&edge, "GET", page_of, &[HTML, &given], "").2;
    assert!(shown.contains("+ ignore = [&quot;$.as_of&quot;]"), "{shown}");
    let expect = after(&shown, "name=\"expect\" value=\"", '"').to_owned();
    let send = |rest: &str| {
        let body = format!("word={word}&do=rule&key=ignore&route=mine&field=%24.as_of&{rest}");
        ask(&edge, "POST", "/console/act", &[FORM, &given, &ours], &body)
    };
    let text = || std::fs::read_to_string(edge.path()).expect("the file is there");
    let before = text();
    assert_eq!(send(&format!("expect={expect}")).0, 400, "a reason is asked for");
    assert_eq!(send("expect=77&reason=x").0, 409, "another file is in force");
    assert_eq!(text(), before);
    let (status, head, body) = send(&format!("expect={expect}&reason=it%20is%20a%20clock"));
    assert!(status == 303 && head.contains("route/mine"), "{status} {head} {body}");
    let written = "\n[routes.mine.shadow.compare]\nignore = [\"$.as_of\"]\n";
    assert!(text().contains(written), "{}", text());
    assert_eq!(text().replacen(written, "", 1), before, "nothing else changed");
    let journal = ask(&edge, "GET", "/api/v1/journal", &[], "").2;
    assert!(journal.contains("ignore $.as_of: it is a clock") && journal.contains("\"rule\""), "{journal}");
    assert_eq!(send(&format!("expect={expect}&reason=again")).0, 409, "the generation moved");
    let again = ask(&edge, "GET", page_of, &[HTML, &given], "").2;
    assert!(again.contains("stands in the file already"), "{again}");
}

#[test]
fn the_order_of_a_list_becomes_a_rule_about_the_list() {
    let service = Origin::saying("service");
    let routes = "[routes.mine]\npath = \"/m\"\nservice = \"users\"\nstage = \"shadow\"\n";
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(routes).start();
    let page_of = "/console/act?do=rule&key=unordered&route=mine&field=%24.tags+order";
    let shown = ask(&edge, "GET", page_of, &[HTML], "").2;
    assert!(shown.contains("+ unordered = [&quot;$.tags&quot;]"), "{shown}");
}

#[test]
fn a_release_is_no_press_and_nobody_puts_words_onto_a_page() {
    let service = Origin::saying("service");
    let routes = "[routes.mine]\npath = \"/m\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"5%\"\n";
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(routes).start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let (cookie, word) = page(&edge, "/console/act?do=press", None);
    let given = format!("Cookie: {cookie}");
    let send = |rest: &str| {
        let (status, head, text) =
            ask(&edge, "POST", "/console/act", &[FORM, &given, &ours], &format!("word={word}&{rest}"));
        assert_eq!(status, 303, "{text}");
        head
    };
    send("do=press&reason=down");
    assert!(ask(&edge, "GET", "/", &[HTML], "").2.contains("The big red button is on"));
    send("do=release&reason=fine+again");
    assert!(!ask(&edge, "GET", "/", &[HTML], "").2.contains("The big red button is on"));
    let journal = ask(&edge, "GET", "/journal", &[HTML], "").2;
    assert!(journal.contains("monolith only <b>off</b>") && journal.contains("“fine again”"), "{journal}");
    assert!(journal.contains("<td>Monolith only pressed</td><td class=\"r\"><b>1</b>"), "{journal}");

    let (_, asked) = page(&edge, "/console/act?do=promote&route=mine&to=canary&weight=25%25", Some(&cookie));
    assert_eq!(asked, word, "one word for all acts of a cookie");
    let shown = ask(&edge, "GET", "/console/act?do=promote&route=mine&to=canary&weight=25%25", &[HTML, &given], "").2;
    let expect = after(&shown, "name=\"expect\" value=\"", '"').to_owned();
    let head = send(&format!("do=promote&route=mine&to=canary&weight=25%25&expect={expect}&reason=try"));
    let told = format!("/route/{}", after(&head, "route/", '"'));
    assert!(ask(&edge, "GET", &told, &[HTML, &given], "").2.contains("from the next request on"), "{told}");
    let foreign = told.replace("?made=", "?made=Run+this.+");
    assert!(!ask(&edge, "GET", &foreign, &[HTML, &given], "").2.contains("Run this"), "{foreign}");
}

#[test]
fn a_first_visit_is_light_and_no_page_with_a_form_is_packed() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let route = |n: usize| {
        format!("[routes.route-{n}]\npath = \"/things/{n}/{{id}}\"\nservice = \"new\"\nstage = \"migrated\"\n")
    };
    let routes = (0..250).map(route).collect::<Vec<_>>().concat();
    let edge = Edge::before(&monolith).service("new", &service).with(&routes).start();
    let taken = |path: &str, fields: &[&str]| {
        let mut client = Client::connect(edge.admin_address());
        let fields = fields.join("\r\n") + if fields.is_empty() { "" } else { "\r\n" };
        let host = edge.admin_address();
        client.send(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip, br\r\n{fields}\r\n"));
        let response = client.response();
        (response.get("content-encoding").is_some(), response.body)
    };
    let (packed, board) = taken("", &[HTML]);
    assert!(packed && !board.is_empty());
    let page = ask(&edge, "GET", "/", &[HTML], "").2;
    assert!(page.matches("<tr data-row").count() == 200 && page.contains("page 1 of 2"), "{page}");
    let folder = after(&page, "stylesheet\" href=\"", '"').rsplit_once('/').expect("a path").0;
    let assets = ["console.css", "console.js", "icon.svg"];
    let assets: usize = assets.iter().map(|name| taken(&format!("{folder}/{name}"), &[]).1.len()).sum();
    assert!(board.len() + assets <= 40 * 1024, "{} and {assets} bytes for a first visit of 200 routes", board.len());
    // The length of a packed text would tell of the form's word.
    for path in ["file", "console/act?do=press", "console/logout"] {
        assert!(!taken(path, &[HTML]).0, "{path}");
    }
    // A page that redraws itself is packed once for all that see the same, and it is packed or not as each asks.
    for _ in 0..2 {
        let (packed, again) = taken("", &[HTML, "Sec-Fetch-Dest: empty"]);
        assert!(packed && again.len() < page.len() / 4, "{} of {} bytes", again.len(), page.len());
        assert!(ask(&edge, "GET", "/", &[HTML, "Sec-Fetch-Dest: empty"], "").2.contains("page 1 of 2"));
    }
}

#[test]
fn pages_that_redraw_themselves_are_shared_and_a_move_is_seen_at_once() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let routes = "[routes.mine]\npath = \"/\"\nservice = \"new\"\nstage = \"shadow\"\n";
    let edge = Edge::before(&monolith).service("new", &service).start();
    edge.reload(routes);
    let drawn = || ask(&edge, "GET", "/", &[HTML, "Sec-Fetch-Dest: empty"], "").2;
    assert!(drawn().contains("s-shadow"));
    edge.reload(&routes.replace("shadow", "monolith"));
    assert!(!drawn().contains("s-shadow") && drawn().contains("s-monolith"));
}

#[test]
fn the_copy_of_a_request_is_shown_with_its_differences() {
    let monolith = Origin::saying("price 10 EUR");
    let service = Origin::saying("price 99 EUR");
    let routes = "[routes.all]\npath = \"/{*rest}\"\nservice = \"new\"\nstage = \"shadow\"\n[routes.all.shadow]\n\
                  compare = { examples = \"values\", noise = { replay = \"0%\" } }\n";
    let edge = Edge::before(&monolith).service("new", &service).with(routes).start();
    edge.get("/items");
    edge.await_compared(1);
    let id = monolith.request().get("x-request-id").expect("an id").to_owned();
    // The evidence counts a comparison a moment before the comparison is kept for its page.
    let shown = eventually("the comparison of this copy", || {
        let shown = ask(&edge, "GET", &format!("/console/copy?route=all&id={id}"), &[HTML], "").2;
        (!shown.contains("not known here")).then_some(shown)
    });
    assert!(shown.contains("mismatch") && shown.contains("line[*]") && shown.contains("<ins>99</ins>"), "{shown}");
    let unknown = ask(&edge, "GET", "/console/copy?route=all&id=%3Cb%3E", &[HTML], "").2;
    assert!(unknown.contains("not known here") && !unknown.contains("<b>"), "{unknown}");
}

#[test]
fn a_proposal_is_planned_with_the_file_in_force() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).server("trusted = [\"127.0.0.1\"]").start();
    // An endpoint is sure once two clients were answered.
    for number in 0..6 {
        let from = format!("X-Forwarded-For: 192.0.2.{}", number % 2);
        edge.client().request("GET", "/catalog", &[&from]);
    }
    let inventory = crate::harness::eventually("the proposal", || {
        let page = ask(&edge, "GET", "/inventory", &[HTML], "").2;
        page.contains("Plan it").then_some(page)
    });
    let link = after(&inventory, "href=\"file?take=", '#').replace("&amp;", "&");
    let (status, _, page) = ask(&edge, "GET", &format!("/file?take={link}"), &[HTML], "");
    assert!(status == 200 && page.contains("What would change") && page.contains("[routes.catalog]"), "{page}");
    // Of several files nobody knows which one should take the lines: they are tried as one more.
    let folder = edge.path().with_file_name("routes.d");
    std::fs::create_dir(&folder).expect("the folder takes another");
    std::fs::write(folder.join("team.toml"), "[routes.team]\npath = \"/team\"\nstage = \"monolith\"\n")
        .expect("a file");
    let several = format!("include = [\"routes.d/*.toml\"]\n{}", edge.text(""));
    edge.replace_file(&several);
    let page = crate::harness::eventually("both files in force", || {
        let page = ask(&edge, "GET", &format!("/file?take={link}"), &[HTML], "").2;
        page.contains("team.toml").then_some(page)
    });
    assert!(ask(&edge, "GET", "/inventory", &[HTML], "").2.contains("Plan it"), "the way to it is offered, too");
    let all = ["one more file", "may be put in force", "What would change", "[routes.catalog]"];
    assert!(all.iter().all(|part| page.contains(part)), "{page}");
}

#[test]
fn a_filter_takes_the_routes_whose_figures_are_like_that() {
    let (monolith, failing) = (Origin::saying("ok"), Origin::start(|_| Reply::status("500 X", &[], "")));
    let routes = "[routes.quiet]\npath = \"/quiet\"\nstage = \"monolith\"\n\n\
                  [routes.good]\npath = \"/good\"\nstage = \"monolith\"\n\n\
                  [routes.failing]\npath = \"/failing\"\nservice = \"users\"\nstage = \"migrated\"\n";
    let edge = Edge::before(&monolith).service("users", &failing).with(routes).start();
    for target in ["/good", "/good", "/failing"] {
        edge.get(target);
    }
    let rows = |filter: &str| {
        let (_, _, body) = ask(&edge, "GET", &format!("/?q={filter}"), &[HTML], "");
        let found = ["quiet", "good", "failing"].map(|name| body.contains(&format!("data-row=\"{name}\"")));
        found.map(u8::from)
    };
    // A request is counted when it has ended, which is a moment after its client has the answer.
    eventually("all three are counted", || (rows("requests%3E0") == [0, 1, 1]).then_some(()));
    let table = [
        ("", [1, 1, 1]),
        ("errors%3E1%25", [0, 0, 1]),
        ("errors%3C1%25", [0, 1, 0]),
        ("p99%3E0ms", [0, 1, 1]),
        ("p99%3E1h", [0, 0, 0]),
        ("requests%3C1", [1, 0, 0]),
        ("requests%3E1", [0, 1, 0]),
        ("service:users", [0, 0, 1]),
        ("stage:migrated+errors%3E1%25", [0, 0, 1]),
        ("stage:monolith+errors%3E1%25", [0, 0, 0]),
        // What fails may not retire.
        ("verdict:moved", [0, 0, 1]),
        ("verdict:retire", [0, 0, 0]),
    ];
    for (filter, expected) in table {
        assert_eq!(rows(filter), expected, "{filter}");
    }
}

#[test]
fn a_filter_by_verdict_takes_the_routes_whose_rows_say_so() {
    let (monolith, service) = (Origin::saying("ok"), Origin::saying("ok"));
    let table = |name: &str, rest: &str| {
        format!("[routes.{name}]\npath = \"/{name}\"\nservice = \"Users\"\nstage = {}\n\n", rest.replace(';', "\n"))
    };
    let canary = "\"canary\";weight = \"5%\"";
    let routes = [
        table("paused", &format!("{canary};gate = {{}}")),
        table("settling", &format!("{canary};gate = {{}}")),
        table("ungated", canary),
        table("silent", "\"migrated\""),
        table("asked", "\"migrated\""),
        table("copied", "\"shadow\""),
        table("done", "\"retired\""),
        "[routes.parted]\npath = \"/parted\"\nstage = \"split\"\n[routes.parted.variants]\n\
         blue = { upstream = \"monolith\", weight = \"50%\" }\ngreen = { upstream = \"Users\", weight = \"50%\" }\n"
            .to_owned(),
    ];
    let edge = Edge::before(&monolith).service("Users", &service).with(&routes.concat()).start();
    edge.get("/asked");
    assert_eq!(edge.admin("POST", "/api/v1/routes/paused/pause").status(), 200);
    let board = |filter: &str| ask(&edge, "GET", &format!("/?q={filter}"), &[HTML], "").2;
    let word = |page: &str, route: &str| {
        let row = page.split_once(&format!("data-row=\"{route}\"")).map(|(_, rest)| rest)?;
        let last = row.split("</tr>").next()?.rsplit("td class=\"nw\"").next()?;
        let pill = last.split_once("pill f ")?.1.split_once('>')?.1;
        pill.split('<').next().map(str::to_owned)
    };
    let expected = [
        ("paused", "paused"),
        ("settling", "settling"),
        ("ungated", "no gate"),
        ("silent", "silent"),
        ("asked", "moved"),
        ("copied", "no copies"),
        ("done", "done"),
        ("parted", "A/B"),
    ];
    eventually("every row has its word", || {
        let page = board("");
        expected.iter().all(|(route, said)| word(&page, route).as_deref() == Some(said)).then_some(())
    });
    for (_, said) in expected {
        // The words of a filter are parted by spaces.
        let filter = format!("verdict:{}", said.split(' ').next().expect("split gives one").replace('?', "%3F"));
        let page = board(&filter);
        for (route, other) in expected {
            let is_taken = other.split(' ').next() == said.split(' ').next();
            assert_eq!(page.contains(&format!("data-row=\"{route}\"")), is_taken, "{filter} {route}");
        }
    }
    assert!(board("service:Users").contains("data-row=\"silent\""), "names are written in capitals, too");
}

#[test]
fn on_a_board_of_very_many_routes_a_move_is_seen_at_once() {
    let (monolith, service) = (Origin::saying("ok"), Origin::start(|_| Reply::status("500 X", &[], "")));
    let route = |n: usize| {
        let stage = if n == 0 { "canary\"\nweight = \"100%" } else { "migrated" };
        format!(
            "[routes.route-{n}]\npath = \"/things/{n}\"\nservice = \"new\"\nstage = \"{stage}\"\nfallback = false\n"
        )
    };
    let routes = (0..2100).map(route).collect::<Vec<_>>().concat();
    let edge = Edge::before(&monolith).service("new", &service).with(&routes).start();
    let board = |filter: &str| ask(&edge, "GET", &format!("/?q={filter}"), &[HTML], "").2;
    assert!(board("stage:canary").contains("data-row=\"route-0\""));
    assert_eq!(edge.admin("POST", "/api/v1/routes/route-0/promote").status(), 200);
    let moved = board("route-0");
    assert!(moved.contains("s-migrated") && !moved.contains("s-canary"), "{moved}");
    assert!(!board("stage:canary").contains("data-row"));
    edge.get("/things/7");
    // Its row counts it as soon as it has ended, whatever the age of the figures that filters go by.
    eventually("it is counted", || board("route-7%20stage:migrated").contains("100.00\u{a0}%").then_some(()));
    eventually("a filter takes it", || board("errors%3E1%25").contains("data-row=\"route-7\"").then_some(()));
}

#[test]
fn a_stream_ends_as_soon_as_its_page_is_closed() {
    let edge = Edge::before(&Origin::saying("ok")).start();
    for target in ["/console/live", "/console/stream", "/api/v1/events"] {
        let mut page = Client::connect(edge.admin_address());
        page.send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", edge.admin_address()));
        assert!(page.head().is_chunked(), "{target}");
        assert_eq!(page.chunk(), b": watching\n\n", "{target}");
        page.finish_writing();
        // What was on its way may still come; a stream that does not notice goes on for ever.
        assert!((0..3).any(|_| page.chunk().is_empty()), "{target}");
    }
}

#[test]
fn a_reader_of_the_live_stream_is_told_no_query_and_no_user_agent() {
    let files = ["eve", "ops"].map(|name| {
        let path = format!("{}/{name}-token-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        std::fs::write(&path, format!("{name}-{TOKEN}")).expect("cargo's folder for tests takes a file");
        path
    });
    let token = |name: &str, file: &str, role: &str| {
        format!("{{ name = \"{name}\", token = {{ file = \"{file}\" }}, role = \"{role}\" }}")
    };
    let tokens = format!("tokens = [{}, {}]", token("eve", &files[0], "read"), token("ops", &files[1], "operate"));
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).server(&tokens).start();
    for (name, is_told) in [("eve", false), ("ops", true)] {
        let mut watcher = Client::connect(edge.admin_address());
        let head = format!("Host: {}\r\nAuthorization: Bearer {name}-{TOKEN}", edge.admin_address());
        watcher.send(format!("GET /api/v1/events HTTP/1.1\r\n{head}\r\n\r\n"));
        assert!(watcher.head().is_chunked(), "{name}");
        assert_eq!(watcher.chunk(), b": watching\n\n");
        edge.client().request("GET", "/items?customer=ann", &["User-Agent: phone-of-bob"]);
        let event = String::from_utf8(watcher.chunk()).expect("events are text");
        assert!(event.contains("\"url.path\":\"/items\""), "{event}");
        assert_eq!([event.contains("customer=ann"), event.contains("phone-of-bob")], [is_told; 2], "{event}");
    }
    for file in files {
        std::fs::remove_file(file).expect("the file is still there");
    }
}
