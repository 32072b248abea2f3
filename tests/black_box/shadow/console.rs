//! What a person does on a route's page with what copies have shown: begin it anew, ask one of the requests again.

use crate::edge::console::{FORM, HTML, after, ask, page};
use crate::harness::{Edge, Origin, Reply};
use crate::shadow::plan::shadowing;

const VALUES: &str = "compare = { examples = \"values\", noise = { replay = \"0%\" } }\n";

fn json(body: &str) -> Reply {
    Reply::status("200 OK", &["Content-Type: application/json"], body)
}

/// `/gone` fails at the service; a name differs everywhere else.
fn world() -> (Origin, Origin, Edge) {
    let monolith = Origin::start(|_| json("{\"name\":\"Ann<b>\"}"));
    let service = Origin::start(|request| {
        if request.path_is("/gone") { Reply::status("404 Not Found", &[], "") } else { json("{\"name\":\"Bob\"}") }
    });
    let edge = shadowing(&monolith, service.address(), VALUES);
    (monolith, service, edge)
}

fn shown(edge: &Edge, target: &str) -> String {
    let (status, _, body) = ask(edge, "GET", target, &[HTML], "");
    assert_eq!(status, 200, "{target}: {body}");
    body.replace('\u{a0}', " ")
}

/// A form that was drawn, sent with more.
fn send(edge: &Edge, target: &str, more: &str) -> (u16, String, String) {
    let (cookie, word) = page(edge, target, None);
    let ours = format!("Origin: http://{}", edge.admin_address());
    let query = target.split_once('?').expect("a query").1;
    let body = format!("word={word}&{query}&{more}");
    ask(edge, "POST", "/console/act", &[FORM, &format!("Cookie: {cookie}"), &ours], &body)
}

#[test]
fn the_evidence_begins_anew_with_a_reason_and_its_figures_are_said_before() {
    let (_monolith, _service, edge) = world();
    let asks = "/console/act?do=reset&route=all";
    for _ in 0..3 {
        edge.get("/users/7");
    }
    edge.await_compared(3);
    assert!(shown(&edge, "/route/all").contains("console/act?do=reset&amp;route=all"));
    let question = shown(&edge, asks);
    for said in ["<b>3 comparisons</b>", "0 match, 3 mismatch (100.00 %)", "<b>1 field</b>", "with 2 examples"] {
        assert!(question.contains(said), "{said}: {question}");
    }
    let expect = format!("expect={}", after(&question, "name=\"expect\" value=\"", '"'));
    assert_eq!(send(&edge, asks, &expect).0, 400, "a reason is asked for");
    assert_eq!(send(&edge, asks, "reason=mended").0, 400, "the form says what it was about");
    assert_eq!(edge.comparisons()["compared"], 3, "nothing was forgotten");
    let (status, head, body) = send(&edge, asks, &format!("{expect}&reason=the+service+was+mended"));
    assert!(status == 303 && head.contains("route/all?made=The%20evidence%20begins%20anew"), "{status} {head} {body}");
    let report = edge.comparisons();
    assert_eq!((&report["compared"], &report["fields"]), (&0.into(), &serde_json::json!([])), "{report:#}");
    let journal = shown(&edge, "/journal");
    assert!(journal.contains("evidence begins anew") && journal.contains("“the service was mended”"), "{journal}");
    assert!(ask(&edge, "GET", "/api/v1/journal", &[], "").2.contains("loopback via console"), "who did it");
    assert!(shown(&edge, "/route/all").contains("the service was mended"), "why it began anew");
    edge.get("/users/7");
    edge.await_compared(1);
    assert_eq!(send(&edge, asks, &format!("{expect}&reason=again")).0, 409, "somebody was faster");
    assert_eq!(edge.comparisons()["compared"], 1);
}

#[test]
fn what_is_not_compared_is_not_forgotten_and_says_so() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let routes = "[routes.mine]\npath = \"/\"\nservice = \"new\"\nstage = \"migrated\"\n";
    let edge = Edge::before(&monolith).service("new", &service).with(routes).start();
    for target in ["/console/act?do=reset&route=mine", "/console/act?do=replay&route=mine&number=1"] {
        let (status, _, body) = ask(&edge, "GET", target, &[HTML], "");
        assert!(status == 409 && body.contains("compares nothing"), "{target}: {status} {body}");
    }
    let (status, _, body) = ask(&edge, "GET", "/console/act?do=replay&route=mine", &[HTML], "");
    assert!(status == 409 && body.contains("does not say what it was about"), "{status} {body}");
}

