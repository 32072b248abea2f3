//! What a route may say beside its stage: times, a redirect, who may ask, failures on purpose; and the file's own error pages.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Edge, Gate, Origin, Process, Reply, eventually};

const LIMIT: Duration = Duration::from_secs(20);
const HTML: &str = "Accept: text/html";

fn edge(tables: &str) -> ([Origin; 2], Edge) {
    let (monolith, new) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("new", &new).with(tables).start();
    ([monolith, new], edge)
}

fn explained(edge: &Edge, arguments: &[&str]) -> (i32, String) {
    let path = edge.path().to_str().expect("a path of the tests is text");
    let mut process = Process::spawn([&["explain", "-c", path], arguments].concat());
    let code = process.wait(LIMIT).and_then(|status| status.code()).expect("it ends by itself");
    (code, process.stdout() + &process.stderr())
}

#[test]
fn a_route_has_its_own_time_for_an_answer() {
    let held = Gate::new();
    let slow = held.clone();
    let service = Origin::start(move |_| {
        slow.wait();
        Reply::ok("late")
    });
    let monolith = Origin::saying("monolith");
    let route = "path = \"/a\"\nservice = \"new\"\nstage = \"migrated\"\n";
    let edge = Edge::before(&monolith)
        .service("new", &service)
        .with(&format!("[routes.a]\n{route}timeouts = {{ answer = \"100ms\" }}\n"))
        .start();
    let began = Instant::now();
    let answer = edge.get("/a");
    assert_eq!(answer.status(), 504);
    assert!(began.elapsed() < Duration::from_secs(30), "the upstream itself has a minute");
    held.open();
    let (code, said) = explained(&edge, &["GET", "/a"]);
    assert!(code == 0 && said.contains("answer 0.1s"), "{said}");
}

#[test]
fn a_redirect_fills_the_parameters_in_and_keeps_the_query() {
    let (origins, edge) = edge(
        "[routes.old]\npath = \"/old/{id}\"\nstage = \"retired\"\nredirect = { to = \"/new/{id}\" }\n\
         [routes.far]\npath = \"/far/{*rest}\"\nstage = \"migrated\"\n\
         redirect = { to = \"https://shop.example/{rest}\", status = 302 }\n\
         [routes.open]\npath = \"/open/{*rest}\"\nstage = \"retired\"\nredirect = { to = \"/{rest}\" }\n\
         [matching]\nmerge_slashes = false\n",
    );
    for (target, status, location) in [
        ("/old/a%2Fb?x=1&y", 308, "/new/a%2Fb?x=1&y"),
        ("/old/7", 308, "/new/7"),
        ("/far/a/b?c", 302, "https://shop.example/a/b?c"),
        ("/open//evil.example/x", 308, "/evil.example/x"),
    ] {
        let answer = edge.get(target);
        assert_eq!((answer.status(), answer.get("location")), (status, Some(location)), "{target}");
    }
    let sent = edge.client().request("POST", "/old/7", &["Content-Length: 3"]);
    assert_eq!(sent.status(), 308, "it does not wait for the body");
    assert!(origins.iter().all(|origin| origin.requests().is_empty()), "nobody was asked");
    assert!(edge.metric("multilith_requests_total", &[("route", "old"), ("side", "service"), ("code", "308")]) > 2.5);
    // It is no refusal, and no error in the log.
    assert!(edge.metric("multilith_refused_total", &[]) < 0.5);
    let line = edge.await_log_line(&["\"route\":\"far\"", "302"]);
    assert!(!line.contains("error"), "{line}");
    let (code, said) = explained(&edge, &["GET", "/old/7?x"]);
    assert!(code == 0 && said.contains("308 to /new/7?x"), "{said}");
    // The button gives what is migrated to the monolith, not what is retired.
    assert_eq!(edge.get("/far/a").status(), 302);
    edge.reload("");
    let text = edge.text("").replace("threads = 2", "threads = 2\nmonolith_only = true");
    let text = text.replace("[monolith]\n", "[monolith]\nmax_in_flight = 3\n");
    edge.replace_file(&text);
    edge.await_text(&text);
    let said = ["/old/7", "/far/a"].map(|path| explained(&edge, &["GET", path]).1);
    assert_eq!(said.map(|said| said.contains("3 requests at once")), [false, true], "who redirects asks nobody");
    assert_eq!((edge.get("/far/a").text(), edge.get("/old/7").status()), ("monolith".into(), 308));
}

