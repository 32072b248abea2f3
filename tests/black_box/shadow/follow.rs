//! `compare.follow`: what a side only accepts is asked on there, and the outcomes are compared.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::json;

use crate::harness::{Edge, Origin, Reply, eventually};
use crate::shadow::plan::shadowing;

/// Accepts every POST, and has its outcome after so many questions.
fn later(questions: usize, outcome: &'static str, location: fn(&str) -> String) -> Origin {
    let asked: Mutex<HashMap<String, usize>> = Mutex::default();
    Origin::start(move |request| {
        let target = String::from_utf8_lossy(request.target()).into_owned();
        if !target.starts_with("/jobs/") {
            let host = request.get("host").unwrap_or_default();
            let place = format!("Location: {}", location(&format!("{host} /jobs{target}")));
            return Reply::status("202 Accepted", &[&place], "");
        }
        let mut asked = asked.lock().expect("no test panics here");
        let times = asked.entry(target).or_default();
        *times += 1;
        match *times {
            // A job may not be known at once.
            1 if questions > 1 => Reply::status("404 Not Found", &[], ""),
            times if times < questions => Reply::status("202 Accepted", &[], ""),
            _ => Reply::status("200 OK", &["Content-Type: application/json"], outcome),
        }
    })
}

fn path_alone(place: &str) -> String {
    place.split_once(' ').map_or_else(String::new, |(_, path)| path.to_owned())
}

fn with_host(place: &str) -> String {
    format!("http://{}", place.replacen(' ', "", 1))
}

fn elsewhere(place: &str) -> String {
    format!("http://evil.example{}", path_alone(place))
}

const FOLLOWED: &str = "compare = { follow = { within = \"30s\" }, noise = { replay = \"0%\" } }\n";

fn order(edge: &Edge, target: &str) {
    let body = "{\"item\":1}";
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer of-ann\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = edge.client();
    client.send(head);
    assert_eq!(client.response().status(), 202);
}

#[test]
fn the_outcome_is_compared_and_not_that_both_accepted() {
    let monolith = later(3, "{\"total\":10}", path_alone);
    let service = later(2, "{\"total\":99}", with_host);
    let edge = shadowing(&monolith, service.address(), FOLLOWED);
    order(&edge, "/orders/1");
    let report = edge.await_compared(1);
    assert_eq!(report["verdicts"]["mismatch"], 1, "{report:#}");
    let fields: Vec<_> = report["fields"].as_array().expect("a list").iter().map(|field| &field["field"]).collect();
    assert_eq!(fields, ["$.total"], "{report:#}");
    assert_eq!(report["fields"][0]["examples"][0]["statuses"], json!([200, 200]));
    for side in [&monolith, &service] {
        let asked: Vec<_> =
            side.requests().into_iter().filter(|request| request.target().starts_with(b"/jobs/")).collect();
        assert!(asked.len() >= 2, "{} questions", asked.len());
        for request in asked {
            assert!(request.method() == "GET", "{:?}", request.lines());
            assert_eq!(request.get("authorization"), Some("Bearer of-ann"));
            assert_eq!(request.get("x-multilith-shadow"), Some("all"));
            assert!(
                request.get("content-type").is_none() && request.get("content-length").is_none(),
                "{:?}",
                request.lines()
            );
        }
    }
    let posted = |side: &Origin| side.requests().iter().filter(|request| request.method() == "POST").count();
    assert_eq!((posted(&monolith), posted(&service)), (1, 1), "nothing is written twice");
}

#[test]
fn an_outcome_is_as_good_as_an_answer_that_comes_at_once() {
    let monolith = later(2, "{\"total\":10}", path_alone);
    let service = Origin::start(|_| Reply::status("200 OK", &["Content-Type: application/json"], "{\"total\":10}"));
    let edge = shadowing(&monolith, service.address(), FOLLOWED);
    order(&edge, "/orders/1");
    let report = edge.await_compared(1);
    assert_eq!(report["verdicts"]["match"], 1, "{report:#}");
    assert_eq!(report["statuses"], json!([]), "{report:#}");
}

#[test]
fn without_an_outcome_of_the_monolith_nothing_is_said_and_a_service_without_one_differs() {
    let compare = "compare = { follow = { within = \"300ms\" }, noise = { replay = \"0%\" } }\n";
    for (monolith, service, verdict) in [(usize::MAX, 1, "incomparable"), (1, usize::MAX, "mismatch")] {
        let (monolith, service) = (later(monolith, "{}", path_alone), later(service, "{}", path_alone));
        let edge = shadowing(&monolith, service.address(), compare);
        order(&edge, "/orders/1");
        let report = edge.await_compared(1);
        assert_eq!(report["verdicts"][verdict], 1, "{report:#}");
        if verdict == "incomparable" {
            assert_eq!(report["incomparable"], json!({ "unfinished": 1 }));
        } else {
            assert_eq!(report["fields"][0]["field"], "status", "{report:#}");
        }
    }
}

#[test]
fn a_location_on_another_host_is_never_asked() {
    let (monolith, service) = (later(1, "{}", elsewhere), later(1, "{}", elsewhere));
    let edge = shadowing(&monolith, service.address(), FOLLOWED);
    order(&edge, "/orders/1");
    let report = edge.await_compared(1);
    assert_eq!(report["verdicts"]["incomparable"], 0, "{report:#}");
    assert_eq!((monolith.requests().len(), service.requests().len()), (1, 1));
}

#[test]
fn noise_is_learned_from_outcomes_too() {
    let number = std::sync::atomic::AtomicU64::new(0);
    let monolith = Origin::start(move |request| {
        if request.target().starts_with(b"/jobs/") {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let body = format!("{{\"at\":{number},\"total\":10}}");
            return Reply::status("200 OK", &["Content-Type: application/json"], body);
        }
        Reply::status("202 Accepted", &["Location: /jobs/7"], "")
    });
    let service =
        Origin::start(|_| Reply::status("200 OK", &["Content-Type: application/json"], "{\"at\":0,\"total\":10}"));
    let compare = "compare = { follow = { }, noise = { replay = \"100%\", per_second = 1000 } }\n";
    let edge = shadowing(&monolith, service.address(), compare);
    let report = eventually("noise is known", || {
        edge.get("/report");
        let report = edge.comparisons();
        (report["noise_known"] == true && report["waiting"] == 0).then_some(report)
    });
    assert_eq!(report["verdicts"]["mismatch"], 0, "{report:#}");
    let at = report["fields"].as_array().expect("a list").iter().find(|field| field["field"] == "$.at");
    assert!(at.is_some_and(|field| field["noise"].as_u64() >= Some(40)), "{report:#}");
}
