//! `diff ROUTE --replay N`: a request of an example is asked again at both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value;

use crate::harness::{Edge, Origin, Reply};
use crate::shadow::comparing::diff;
use crate::shadow::plan::shadowing;

const VALUES: &str = "compare = { examples = \"values\", noise = { replay = \"0%\" } }\n";

fn json(body: &str) -> Reply {
    Reply::status("200 OK", &["Content-Type: application/json"], body)
}

/// The number of the newest example.
fn number(edge: &Edge) -> String {
    let report = edge.comparisons();
    report["fields"][0]["examples"][0]["number"].as_u64().unwrap_or_else(|| panic!("{report:#}")).to_string()
}

#[test]
fn both_sides_are_asked_again_and_their_answers_compared() {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let monolith = Origin::start(|_| json("{\"name\":\"Ann\"}"));
    let service =
        Origin::start(move |_| json(if is_mended.load(SeqCst) { "{\"name\":\"Ann\"}" } else { "{\"name\":\"Bob\"}" }));
    let edge = shadowing(&monolith, service.address(), VALUES);
    let fields = ["Host: shop.example", "Accept: application/json", "X-Tenant: 7", "Authorization: Bearer of-ann"];
    edge.client().request("GET", "/users/7?full=1", &fields);
    edge.await_compared(1);
    let number = number(&edge);
    let (code, text) = diff(&edge, &[]);
    assert!(code == 0 && text.contains(&format!("#{number} ")), "{text}");

    let (code, text) = diff(&edge, &["--replay", &number]);
    assert_eq!(code, 1, "they differ: {text}");
    assert!(text.contains("GET /users/7?full=1") && text.contains("they differ") && text.contains("$.name"), "{text}");
    assert!(text.contains("without credentials") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for side in [&monolith, &service] {
        let asked = side.await_requests(2).pop().expect("asked again");
        assert_eq!((asked.method(), asked.target()), ("GET".to_owned(), &b"/users/7?full=1"[..]));
        assert_eq!((asked.get("host"), asked.get("x-tenant")), (Some("shop.example"), Some("7")));
        assert_eq!((asked.get("authorization"), asked.get("x-multilith-shadow")), (None, Some("all")));
    }

    mended.store(true, SeqCst);
    let (code, text) = diff(&edge, &["--replay", &number, "-H", "Authorization: Bearer of-ops", "--json"]);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (code, &report["differs"], &report["without_credentials"]),
        (0, &false.into(), &false.into()),
        "{report:#}"
    );
    assert_eq!((&report["monolith"]["status"], &report["service"]["status"]), (&200.into(), &200.into()));
    let asked = service.await_requests(3).pop().expect("asked again");
    assert_eq!(asked.get("authorization"), Some("Bearer of-ops"));
    assert_eq!(edge.comparisons()["compared"], 1, "it is no evidence");
}

#[test]
fn what_may_change_something_or_is_not_kept_is_not_asked_again() {
    let monolith = Origin::start(|_| json("{\"name\":\"Ann\"}"));
    let service = Origin::start(|_| json("{\"name\":\"Bob\"}"));
    let edge = shadowing(&monolith, service.address(), VALUES);
    edge.client().request("POST", "/orders", &["Content-Length: 0"]);
    edge.await_compared(1);
    let refused = |edge: &Edge, number: &str, why: &str| {
        let admin = format!("http://{}", edge.admin_address());
        let arguments = ["diff", "all", "--replay", number, "--admin", &admin];
        let (code, stderr) = crate::harness::run_to_exit(crate::harness::PATIENCE, &arguments);
        assert!(code == 2 && stderr.contains(why), "{code} {stderr}");
    };
    refused(&edge, &number(&edge), "only GET, HEAD and OPTIONS");
    edge.get("/users?token=of-a-secret");
    edge.await_compared(2);
    refused(&edge, &number(&edge), "held a secret");
    refused(&edge, "4711", "no request of this number");
    let seen = (monolith.requests().len(), service.requests().len());
    assert_eq!(seen, (2, 2), "nobody was asked again");
    // A side that is gone is told, and says nothing of the other.
    edge.get("/users");
    edge.await_compared(3);
    let number = number(&edge);
    drop(service);
    let (code, text) = diff(&edge, &["--replay", &number]);
    assert!(code == 2 && text.contains("no answer") && text.contains("200"), "{code} {text}");
}