#[test]
fn only_clients_of_the_networks_named_may_ask() {
    let (origins, edge) = edge(
        "[routes.in]\npath = \"/in\"\nservice = \"new\"\nstage = \"migrated\"\nallow = [\"10.0.0.0/8\"]\n\
         [routes.here]\npath = \"/here\"\nservice = \"new\"\nstage = \"migrated\"\nallow = [\"127.0.0.1\"]\n",
    );
    let answer = edge.get("/in");
    assert_eq!((answer.status(), answer.get("content-type")), (403, Some("application/problem+json")));
    // Whom nobody trusts cannot say that it is another.
    assert_eq!(edge.client().request("GET", "/in", &["X-Forwarded-For: 10.1.2.3"]).status(), 403);
    assert!(origins[1].requests().is_empty());
    assert_eq!(edge.get("/here").text(), "service");
    assert!(edge.metric("multilith_refused_total", &[("reason", "allow")]) > 1.5);
    let text = edge.text("").replace("threads = 2", "threads = 2\ntrusted = [\"127.0.0.0/8\"]");
    edge.replace_file(&text);
    edge.await_text(&text);
    assert_eq!(edge.client().request("GET", "/in", &["X-Forwarded-For: 10.1.2.3"]).text(), "service");
    assert_eq!(edge.client().request("GET", "/in", &["X-Forwarded-For: 11.1.2.3"]).status(), 403);
    let (code, said) = explained(&edge, &["GET", "/in", "--client", "11.1.2.3"]);
    assert!(code == 1 && said.contains("403") && said.contains("allow"), "{said}");
    assert_eq!(explained(&edge, &["GET", "/in", "--client", "10.1.2.3"]).0, 0);
}

fn journal(edge: &Edge) -> Vec<(String, String)> {
    let (_, journal) = edge.admin_json("GET", "/api/v1/journal");
    let entries = journal.as_array().or_else(|| journal["entries"].as_array()).cloned().unwrap_or_default();
    let word = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    entries.iter().map(|entry| (word(entry, "action"), word(entry, "reason"))).collect()
}

#[test]
fn failures_on_purpose_fall_back_are_counted_and_stand_in_the_journal() {
    let route = |fault: &str| {
        format!(
            "[routes.a]\npath = \"/a\"\nservice = \"new\"\nstage = \"canary\"\nweight = \"100%\"\ngate = {{}}\n{fault}\n\
             [routes.b]\npath = \"/b\"\nservice = \"new\"\nstage = \"migrated\"\nfallback = false\n{fault}\n"
        )
    };
    let (origins, edge) = edge("");
    edge.reload(&route("fault = { share = \"100%\", status = 503, delay = \"1ms\" }"));
    assert_eq!(edge.get("/a").text(), "monolith", "a failure of a canary is answered by the monolith");
    let failed = edge.get("/b");
    assert_eq!((failed.status(), failed.get("retry-after")), (503, Some("5")));
    assert_eq!(edge.client().request("POST", "/a", &["Content-Length: 0"]).status(), 503, "a write is not sent again");
    assert!(origins[1].requests().is_empty(), "the service was not asked");
    assert!(edge.metric("multilith_faults_total", &[("route", "a"), ("kind", "status")]) > 1.5);
    assert!(edge.metric("multilith_faults_total", &[("route", "b"), ("kind", "delay")]) > 0.5);
    assert!(edge.metric("multilith_fallbacks_total", &[("route", "a"), ("reason", "status")]) > 0.5);
    // The endpoint is not at fault.
    let (_, upstreams) = edge.admin_json("GET", "/api/v1/upstreams");
    assert!(!upstreams.to_string().contains("failing"), "{upstreams}");
    eventually("a gate that says so", || {
        let (_, gate) = edge.admin_json("GET", "/api/v1/routes/a/gate");
        gate.to_string().contains("on purpose").then_some(())
    });
    let begun = journal(&edge);
    assert!(begun.iter().any(|(action, why)| action == "fault" && why.contains("begin: 100%")), "{begun:?}");
    let (code, said) = explained(&edge, &["GET", "/b"]);
    assert!(code == 0 && said.contains("on purpose"), "{said}");
    edge.reload(&route("fault = { share = \"100%\", delay = \"1ms\" }"));
    assert_eq!(edge.get("/b").text(), "service", "late, and answered");
    edge.reload(&route(""));
    assert_eq!(edge.get("/a").text(), "service");
    let ended = journal(&edge);
    assert!(ended.iter().any(|(action, why)| action == "fault" && why.contains("end")), "{ended:?}");
    edge.await_log_line(&["WARN", "failures on purpose end"]);
}

