//! Noise: a monolith that disagrees with itself, and a service with one real error among it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::json;

use crate::harness::{Origin, Reply};
use crate::shadow::plan::staged;

/// Timestamp, random id, list without an order and counter: what every real answer has.
fn noisy(number: u64, price: u64) -> Reply {
    // Multiplied once, two numbers that lie equally far apart would agree equally often, whatever the noise is.
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^= mixed >> 31;
    let mut tags = ["a", "b", "c"];
    tags.rotate_left(usize::try_from(mixed % 3).expect("below 3"));
    let body = json!({
        "at": format!("2026-01-01T00:00:{:02}.{number}Z", number % 60),
        "request": format!("{mixed:016x}"),
        "tags": tags,
        "visits": number,
        "items": [{ "sku": "x", "price": price }],
    });
    let etag = format!("ETag: \"{mixed:x}\"");
    Reply::status("200 OK", &["Content-Type: application/json", &etag], body.to_string())
}

#[test]
fn the_one_real_error_is_named_and_none_of_the_noise() {
    const REQUESTS: u64 = 1000;
    let counter = AtomicU64::new(0);
    let monolith = Origin::start(move |_| noisy(counter.fetch_add(1, SeqCst), 100));
    let counter = AtomicU64::new(1_000_000);
    let service = Origin::start(move |request| {
        let target = String::from_utf8_lossy(request.target()).into_owned();
        let wrong = target.trim_start_matches('/').parse::<u64>().is_ok_and(|number| number % 100 == 7);
        noisy(counter.fetch_add(1, SeqCst), if wrong { 101 } else { 100 })
    });
    let compare = "in_flight = 1000\ncompare = { headers = [\"content-type\", \"etag\"], \
                   noise = { replay = \"1%\", per_second = 1000 } }\n";
    let edge = staged(&monolith, service.address(), "stage = \"shadow\"", compare);
    let mut client = edge.client();
    for number in 0..REQUESTS {
        assert_eq!(client.get(&format!("/{number}")).status(), 200);
        if number % 100 == 99 {
            // Comparing is given time, so that none is dropped however slow the machine is.
            edge.await_compared(number + 1);
        }
    }
    let report = crate::harness::eventually("noise to be known", || {
        Some(edge.comparisons()).filter(|report| report["noise_known"] == true)
    });
    let fields = report["fields"].as_array().expect("a list");
    let named = |regression: bool| -> Vec<_> {
        let matching = fields.iter().filter(|field| field["regression"] == regression);
        let mut names: Vec<_> = matching.filter_map(|field| field["field"].as_str()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(named(true), ["$.items[*].price"], "{report:#}");
    for noisy in ["$.at", "$.visits", "header:etag", "$.tags order"] {
        assert!(named(false).contains(&noisy), "{noisy}: {report:#}");
    }
    assert_eq!(report["verdicts"]["mismatch"], 10, "{report:#}");
}

#[test]
fn only_safe_requests_are_sent_to_the_monolith_again_and_marked_as_copies() {
    let monolith = Origin::saying("a");
    let service = Origin::saying("a");
    let lines = "methods = [\"GET\", \"POST\"]\nwrites = \"sandbox\"\n\
                 compare = { noise = { replay = \"100%\", per_second = 1000 } }\n";
    let edge = staged(&monolith, service.address(), "stage = \"shadow\"", lines);
    let mut client = edge.client();
    for number in 1..=10 {
        client.get("/read");
        client.request("POST", "/write", &["Content-Length: 0"]);
        edge.await_compared(number * 2);
    }
    let seen = monolith.await_requests(30);
    let again: Vec<_> = seen.iter().filter(|request| request.get("x-multilith-shadow").is_some()).collect();
    assert_eq!((again.len(), seen.len()), (10, 30));
    assert!(again.iter().all(|request| request.method() == "GET" && request.path_is("/read")));
}

#[test]
fn a_replay_says_what_the_client_said_and_not_what_the_copy_says_instead() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("a"));
    let lines = "remove = [\"Authorization\"]\nset = { x-mode = \"dry\" }\n\
                 compare = { noise = { replay = \"100%\", per_second = 1000 } }\n";
    let edge = staged(&monolith, service.address(), "stage = \"shadow\"", lines);
    edge.client().request("GET", "/", &["Authorization: Basic dTpw"]);
    let again = monolith.await_requests(2).remove(1);
    assert_eq!((again.get("authorization"), again.get("x-mode")), (Some("Basic dTpw"), None));
    assert_eq!(again.get("x-multilith-shadow"), Some("all"));
    let copy = service.request();
    assert_eq!((copy.get("authorization"), copy.get("x-mode")), (None, Some("dry")));
}