#[test]
fn a_kept_request_is_asked_again_at_both_sides_and_their_answers_are_shown() {
    let (monolith, service, edge) = world();
    edge.client().request("GET", "/users/7?full=1", &["Host: shop.example", "Authorization: Bearer of-ann"]);
    edge.await_compared(1);
    let route = shown(&edge, "/route/all");
    assert!(route.contains("do=replay&amp;route=all&amp;number=") && route.contains("users/7?full=1"), "{route}");
    let asks = format!("/{}", after(&route, "href=\"../console/act?do=replay", '"')).replace("&amp;", "&");
    let asks = format!("/console/act?do=replay{}", asks.trim_start_matches('/'));
    let question = shown(&edge, &asks);
    assert!(question.contains("/users/7?full=1") && question.contains("carried credentials"), "{question}");
    assert!(!question.contains("name=\"reason\""), "nothing is written down: {question}");
    let (status, _, body) = send(&edge, &asks, "headers=Authorization%3A+Bearer+of-ops%0D%0A");
    assert_eq!(status, 200, "{body}");
    for said in ["they differ", "$.name", "<ins>", "&lt;b&gt;", "href=\"../route/all\""] {
        assert!(body.contains(said), "{said}: {body}");
    }
    assert!(!body.contains("<b>\"") && !body.contains("Asked without credentials"), "{body}");
    for side in [&monolith, &service] {
        let asked = side.await_requests(2).pop().expect("asked again");
        assert_eq!((asked.target(), asked.get("authorization")), (&b"/users/7?full=1"[..], Some("Bearer of-ops")));
    }
    assert_eq!(edge.comparisons()["compared"], 1, "it is no evidence");
    assert_eq!(send(&edge, &asks, "headers=nonsense").0, 400);
    let (status, _, body) = ask(&edge, "GET", &asks.replace("number=", "number=99"), &[HTML], "");
    assert!(status == 409 && body.contains("no request of this number is kept"), "{status} {body}");
}

#[test]
fn statuses_that_differ_name_their_requests_and_what_may_change_something_is_not_asked_again() {
    let (_monolith, _service, edge) = world();
    edge.client().request("GET", "/gone", &["Authorization: Bearer of-ann"]);
    edge.client().request("POST", "/gone", &["Authorization: Bearer of-ann", "Content-Length: 0"]);
    edge.await_compared(2);
    let route = shown(&edge, "/route/all");
    let pair = after(&route, "<b>200 → 404</b>", '^').split("</section>").next().expect("a part").to_owned();
    assert!(pair.starts_with(", 2 times, all with credentials"), "{pair}");
    assert!(pair.contains("GET /gone") && pair.contains("POST /gone"), "{pair}");
    assert!(
        !pair.split("<table").next().expect("a part").contains("do=replay"),
        "they make room for newer ones: {pair}"
    );
    let row = after(&route, "data-row=\"field status\"", '^').split("</tr>").next().expect("a row").to_owned();
    let number = edge.comparisons()["fields"][0]["examples"]
        .as_array()
        .expect("a list")
        .iter()
        .find_map(|example| (example["method"] == "GET").then(|| example["number"].as_u64()).flatten());
    let number = number.expect("the number of the one that only reads");
    assert!(row.contains(&format!("do=replay&amp;route=all&amp;number={number}\"")), "{number}: {row}");
}

#[test]
fn who_may_only_look_sees_neither_the_buttons_nor_the_requests() {
    let path = format!("{}/console-token-evidence-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, "a-token").expect("cargo's folder for tests takes a file");
    let (monolith, service) =
        (Origin::start(|_| json("{\"name\":\"Ann\"}")), Origin::start(|_| json("{\"name\":\"Bob\"}")));
    let tables = format!(
        "[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n[routes.all.shadow]\n{VALUES}"
    );
    let tokens = format!("tokens = [{{ name = \"eve\", token = {{ file = \"{path}\" }}, role = \"read\" }}]");
    let edge = Edge::before(&monolith).server(&tokens).service("new", &service).with(&tables).start();
    edge.get("/users/of-a-person");
    let bearer = "Authorization: Bearer a-token";
    let page = crate::harness::eventually("the comparison", || {
        let page = ask(&edge, "GET", "/route/all", &[HTML, bearer], "").2;
        page.contains("$.name").then_some(page)
    });
    assert!(!page.contains("do=reset") && !page.contains("do=replay") && !page.contains("of-a-person"), "{page}");
    for target in ["/console/act?do=reset&route=all", "/console/act?do=replay&route=all&number=1"] {
        assert_eq!(ask(&edge, "GET", target, &[HTML, bearer], "").0, 403, "{target}");
    }
    std::fs::remove_file(&path).expect("the file is still there");
}