#[test]
fn a_share_of_nobody_fails_nobody_and_a_variant_fails_alone() {
    let (_origins, edge) = edge(
        "[routes.a]\npath = \"/a\"\nservice = \"new\"\nstage = \"migrated\"\nfault = { share = \"0%\", status = 503 }\n\
         [routes.s]\npath = \"/s\"\nstage = \"split\"\nfault = { share = \"100%\", status = 500, side = \"green\" }\n\
         [routes.s.variants]\nblue = { upstream = \"monolith\", weight = \"50%\" }\n\
         green = { upstream = \"new\", weight = \"50%\" }\n",
    );
    assert!((0..20).all(|_| edge.get("/a").text() == "service"));
    let mut seen = [false; 2];
    for client in 0..200 {
        let answer = edge.client().request("GET", "/s", &[&format!("Cookie: multilith_id={client}")]);
        match answer.status() {
            500 => seen[1] = true,
            _ => seen[0] |= answer.text() == "monolith",
        }
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn browsers_get_the_files_own_pages_and_programs_what_they_always_got() {
    let (monolith, gone) = (Origin::saying("monolith"), crate::harness::free_address());
    let edge = Edge::before(&monolith).start();
    let pages = edge.path().with_file_name("pages");
    fs::create_dir(&pages).expect("the folder takes another");
    let write = |name: &str, text: &str| fs::write(pages.join(name), text).expect("the folder takes a file");
    write("error.html", "<h1>{status} {reason}</h1><p>{request_id}</p>");
    write("busy.html", "<h1>busy</h1>");
    let folder = pages.display();
    edge.reload(&format!(
        "[pages]\nerror = \"{folder}/error.html\"\n\"503\" = \"{folder}/busy.html\"\n\
         [services.gone]\nurl = \"http://{gone}\"\n\
         [routes.gone]\npath = \"/gone\"\nservice = \"gone\"\nstage = \"migrated\"\nfallback = false\n\
         [routes.busy]\npath = \"/busy\"\nservice = \"gone\"\nstage = \"migrated\"\nfallback = false\n\
         fault = {{ share = \"100%\", status = 503 }}\n"
    ));
    let page = edge.client().request("GET", "/gone", &[HTML]);
    let id = page.get("x-request-id").expect("every answer has one").to_owned();
    assert_eq!((page.status(), page.text()), (502, format!("<h1>502 Bad Gateway</h1><p>{id}</p>")));
    assert_eq!(page.get("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(edge.client().request("GET", "/busy", &[HTML]).text(), "<h1>busy</h1>");
    let program = edge.get("/busy");
    assert_eq!((program.status(), program.get("content-type")), (503, Some("application/problem+json")));
    // A page is watched as the file is, and refused as it is.
    write("busy.html", "<h1>very busy</h1>");
    eventually("the new page", || {
        (edge.client().request("GET", "/busy", &[HTML]).text() == "<h1>very busy</h1>").then_some(())
    });
    fs::remove_file(pages.join("busy.html")).expect("it was there");
    let refused = edge.await_refusal();
    assert_eq!(refused[0]["code"], "unreadable-file", "{refused}");
    assert_eq!(edge.client().request("GET", "/busy", &[HTML]).text(), "<h1>very busy</h1>");
    let path = edge.path().to_str().expect("text").to_owned();
    let mut check = Process::spawn(["check", &path]);
    assert_eq!(check.wait(LIMIT).and_then(|status| status.code()), Some(1));
    write("busy.html", &"x".repeat(300 * 1024));
    let mut check = Process::spawn(["check", &path]);
    assert_eq!(check.wait(LIMIT).and_then(|status| status.code()), Some(1));
    assert!(check.stdout().contains("256 KiB"), "{}", check.stdout());
}
